"""What leaves cimsearch for a chip: weights, integers, mapping plan, golden vectors, ONNX."""
