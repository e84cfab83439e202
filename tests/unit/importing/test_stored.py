"""What a model computes of stored numbers: biases that are added, transposed weights, limits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.errors import UsageError
from cimsearch.networks.importing.assemble import Imported, Model, assembled
from cimsearch.networks.importing.onnx_source import read_onnx
from cimsearch.networks.importing.torch_source import read_module
from tests.unit.importing.models import randomised
from tests.unit.importing.onnx_models import drawn, node, norm, norm_of, write_onnx

SHAPE = (2, 5, 5)


class Added(nn.Module):
    """Adds stored numbers behind a convolution, a batch norm, an activation and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.first, self.second = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(1, 4, 1, 1))
        self.wide = nn.Conv2d(4, 4, 1)
        self.fc, self.last = nn.Linear(4, 3, bias=False), nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x) + self.first.view(1, -1, 1, 1)).relu() + 0.25
        z = self.wide(y)
        # Read twice: the bias is the convolution's, the offset is not.
        y = torch.add(z, self.second).relu() + z
        logits: Tensor = self.last + self.fc(y.mean((2, 3)))
        return logits


@torch.no_grad()
def test_what_is_added_becomes_a_bias_or_a_batch_norm() -> None:
    module = randomised(Added())
    found = assembled(Model("a:b", SHAPE, read_module("a:b", module, SHAPE), module), "mine")
    images = torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.network(images), module(images), rtol=1e-5, atol=1e-5)
    assert [(n.name, n.op) for n in found.spec.nodes] == [
        ("conv", "conv"),
        ("norm", "batchnorm"),
        ("relu", "relu"),
        ("add_1", "batchnorm"),
        ("wide", "conv"),
        ("wide.bias", "batchnorm"),
        ("add_2", "batchnorm"),
        ("relu_1", "relu"),
        ("add_3", "add"),
        ("mean", "avgpool"),
        ("fc", "linear"),
    ]


class Around(nn.Module):
    """Something in front of a classifier."""

    def __init__(self, inner: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.fc = inner, nn.Linear(2, 3)
        self.line, self.places = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(2, 5, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.adaptive_avg_pool2d(self.inner(x), 1)
        logits: Tensor = self.fc(x.flatten(1))
        return logits


class ByPlace(Around):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + self.places)


class ByLine(Around):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + self.line)


@pytest.mark.parametrize(("kind", "shape"), [(ByPlace, "(2, 5, 5)"), (ByLine, "(5,)")])
def test_what_is_added_by_place_is_told(kind: type[Around], shape: str) -> None:
    with pytest.raises(UsageError) as error:
        read_module("a:b", kind(torch.relu), SHAPE)
    text = f"add (add): found stored numbers of shape {shape}; allowed are one, or 2 of shape"
    assert text in error.value.message


@torch.no_grad()
@pytest.mark.parametrize(
    ("inner", "limit"),
    [
        (nn.ReLU6(), 6.0),
        (nn.Hardtanh(0.0, 0.5), 0.5),
        (functional.relu6, 6.0),
        (lambda x: functional.hardtanh(x, 0.0, 2.0), 2.0),
        (lambda x: x.clamp(0, 1), 1.0),
        (lambda x: torch.clamp(x, min=0.0), None),
    ],
)
def test_a_clip_from_zero_is_a_relu_with_a_limit(
    inner: Callable[[Tensor], Tensor], limit: float | None
) -> None:
    module = randomised(Around(inner))
    found = assembled(Model("a:b", SHAPE, read_module("a:b", module, SHAPE), module), "mine")
    images = 5 * torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.network(images), module(images), rtol=1e-5, atol=1e-5)
    assert [n.limit for n in found.spec.nodes if n.op == "relu"] == [limit]


@torch.no_grad()
@pytest.mark.parametrize(
    "inner",
    [
        nn.Hardsigmoid(),
        nn.Hardsigmoid(inplace=True),
        functional.hardsigmoid,
        lambda x: functional.hardsigmoid(x, inplace=True),
    ],
)
def test_a_hard_sigmoid_is_one(inner: Callable[[Tensor], Tensor]) -> None:
    module = randomised(Around(inner))
    found = assembled(Model("a:b", SHAPE, read_module("a:b", module, SHAPE), module), "mine")
    images = 5 * torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        found.network(images.clone()), module(images.clone()), rtol=1e-5, atol=1e-5
    )
    assert [n.op for n in found.spec.nodes] == ["hard_sigmoid", "avgpool", "linear"]


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        (nn.Hardtanh(), "found a clip to -1.0 and 1.0; allowed is one to 0 and a number over 0"),
        (lambda x: x.clamp(max=6), "found a clip to None and 6"),
        (lambda x: functional.avg_pool2d(x, 3, 2, 1), "an average over padding (1, 1)"),
        (lambda x: functional.max_pool2d(x, 2, 2, 1, 1, True), "found ceil_mode on 5 x 5"),
    ],
)
def test_other_clips_and_averages_over_padding_are_told(
    inner: Callable[[Tensor], Tensor], text: str
) -> None:
    with pytest.raises(UsageError) as error:
        read_module("a:b", Around(inner), SHAPE)
    assert text in error.value.message


