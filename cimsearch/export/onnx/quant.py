"""Quantised layers with the ``Quant`` operator of QONNX."""

from cimsearch.cim import CimLayer, QuantisedOperand
from cimsearch.export.onnx.codes import codes_of
from cimsearch.export.onnx.graph import Graph, Kind
from cimsearch.export.onnx.layers import add_bias, convolve, floats, product_name

DOMAIN = "qonnx.custom_op.general"
"""Where QONNX defines ``Quant``."""


def add_quant(graph: Graph, layer: CimLayer, x: str, output: str) -> None:
    """Add a quantised layer: ``Quant`` nodes for inputs and weights, then a convolution.

    ``Quant`` gives ``step * Round(Clip(x / step))``, a float that stands for a code; ``ROUND``
    takes halves to the even side. Weights are stored as what their codes stand for; ``Quant``
    leaves them as they are.

    Args:
        graph: To add to.
        layer: Calibrated.
        x: Name of the value that it reads.
        output: Name of its value.

    Raises:
        UsageError: The layer is not calibrated.
    """
    codes, numerics = codes_of(layer), layer.numerics
    weight = graph.constant(f"{output}/weight", floats(codes.weight * codes.weight_step))
    w_step = graph.constant(f"{output}/weight_step", floats(codes.weight_step))
    x_step, zero, x_bits = _read_inputs(graph, layer.x_scale, numerics.x_bits, output)
    w_bits = graph.number(f"{output}/weight_bits", numerics.w_bits)
    x_inputs, w_inputs = [x, x_step, zero, x_bits], [weight, w_step, zero, w_bits]
    read = _quant(graph, x_inputs, f"{output}/read", signed=numerics.x_signed, narrow=False)
    stored = _quant(graph, w_inputs, f"{output}/stored", signed=True, narrow=True)
    convolve(graph, layer, [read, stored], product_name(layer, output))
    add_bias(graph, layer, output)


def add_quant_operand(graph: Graph, operand: QuantisedOperand, x: str, output: str) -> str:
    """Add what waits for an addition in few bits: a ``Quant`` node. Return its name.

    Args:
        graph: To add to.
        operand: Calibrated.
        x: Name of the value that waits.
        output: Name of the addition's value.

    Raises:
        UsageError: The operand is not calibrated.
    """
    operand.check_calibrated()
    inputs = [x, *_read_inputs(graph, operand.x_scale, operand.bits, output)]
    return _quant(graph, inputs, f"{output}/read", signed=operand.signed, narrow=False)


def _read_inputs(graph: Graph, x_scale: float, bits: int, output: str) -> list[str]:
    """Add the step, zero point and bits of what is read; return their names."""
    of = (("step", x_scale), ("zero", 0), ("bits", bits))
    return [graph.number(f"{output}/{name}", value) for name, value in of]


def _quant(graph: Graph, inputs: list[str], output: str, *, signed: bool, narrow: bool) -> str:
    """Add a ``Quant`` node that reads a value, its step, zero point and bits."""
    modes = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": "ROUND"}
    return graph.add("Quant", inputs, output, DOMAIN, **modes)


QUANT = Kind(add_quant, add_quant_operand)
"""Models with ``Quant`` nodes."""
