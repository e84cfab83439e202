"""ONNX files become networks that compute what onnxruntime does."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch

from cimsearch.errors import UsageError
from cimsearch.networks.importing.assemble import Imported, assembled
from cimsearch.networks.importing.onnx_source import read_onnx
from tests.unit.importing.onnx_models import drawn, node, residual, write_onnx


def imported(path: Path, shape: tuple[int, int, int] | None = None) -> Imported:
    return assembled(read_onnx(path, shape), "mine")


def furthest(found: Imported, path: Path, *, batch: int = 4) -> float:
    """Return how far logits are from those of onnxruntime."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch, *found.spec.input_shape, generator=generator)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    theirs: Any = session.run(None, {"x": images.numpy()})
    with torch.no_grad():
        return float(np.abs(theirs[0] - found.network(images).numpy()).max())


def test_an_imported_file_computes_the_same(tmp_path: Path) -> None:
    path = residual(tmp_path / "a.onnx")
    found = imported(path)
    assert furthest(found, path) < 1e-5
    assert (found.spec.input_shape, found.spec.classes) == ((1, 8, 8), 10)
    # Layers are called as their weights are, where these have a name of torch.
    assert found.spec.layer_names == ("stem", "deep", "point", "cut", "hidden", "m1")
    groups = {n.name: n.prune_group for n in found.network.blueprint.nodes if n.op == "conv"}
    assert groups == {"stem": "stem", "deep": "stem", "point": "stem", "cut": "cut"}


def test_open_sides_are_given_and_stated_ones_hold(tmp_path: Path) -> None:
    path = residual(tmp_path / "a.onnx", shape=("n", 1, "h", "w"))
    found = imported(path, (1, 8, 8))
    assert furthest(found, path) < 1e-5
    with pytest.raises(UsageError, match=r"images of 1 x \? x \? \(\?: left open\)\n") as error:
        imported(path)
    assert "--input-shape" in error.value.hint
    stated = residual(tmp_path / "b.onnx")
    with pytest.raises(UsageError, match=r"images of 1 x 8 x 8 .*, --input-shape of 3 x 8 x 8"):
        imported(stated, (3, 8, 8))


def test_a_batch_that_is_fixed_is_that_of_the_comparison(tmp_path: Path) -> None:
    path = residual(tmp_path / "a.onnx", shape=(1, 1, 8, 8))
    assert furthest(imported(path), path, batch=1) < 1e-5


def test_shapes_that_the_graph_computes_and_means_are_seen_through(tmp_path: Path) -> None:
    arrays = drawn({"a.weight": (6, 1, 3, 3), "fc.weight": (10, 6 * 8), "b.weight": (4, 1, 1, 1)})
    sizes = {"first": np.array(0), "rest": np.array([-1]), "axis": np.array([0])}
    nodes = [
        node("Conv", "x a.weight", "c1", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("GlobalAveragePool", "c1", "unused"),
        node("MaxPool", "c1", "p1", kernel_shape=[2, 1], strides=[2, 1]),
        node("Shape", "p1", "s1"),
        node("Gather", "s1 first", "s2"),
        node("Unsqueeze", "s2 axis", "s3"),
        node("Concat", "s3 rest", "s4", axis=0),
        node("Reshape", "p1 s4", "f1"),
        node("Dropout", "f1", "d1"),
        node("Gemm", "d1 fc.weight", "y", transB=1),
    ]
    path = write_onnx(tmp_path / "a.onnx", nodes, arrays | sizes, shape=("n", 1, 8, 8))
    found = imported(path)
    assert furthest(found, path) < 1e-5
    assert [n.op for n in found.spec.nodes] == ["conv", "maxpool", "flatten", "linear"]
    arrays = drawn({"a.weight": (10, 1, 3, 3), "a.bias": (10,)})
    nodes = [
        node("Conv", "x a.weight a.bias", "c1", auto_pad="SAME_LOWER"),
        node("ReduceMean", "c1", "y", axes=[-1, -2], keepdims=0),
    ]
    path = write_onnx(tmp_path / "b.onnx", nodes, arrays, shape=("n", 1, 8, 8))
    assert furthest(imported(path), path) < 1e-5


def test_all_that_cannot_be_imported_is_named_at_once(tmp_path: Path) -> None:
    arrays = drawn(
        {"a.weight": (4, 1, 3, 3), "fc.weight": (64, 10), "n.var": (4,), "n.mean": (4,)}
    )
    nodes = [
        node("Conv", "x a.weight", "c1", dilations=[2, 2], pads=[2, 2, 2, 2]),
        node("LeakyRelu", "c1", "l1", alpha=0.1),
        node("Mul", "l1 n.mean_1", "u1"),
        node("MaxPool", "u1", "p1", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("AveragePool", "p1", "p2", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("Flatten", "p2", "f1", axis=1),
        node("Gemm", "f1 fc.weight_1", "y", alpha=0.5),
    ]
    sizes = drawn({"n.mean_1": (4, 1, 1), "fc.weight_1": (16, 10)})
    path = write_onnx(tmp_path / "a.onnx", nodes, arrays | sizes, shape=("n", 1, 8, 8))
    with pytest.raises(UsageError) as error:
        read_onnx(path)
    lines = [line.strip() for line in error.value.message.splitlines()]
    assert lines[0] == "a.onnx: found 5 things that cannot be imported:"
    for start in (
        "/c1/Conv (Conv): found dilation (2, 2); allowed is (1, 1)",
        "/l1/LeakyRelu (LeakyRelu): found alpha 0.1",
        "/u1/Mul (Mul): found no attributes; allowed are convolutions",
        "/p2/AveragePool (AveragePool): found ceil_mode on 4 x 4",
        "/y/Gemm (Gemm): found {'alpha': 0.5}; allowed are alpha 1, beta 1 and transA 0",
    ):
        assert any(line.startswith(start) for line in lines), start


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(UsageError, match=r"is no ONNX file that can be read: .*No such file"):
        read_onnx(path)
    path.write_bytes(b"not a model")
    with pytest.raises(UsageError, match="is no ONNX file that can be read"):
        read_onnx(path)


def test_two_outputs_and_vectors_are_told(tmp_path: Path) -> None:
    path = residual(tmp_path / "a.onnx")
    model = onnx.load(path)
    model.graph.output.append(model.graph.output[0])
    model.graph.output[1].name = "r5"
    onnx.save(model, path)
    with pytest.raises(UsageError, match="found the outputs y, r5; allowed is one"):
        read_onnx(path)
    arrays = drawn({"fc.weight": (10, 5)})
    nodes = [node("Gemm", "x fc.weight", "y", transB=1)]
    path = write_onnx(tmp_path / "b.onnx", nodes, arrays, shape=("n", 5))
    with pytest.raises(UsageError, match="found an input of 2 dimensions; allowed are 4"):
        read_onnx(path)