def furthest(found: Imported, path: Path, *, batch: int = 4) -> float:
    """Return how far logits are from those of onnxruntime."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch, *found.spec.input_shape, generator=generator)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    theirs: Any = session.run(None, {"x": images.numpy()})
    with torch.no_grad():
        return float(np.abs(theirs[0] - found.network(images).numpy()).max())


def test_stored_numbers_of_a_file_are_transposed_added_and_limit(tmp_path: Path) -> None:
    arrays = drawn(
        {
            "a.weight": (6, 1, 3, 3),
            "a.offset": (6, 1, 1),
            "bend": (6, 1, 3, 3),
            "fc": (10, 54),
            "fc.offset": (10,),
        }
        | norm_of("n1", 6)
    )
    limits = {"zero": np.array(0, dtype=np.float32), "six": np.array(0.6, dtype=np.float32)}
    nodes = [
        node("Conv", "x a.weight", "c1", pads=[0, 0, 0, 0]),
        node("Add", "a.offset c1", "a1"),
        norm("n1", "a1", "b1"),
        node("Clip", "b1 zero six", "r1"),
        # Stored one way, read another.
        node("Transpose", "bend", "t1", perm=[0, 1, 3, 2]),
        node("Conv", "r1 t1", "c2", group=6, pads=[0, 0, 0, 0]),
        node("MaxPool", "c2", "p1", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
        node("Clip", "p1 zero", "r2"),
        node("Add", "r2 a.offset", "a2"),
        node("Identity", "a2", "i1"),
        node("Flatten", "i1", "f1"),
        node("Transpose", "fc", "t2", perm=[1, 0]),
        node("MatMul", "f1 t2", "m1"),
        node("Add", "m1 fc.offset", "y"),
    ]
    path = write_onnx(tmp_path / "a.onnx", nodes, arrays | limits, shape=("n", 1, 9, 9))
    found = assembled(read_onnx(path), "mine")
    assert furthest(found, path) < 1e-5
    ops = [n.op for n in found.spec.nodes]
    assert ops == [
        *("conv", "batchnorm", "relu", "conv", "maxpool", "relu", "batchnorm"),
        *("flatten", "linear"),
    ]
    assert [n.limit for n in found.spec.nodes if n.op == "relu"] == [pytest.approx(0.6), None]


@pytest.mark.parametrize("alpha", [1 / 6, float(np.float32(1 / 6))])
def test_a_hard_sigmoid_of_a_file_is_torch_s(tmp_path: Path, alpha: float) -> None:
    path = hard_sigmoid(tmp_path / "a.onnx", alpha=alpha)
    found = assembled(read_onnx(path), "mine")
    assert furthest(found, path) < 1e-5
    ops = [n.op for n in found.spec.nodes]
    assert ops == ["conv", "hard_sigmoid", "flatten", "linear"]


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({}, "alpha 0.2 and beta 0.5"),
        ({"alpha": 1 / 6, "beta": 0.4}, "alpha 0.166667 and beta 0.4"),
        ({"alpha": 0.25, "beta": 0.5}, "alpha 0.25 and beta 0.5"),
    ],
)
def test_other_hard_sigmoids_are_told(
    tmp_path: Path, attributes: dict[str, float], found: str
) -> None:
    with pytest.raises(UsageError) as error:
        read_onnx(hard_sigmoid(tmp_path / "a.onnx", **attributes))
    assert f"HardSigmoid (HardSigmoid): found {found}; allowed are alpha 1/6" in str(error.value)


def hard_sigmoid(path: Path, **attributes: float) -> Path:
    """Write a convolution, a hard sigmoid of these attributes, and a classifier."""
    arrays = drawn({"a.weight": (6, 1, 3, 3), "fc": (54, 10)})
    nodes = [
        node("Conv", "x a.weight", "c1"),
        node("HardSigmoid", "c1", "h1", **attributes),
        node("Flatten", "h1", "f1"),
        node("MatMul", "f1 fc", "y"),
    ]
    return write_onnx(path, nodes, arrays, shape=("n", 1, 5, 5))
