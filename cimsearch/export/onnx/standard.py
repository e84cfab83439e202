"""Quantised layers in standard operators of ONNX."""

import numpy as np
from onnx import TensorProto

from cimsearch.cim import CimLayer, QuantisedOperand
from cimsearch.export.onnx.codes import codes_of
from cimsearch.export.onnx.graph import Graph, Kind
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
    read = _codes(graph, x, layer.x_scale, layer.numerics.x_limits, output)
    kind = np.int8 if layer.numerics.w_bits <= _BYTE_BITS else np.int16
    stored = graph.constant(f"{output}/weight_codes", codes.weight.numpy().astype(kind))
    weight = graph.add("Cast", [stored], f"{output}/weight", to=TensorProto.FLOAT)
    convolve(graph, layer, [read, weight], f"{output}/sums")
    # The constant is the first factor: where it is the second, onnxruntime multiplies the
    # weights by it, and sums are of fractions again.
    unit = graph.constant(f"{output}/unit", floats(codes.unit).reshape(1, -1, 1, 1))
    graph.add("Mul", [unit, f"{output}/sums"], product_name(layer, output))
    add_bias(graph, layer, output)


def add_standard_operand(graph: Graph, operand: QuantisedOperand, x: str, output: str) -> str:
    """Add what waits for an addition in few bits: to codes and back. Return its name.

    Args:
        graph: To add to.
        operand: Calibrated.
        x: Name of the value that waits.
        output: Name of the addition's value.

    Raises:
        UsageError: The operand is not calibrated.
    """
    operand.check_calibrated()
    codes = _codes(graph, x, operand.x_scale, operand.limits, output)
    return graph.add("Mul", [codes, f"{output}/step"], f"{output}/read")


def _codes(graph: Graph, x: str, x_scale: float, limits: tuple[int, int], output: str) -> str:
    """Add the codes of a value, and its step as ``OUTPUT/step``; return the codes' name."""
    low, high = limits
    ends = [graph.number(f"{output}/low", low), graph.number(f"{output}/high", high)]
    step = graph.number(f"{output}/step", x_scale)
    steps = graph.add("Div", [x, step], f"{output}/steps")
    whole = graph.add("Round", [steps], f"{output}/whole")
    return graph.add("Clip", [whole, *ends], f"{output}/codes")


STANDARD = Kind(add_standard, add_standard_operand)
"""Models in standard operators."""
