"""Quantised layers with the ``Quant`` operator of QONNX."""

from cimsearch.cim import CimLayer
from cimsearch.export.onnx.codes import codes_of
from cimsearch.export.onnx.graph import Graph
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
    x_step = graph.number(f"{output}/step", layer.x_scale)
    zero = graph.number(f"{output}/zero", 0)
    x_bits = graph.number(f"{output}/bits", numerics.x_bits)
    w_bits = graph.number(f"{output}/weight_bits", numerics.w_bits)
    x_inputs, w_inputs = [x, x_step, zero, x_bits], [weight, w_step, zero, w_bits]
    read = _quant(graph, x_inputs, f"{output}/read", signed=numerics.x_signed, narrow=False)
    stored = _quant(graph, w_inputs, f"{output}/stored", signed=True, narrow=True)
    convolve(graph, layer, [read, stored], product_name(layer, output))
    add_bias(graph, layer, output)


def _quant(graph: Graph, inputs: list[str], output: str, *, signed: bool, narrow: bool) -> str:
    """Add a ``Quant`` node that reads a value, its step, zero point and bits."""
    modes = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": "ROUND"}
    return graph.add("Quant", inputs, output, DOMAIN, **modes)
