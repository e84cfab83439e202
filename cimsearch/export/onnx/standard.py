"""Quantised layers in standard operators of ONNX."""

import numpy as np
from onnx import TensorProto

from cimsearch.cim import CimLayer
from cimsearch.export.onnx.codes import codes_of
from cimsearch.export.onnx.graph import Graph
from cimsearch.export.onnx.layers import add_bias, convolve, floats, product_name

_BYTE_BITS = 8


def add_standard(graph: Graph, layer: CimLayer, x: str, output: str) -> None:
    """Add a quantised layer, computed step by step as ``CimLayer`` computes it.

    Codes of inputs are ``Clip(Round(Div(x, step)))``: ``Round`` takes halves to the even side, and
    ``Clip`` has any number of bits, which ``QuantizeLinear`` has not. The convolution is one of
    whole numbers in float32, exact where sums stay below 2**24. ``DequantizeLinear`` before it
    would make it one of fractions: sums would be rounded, and a value that then lies on another
    side of a tie would get another code in the next layer.

    Args:
        graph: To add to.
        layer: Calibrated.
        x: Name of the value that it reads.
        output: Name of its value.

    Raises:
        UsageError: The layer is not calibrated.
    """
    codes = codes_of(layer)
    low, high = layer.numerics.x_limits
    limits = [graph.number(f"{output}/low", low), graph.number(f"{output}/high", high)]
    step = graph.number(f"{output}/step", layer.x_scale)
    steps = graph.add("Div", [x, step], f"{output}/steps")
    whole = graph.add("Round", [steps], f"{output}/whole")
    read = graph.add("Clip", [whole, *limits], f"{output}/codes")
    kind = np.int8 if layer.numerics.w_bits <= _BYTE_BITS else np.int16
    stored = graph.constant(f"{output}/weight_codes", codes.weight.numpy().astype(kind))
    weight = graph.add("Cast", [stored], f"{output}/weight", to=TensorProto.FLOAT)
    convolve(graph, layer, [read, weight], f"{output}/sums")
    # The constant is the first factor: where it is the second, onnxruntime multiplies the
    # weights by it, and sums are of fractions again.
    unit = graph.constant(f"{output}/unit", floats(codes.unit).reshape(1, -1, 1, 1))
    graph.add("Mul", [unit, f"{output}/sums"], product_name(layer, output))
    add_bias(graph, layer, output)
