"""Torch modules become networks that compute the same; what cannot is named, all at once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.errors import UsageError
from cimsearch.networks.importing.assemble import Imported, Model, assembled
from cimsearch.networks.importing.torch_source import read_module
from cimsearch.spec.node import NodeSpec
from tests.unit.importing.models import Foreign, Mobile, Plain, Residual, randomised

Shape = tuple[int, int, int]


def imported(module: nn.Module, shape: Shape, *, classes: int | None = None) -> Imported:
    pieces = read_module("a:b", module, shape)
    return assembled(Model("a:b", shape, pieces, module), "mine", classes=classes)


def furthest(found: Imported, module: nn.Module, shape: Shape) -> float:
    images = torch.randn(8, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return float((found.network(images) - module(images)).abs().max())


@pytest.mark.parametrize(
    ("make", "shape", "classes"),
    [(Plain, (1, 8, 8), 10), (Residual, (1, 8, 8), 10), (Mobile, (3, 16, 16), 5)],
)
def test_an_imported_module_computes_the_same(
    make: Callable[[], nn.Module], shape: Shape, classes: int
) -> None:
    module = randomised(make())
    found = imported(module, shape)
    assert furthest(found, module, shape) < 1e-5
    assert found.spec.classes == classes
    weights = sum(
        m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)
    )
    assert found.network.blueprint.weights == weights


def test_nodes_are_called_as_their_modules_and_biases_go_into_batch_norms() -> None:
    nodes = imported(randomised(Plain()), (1, 8, 8)).spec.nodes
    assert nodes[:2] == (
        NodeSpec(name="features.0", op="conv", inputs=("input",), channels=8, kernel=(3, 3)),
        NodeSpec(name="features.1", op="batchnorm", inputs=("features.0",)),
    )
    names = [(node.name, node.op) for node in nodes]
    # Without a batch norm behind it, one adds the bias.
    assert ("features.4.bias", "batchnorm") in names
    assert ("features.1.bias", "batchnorm") not in names
    # Dropout is nothing in a network that is used.
    assert not [name for name, _ in names if "drop" in name or name == "features.7"]


def test_first_layer_and_classifier_are_digital_and_signs_follow_the_activations() -> None:
    found = imported(randomised(Mobile()), (3, 16, 16))
    assert found.spec.digital_layers == {"stem.0", "head"}
    signed = {n.name for n in found.network.blueprint.nodes if n.has_weights and n.x_signed}
    # The image, and the linear bottleneck that is added to.
    assert signed == {"stem.0", "grouped"}


def test_all_that_cannot_be_imported_is_named_at_once() -> None:
    with pytest.raises(UsageError) as error:
        read_module("a:b", Foreign(), (1, 8, 8))
    lines = [line.strip() for line in error.value.message.splitlines()]
    assert lines[0] == "a:b: found 5 things that cannot be imported:"
    for start in (
        "wide (Conv2d): found dilation (2, 2); allowed is (1, 1)",
        "act (Hardswish): found no arguments; allowed are convolutions over height",
        "mul (mul): found 2; allowed are",
        "cat (cat): found [mul, mul], 1; allowed are",
        "getitem (getitem): found (slice(None, None, None), slice(None, 4, None)); allowed are",
    ):
        assert any(line.startswith(start) for line in lines), start
    assert "howto-own-network" in error.value.hint


class Odd(nn.Module):
    """One module or function in front of a classifier."""

    def __init__(self, inner: nn.Module | Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.fc = inner, nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(functional.adaptive_avg_pool2d(self.inner(x), 1).flatten(1))
        return logits


class First(nn.Module):
    def forward(self, several: Any) -> Any:
        return several[0]


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        (
            nn.BatchNorm2d(2, track_running_stats=False),
            "track_running_stats False; allowed is True",
        ),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), "padding_mode reflect"),
        (nn.MaxPool2d(2, ceil_mode=True), "ceil_mode on 5 x 5, where a part of a window is left"),
        (nn.MaxPool2d(2, dilation=2), "dilation (2, 2); allowed is (1, 1)"),
        (nn.AvgPool2d(2, divisor_override=3), "divisor_override 3; allowed is none"),
        (nn.Tanh(), "inner (Tanh): found no arguments; allowed are convolutions"),
        (
            nn.Sequential(nn.MaxPool2d(2, return_indices=True), First()),
            "(MaxPool2d): found several",
        ),
        (nn.AdaptiveAvgPool2d(2), "an output of 2 x 2 from 5 x 5"),
        (lambda x: torch.add(x, x, alpha=2), "alpha 2; allowed is 1"),
        (lambda x: x + x.mean((2, 3), keepdim=True), "(2, 5, 5) and (2, 1, 1); allowed are two"),
        (functional.dropout, "training True; allowed is self.training"),
        (lambda x: x.mean(1, keepdim=True).expand(-1, 2, -1, -1), "a mean over 1 of (2, 5, 5)"),
    ],
)
def test_what_no_blueprint_does_is_told_with_what_is_allowed(inner: nn.Module, text: str) -> None:
    with pytest.raises(UsageError) as error:
        read_module("a:b", Odd(inner), (2, 5, 5))
    assert text in error.value.message


@pytest.mark.parametrize(
    "inner",
    [
        nn.BatchNorm2d(2, affine=False, eps=0.1),
        nn.Conv2d(2, 2, (1, 5), padding=(0, 2), bias=False),
        nn.AdaptiveAvgPool2d((5, 1)),
        nn.MaxPool2d(1, ceil_mode=True),
        lambda x: x + x,
        lambda x: x.mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1).view(-1, 2, 1, 1),
        lambda x: functional.avg_pool2d(x, 3, stride=2).contiguous(),
        lambda x: functional.max_pool2d(x, kernel_size=2, stride=1),
        lambda x: functional.avg_pool2d(x, x.shape[2:]),
        lambda x: functional.max_pool2d(x, kernel_size=x.size(2) // 2, stride=(1, 2)),
    ],
)
def test_what_a_blueprint_does_is_imported(inner: nn.Module) -> None:
    module = randomised(Odd(inner))
    assert furthest(imported(module, (2, 5, 5)), module, (2, 5, 5)) < 1e-5


def test_a_layer_that_runs_twice_becomes_two() -> None:
    conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
    module = randomised(Odd(nn.Sequential(conv, nn.ReLU(), conv, nn.ReLU())))
    found = imported(module, (2, 5, 5))
    assert furthest(found, module, (2, 5, 5)) < 1e-5
    assert found.spec.layer_names == ("inner.0", "inner.0_2", "fc")


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Aside(nn.Module):
    """Computes what nobody reads, also behind the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.act = nn.Linear(64, 10), nn.Hardswish()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(x.flatten(1))
        self.act(logits).relu()
        return logits


