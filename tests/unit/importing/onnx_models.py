"""ONNX files that tests import, made node by node."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Arrays = Mapping[str, NDArray[np.float32] | NDArray[np.int64]]
Side = int | str


def node(op: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    """Return a node of the values that ``inputs`` names, with spaces between."""
    return helper.make_node(op, inputs.split(), [output], name=f"/{output}/{op}", **attributes)


def write_onnx(
    path: Path,
    nodes: Sequence[NodeProto],
    arrays: Arrays,
    *,
    shape: Sequence[Side],
    logits: Sequence[Side] = ("n", 10),
) -> Path:
    """Write a model from ``x`` to ``y``; sides that are texts are open."""
    graph = helper.make_graph(
        list(nodes),
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(logits))],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Return arrays like trained ones: variances, whose names end in ``var``, are positive."""
    rng, found = np.random.default_rng(seed), {}
    for name, shape in shapes.items():
        values = rng.normal(size=shape) / max(1, prod(shape[1:])) ** 0.5
        found[name] = (np.abs(values) + 0.2 if name.endswith("var") else values).astype(np.float32)
    return found


NORM = ("gain", "offset", "mean", "var")


def norm_of(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (channels,) for part in NORM}


def norm(name: str, read: str, output: str, **attributes: Any) -> NodeProto:
    parts = " ".join(f"{name}.{part}" for part in NORM)
    return node("BatchNormalization", f"{read} {parts}", output, **attributes)


def residual(path: Path, *, shape: Sequence[Side] = ("n", 1, 8, 8)) -> Path:
    """Write a residual network with depthwise and grouped convolutions, and a hidden layer."""
    arrays = drawn(
        {
            "stem.weight": (8, 1, 3, 3),
            "deep.weight": (8, 1, 3, 3),
            "deep.bias": (8,),
            "point.weight": (8, 8, 1, 1),
            "cut.weight": (12, 4, 5, 5),
            "cut.bias": (12,),
            "hidden.weight": (20, 12 * 4),
            "hidden.bias": (20,),
            "out": (20, 10),
            "out_bias": (10,),
        }
        | norm_of("n1", 8)
        | norm_of("n2", 8)
    )
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", "x stem.weight", "c1", auto_pad="SAME_UPPER"),
        norm("n1", "c1", "b1", epsilon=1e-3),
        node("Relu", "b1", "r1"),
        node("Conv", "r1 deep.weight deep.bias", "c2", group=8, **same),
        node("Relu", "c2", "r2"),
        node("Conv", "r2 point.weight", "c3"),
        norm("n2", "c3", "b2"),
        node("Identity", "b2", "i1"),
        node("Add", "i1 r1", "s1"),
        node("MaxPool", "s1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p1 cut.weight cut.bias", "c4", group=2, pads=[2] * 4, strides=[1, 1]),
        node("Relu", "c4", "r4"),
        node("AveragePool", "r4", "p2", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "p2", "f1"),
        node("Gemm", "f1 hidden.weight hidden.bias", "h1", transB=1),
        node("Relu", "h1", "r5"),
        node("MatMul", "r5 out", "m1"),
        node("Add", "m1 out_bias", "y"),
    ]
    return write_onnx(path, nodes, arrays, shape=shape)
