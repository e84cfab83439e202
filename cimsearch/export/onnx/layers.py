"""Layers with weights: the parts that are the same in every kind of model, and float layers."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cimsearch.cim import FloatLayer
from cimsearch.export.onnx.graph import Graph


def add_float(graph: Graph, layer: FloatLayer, x: str, output: str) -> None:
    """Add a float layer.

    Args:
        graph: To add to.
        layer: The layer.
        x: Name of the value that it reads.
        output: Name of its value.
    """
    inputs = [x, graph.constant(f"{output}/weight", floats(layer.weight))]
    if layer.bias is not None:
        inputs.append(graph.constant(f"{output}/bias", floats(layer.bias)))
    convolve(graph, layer, inputs, output)


def convolve(graph: Graph, layer: FloatLayer, inputs: list[str], output: str) -> None:
    """Add a convolution of the layer's geometry; a linear layer is one of 1 x 1."""
    g = layer.geometry
    graph.add(
        "Conv",
        inputs,
        output,
        kernel_shape=g.kernel,
        strides=g.stride,
        pads=(*g.padding, *g.padding),
        group=g.groups,
    )


def product_name(layer: FloatLayer, output: str) -> str:
    """Return the name of a layer's product: that of its value if nothing is added to it."""
    return output if layer.bias is None else f"{output}/product"


def add_bias(graph: Graph, layer: FloatLayer, output: str) -> None:
    """Add the bias to a layer's product, if it has one."""
    if layer.bias is not None:
        bias = graph.constant(f"{output}/bias", floats(layer.bias).reshape(1, -1, 1, 1))
        graph.add("Add", [product_name(layer, output), bias], output)


def floats(values: Tensor) -> NDArray[np.float32]:
    """Return a tensor as float32."""
    array: NDArray[np.float32] = values.detach().float().numpy()
    return array