class Both(Aside):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), x


def test_what_nobody_reads_is_left_out() -> None:
    module = randomised(Aside())
    found = imported(module, (1, 8, 8))
    assert [node.op for node in found.spec.nodes] == ["flatten", "linear"]
    assert furthest(found, module, (1, 8, 8)) < 1e-5
    with pytest.raises(UsageError, match=r"output \(return\): found .*; allowed is one tensor"):
        read_module("a:b", Both(), (1, 8, 8))


def test_what_cannot_be_traced_or_run_is_told() -> None:
    with pytest.raises(UsageError, match="a:b: cannot be traced: TraceError"):
        read_module("a:b", Branching(), (1, 8, 8))
    with pytest.raises(UsageError, match="found the inputs x, y; allowed is one without"):
        read_module("a:b", TwoInputs(), (1, 8, 8))
    with pytest.raises(UsageError, match="does not run on images of 3 x 8 x 8") as error:
        read_module("a:b", Plain(), (3, 8, 8))
    assert "--input-shape" in error.value.hint


def test_a_network_that_gives_no_classes_is_refused() -> None:
    with pytest.raises(UsageError, match="gives 10 x 1 x 1; allowed are 7 classes"):
        imported(randomised(Plain()), (1, 8, 8), classes=7)
    whole = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
    with pytest.raises(UsageError, match="gives 4 x 8 x 8; allowed are 4 classes"):
        imported(randomised(whole), (1, 8, 8))
    one = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    with pytest.raises(UsageError, match="greater than or equal to 2"):
        imported(randomised(one), (1, 8, 8))


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_an_import_is_run_beside_its_source(scale: float) -> None:
    module = randomised(Plain())
    # A hook is not seen by tracing.
    module.get_submodule("hidden").register_forward_hook(lambda *arguments: 1.1 * arguments[2])
    with torch.no_grad():
        for parameter in module.get_submodule("classifier").parameters():
            parameter.mul_(scale)
    with pytest.raises(UsageError, match="as it was read it computes something else"):
        imported(module, (1, 8, 8))
