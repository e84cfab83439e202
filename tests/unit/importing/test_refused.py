"""What cannot be brought in is told in one's own words, where it is, and once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import GraphProto, helper
from torch import nn

from cimsearch.errors import UsageError
from cimsearch.networks.importing.assemble import Model, assembled
from cimsearch.networks.importing.onnx_source import read_onnx
from cimsearch.networks.importing.torch_source import read_module
from tests.unit.importing.brought import exported
from tests.unit.importing.models import Plain, Small, randomised
from tests.unit.importing.onnx_models import drawn, node, norm, norm_of, write_onnx


def faults(path: Path) -> list[str]:
    """Return what of a file cannot be imported, a line each."""
    with pytest.raises(UsageError) as error:
        read_onnx(path)
    return [line.strip() for line in error.value.message.splitlines()[1:]]


def headed(path: Path, nodes: list[onnx.NodeProto], arrays: Mapping[str, Any]) -> Path:
    """Write a model of ``nodes``, of which the last gives ``h``, and a classifier."""
    rest = [
        node("GlobalAveragePool", "h", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f fc.weight", "y", transB=1),
    ]
    given = dict(arrays) | drawn({"fc.weight": (10, 4)})
    return write_onnx(path, [*nodes, *rest], given, shape=("n", 1, 8, 8))


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_a_batch_that_is_fixed_is_run_whole(batch: int, tmp_path: Path) -> None:
    # Its view to vectors is one of so many images.
    module, shape = randomised(Plain()), (1, 8, 8)
    path = exported(module, shape, tmp_path / "a.onnx", batch=batch)
    found = assembled(read_onnx(path), "mine")
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(found.network(images), module(images), rtol=1e-4, atol=1e-4)


def test_what_the_reference_cannot_compute_is_told(tmp_path: Path) -> None:
    # The norm is of fewer channels than it gets.
    arrays = drawn({"a.weight": (10, 1, 8, 8)} | norm_of("n1", 7))
    nodes = [node("Conv", "x a.weight", "c1"), norm("n1", "c1", "y")]
    logits = ("n", 10, 1, 1)
    path = write_onnx(tmp_path / "a.onnx", nodes, arrays, shape=("n", 1, 8, 8), logits=logits)
    with pytest.raises(UsageError, match=r"a\.onnx: cannot be computed by ONNX's ref") as error:
        assembled(read_onnx(path), "mine")
    assert "onnxruntime" in error.value.hint


def test_a_bias_of_another_length_is_told(tmp_path: Path) -> None:
    arrays = drawn({"fc": (64, 10), "bias": (7,)})
    nodes = [node("Flatten", "x", "f1"), node("Gemm", "f1 fc bias", "y")]
    path = write_onnx(tmp_path / "a.onnx", nodes, arrays, shape=("n", 1, 8, 8))
    (fault,) = faults(path)
    assert "found a bias of shape (7,); allowed are 10 numbers" in fault


def test_numbers_of_a_type_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    path = headed(
        tmp_path / "a.onnx", [node("Conv", "x a.weight", "h")], drawn({"a.weight": (4, 1, 1, 1)})
    )
    model = onnx.load(path)
    short = helper.make_tensor("a.weight", onnx.TensorProto.BFLOAT16, [4, 1, 1, 1], [1.0] * 4)
    (weight,) = (t for t in model.graph.initializer if t.name == "a.weight")
    weight.CopyFrom(short)
    onnx.save(model, path)
    with pytest.raises(UsageError, match=r"a\.weight: found numbers of type bfloat16; allowed"):
        read_onnx(path)


def test_windows_that_are_not_of_two_sides_are_told(tmp_path: Path) -> None:
    arrays = drawn({"a.weight": (4, 1, 3, 3)})
    path = headed(tmp_path / "a.onnx", [node("Conv", "x a.weight", "h", pads=[1, 1])], arrays)
    (fault,) = faults(path)
    assert "found pads [1, 1]; allowed are numbers for height and width" in fault
    pads = [0, 0, 1, 1]
    path = headed(tmp_path / "b.onnx", [node("Conv", "x a.weight", "h", pads=pads)], arrays)
    (fault,) = faults(path)
    assert "found padding (0, 0) before and (1, 1) behind; allowed is the same at both" in fault


def branch(name: str) -> GraphProto:
    output = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node("Relu", ["c1"], [name])], name, [], [output])


def test_of_an_operator_only_numbers_and_words_are_shown(tmp_path: Path) -> None:
    arrays = drawn({"a.weight": (4, 1, 3, 3)}) | {"which": np.array(True)}
    nodes = [
        node("Conv", "x a.weight", "c1", pads=[1, 1, 1, 1]),
        node("If", "which", "i1", then_branch=branch("yes"), else_branch=branch("no")),
        node("DepthToSpace", "i1", "d1", blocksize=2, mode="CRD"),
        node("SpaceToDepth", "d1", "h", blocksize=2),
    ]
    lines = faults(headed(tmp_path / "a.onnx", nodes, arrays))
    assert lines[0].startswith("/i1/If (If): found no attributes; allowed are convolutions")
    assert lines[1].startswith("/d1/DepthToSpace (DepthToSpace): found blocksize 2, mode CRD;")
    assert len(lines) == 3


def test_what_only_follows_from_a_refused_operator_is_not_told(tmp_path: Path) -> None:
    arrays = drawn({"a.weight": (4, 1, 3, 3), "b.weight": (4, 1, 3, 3)})
    nodes = [
        node("Conv", "x a.weight", "c1", pads=[1, 1, 1, 1]),
        node("Conv", "x b.weight", "c2", pads=[1, 1, 1, 1]),
        # Nobody knows how many there are.
        node("NonZero", "c1", "i1"),
        node("Cast", "i1", "i2", to=1),
        node("Relu", "i2", "r1"),
        node("Add", "r1 c2", "h"),
    ]
    lines = faults(headed(tmp_path / "a.onnx", nodes, arrays))
    assert [line.split(":")[0] for line in lines] == ["/i1/NonZero (NonZero)", "/i2/Cast (Cast)"]


def test_a_tensor_that_is_not_finite_is_named() -> None:
    for name, value in (("fc.bias", float("inf")), ("conv.weight", float("nan"))):
        module = randomised(Small())
        with torch.no_grad():
            module.get_parameter(name).flatten()[1] = value
        pieces = read_module("a:b", module, (1, 8, 8))
        with pytest.raises(UsageError, match=f"a:b: {name}: found NaN or infinity"):
            assembled(Model("a:b", (1, 8, 8), pieces, module), "mine")


def test_a_negative_variance_is_named() -> None:
    module = randomised(nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 10)))
    module.get_buffer("0.running_var")[0] = -0.5
    pieces = read_module("a:b", module, (1, 8, 8))
    with pytest.raises(UsageError) as error:
        assembled(Model("a:b", (1, 8, 8), pieces, module), "mine")
    assert (
        error.value.message == "a:b: 0: found a running variance of -0.5; allowed is none below 0"
    )
    assert "diverged" in error.value.hint


def test_a_limit_of_several_numbers_is_told(tmp_path: Path) -> None:
    arrays = drawn({"a.weight": (4, 1, 1, 1), "most": (2,)}) | {
        "least": np.zeros(1, dtype=np.float32)
    }
    nodes = [node("Conv", "x a.weight", "c1"), node("Clip", "c1 least most", "h")]
    (fault,) = faults(headed(tmp_path / "a.onnx", nodes, arrays))
    assert fault == "/h/Clip (Clip): found an end of shape (2,); allowed is one number"


def test_a_damaged_byte_of_a_file_is_told_or_harmless(tmp_path: Path) -> None:
    arrays = drawn({"a.weight": (4, 1, 3, 3), "a.bias": (4,)})
    nodes = [node("Conv", "x a.weight a.bias", "h", pads=[1, 1, 1, 1], auto_pad="NOTSET")]
    path = headed(tmp_path / "a.onnx", nodes, arrays)
    whole, told = path.read_bytes(), 0
    weights = [whole.index(a.astype(np.float32).tobytes()) for a in arrays.values()]
    inside = {at for start in weights for at in range(start, start + 16)}
    for at in sorted(set(range(0, len(whole), 2)) - inside):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            read_onnx(path)
        except UsageError:
            told += 1
    assert told > len(whole) / 8


def test_what_is_no_space_is_told_in_the_house_s_words() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    pieces = read_module("a:b", module, (1, 8, 8))
    with pytest.raises(UsageError) as error:
        assembled(Model("a:b", (1, 8, 8), pieces, module), "mine")
    assert error.value.message.splitlines()[1:] == [
        "  classes: found 1; allowed is greater than or equal to 2"
    ]
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    pieces = read_module("a:b", module, (1, 8, 8))
    with pytest.raises(UsageError) as error:
        assembled(Model("a:b", (1, 8, 8), pieces, module), "mine", classes=7)
    assert error.value.message.splitlines()[1:] == ["  1: gives 10 x 1 x 1; allowed are 7 classes"]
