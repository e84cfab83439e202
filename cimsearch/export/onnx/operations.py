"""Nodes without stored weights: batch norm, activation, pooling, flattening, adding, joining."""

from typing import Any

import numpy as np
from torch import nn

from cimsearch.blueprint import Node
from cimsearch.errors import UsageError
from cimsearch.export.onnx.graph import Graph
from cimsearch.export.onnx.layers import floats
from cimsearch.networks.operations import Joined

_ELEMENTWISE = {"relu": "Relu", "add": "Add"}
_POOLING = {"maxpool": "MaxPool", "avgpool": "AveragePool"}


def add_operation(graph: Graph, node: Node, inputs: list[str], output: str) -> None:
    """Add a node without parameters.

    Args:
        graph: To add to.
        node: The node.
        inputs: Names of the values that it reads.
        output: Name of its value.

    Raises:
        UsageError: There is no such operation.
    """
    if node.limit is not None:
        ends = (("least", 0.0), ("most", node.limit))
        limits = [graph.number(f"{output}/{end}", value) for end, value in ends]
        graph.add("Clip", [*inputs, *limits], output)
    elif node.op == "hard_sigmoid":
        graph.add("HardSigmoid", inputs, output, alpha=1 / 6, beta=0.5)
    elif node.op in _ELEMENTWISE:
        graph.add(_ELEMENTWISE[node.op], inputs, output)
    elif node.op in _POOLING:
        window: dict[str, Any] = {"kernel_shape": node.kernel, "strides": node.stride}
        if any(node.pads):
            window["pads"] = 2 * node.pads
        graph.add(_POOLING[node.op], inputs, output, **window)
    elif node.op == "flatten":
        # 0 keeps the size of the batch; values keep four dimensions, as in the blueprint.
        shape = np.array([0, *node.out_shape], dtype=np.int64)
        graph.add("Reshape", [*inputs, graph.constant(f"{output}/shape", shape)], output)
    else:
        raise UsageError(f"{node.name}: found operation {node.op!r}")


def add_join(graph: Graph, join: Joined, inputs: list[str], output: str) -> None:
    """Add the parts of a layer, one after the other and then in the layer's order."""
    parts = f"{output}/parts"
    graph.add("Concat", inputs, parts, axis=1)
    order = graph.constant(f"{output}/order", join.order.numpy())
    graph.add("Gather", [parts, order], output, axis=1)


def add_norm(graph: Graph, norm: nn.BatchNorm2d, x: str, output: str) -> None:
    """Add a batch norm with its running statistics."""
    parts = {
        "scale": norm.weight,
        "bias": norm.bias,
        "mean": norm.running_mean,
        "variance": norm.running_var,
    }
    constants = [
        graph.constant(f"{output}/{part}", floats(values))
        for part, values in parts.items()
        if values is not None
    ]
    graph.add("BatchNormalization", [x, *constants], output, epsilon=norm.eps)
