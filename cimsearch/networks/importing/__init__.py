"""Models from outside as blueprints: a torch module, or an ONNX file."""
