"""What a torch module does beside calls of its modules: in place, with functions, at defaults."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.errors import UsageError
from cimsearch.networks.importing.assemble import Imported, Model, assembled
from cimsearch.networks.importing.torch_source import read_module
from tests.unit.importing.models import randomised

SHAPE = (2, 5, 5)
Forward = Callable[[Any, Tensor], Tensor]


class Parts(nn.Module):
    """Layers and stored numbers that forwards use."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(inplace=True)
        self.fc = nn.Linear(4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer("kept", torch.zeros(4, 1, 1))

    def head(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def module_of(does: Forward) -> nn.Module:
    """Return a module of ``Parts`` with that forward."""

    class Own(Parts):
        def forward(self, x: Tensor) -> Tensor:
            return does(self, x)

    return randomised(Own())


def brought(module: nn.Module) -> Imported:
    return assembled(Model("a:b", SHAPE, read_module("a:b", module, SHAPE), module), "mine")


def a_statement(own: Any, x: Tensor) -> Tensor:
    x = own.conv(x)
    own.relu(x)
    return own.head(x)  # type: ignore[no-any-return]


def both_names(own: Any, x: Tensor) -> Tensor:
    x = own.conv(x)
    y = functional.relu_(x)
    return own.head(x + y)  # type: ignore[no-any-return]


def through_others(own: Any, x: Tensor) -> Tensor:
    x = own.conv(x)
    own.relu(own.drop(x).contiguous())
    return own.head(own.second(x) + x)  # type: ignore[no-any-return]


def read_before(own: Any, x: Tensor) -> Tensor:
    x = own.conv(x)
    before = own.second(x)
    x.relu_()
    before += x
    x.add_(before)
    return own.head(own.second(x) + before)  # type: ignore[no-any-return]


def of_the_images(own: Any, x: Tensor) -> Tensor:
    x.relu_()
    return own.head(own.conv(x))  # type: ignore[no-any-return]


def of_nothing_read(own: Any, x: Tensor) -> Tensor:
    x = own.conv(x)
    own.second(x).mul_(2)
    return own.head(x)  # type: ignore[no-any-return]


@torch.no_grad()
@pytest.mark.parametrize(
    ("does", "relus"),
    [
        *((a_statement, 1), (both_names, 1), (through_others, 1)),
        *((read_before, 1), (of_the_images, 1), (of_nothing_read, 0)),
    ],
)
def test_what_is_read_behind_a_change_in_place_is_its_result(does: Forward, relus: int) -> None:
    module = module_of(does)
    found = brought(module)
    images = torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(1))
    ours = found.network(images)
    torch.testing.assert_close(ours, module(images.clone()), rtol=1e-5, atol=1e-5)
    assert [node.op for node in found.spec.nodes].count("relu") == relus


def of_a_view(own: Any, x: Tensor) -> Tensor:
    x = own.conv(x).mean((2, 3), keepdim=True)
    x.flatten(1).relu_()
    return own.head(x)  # type: ignore[no-any-return]


def of_stored_numbers(own: Any, x: Tensor) -> Tensor:
    x = own.conv(x).mean((0, 2, 3), keepdim=True)
    return own.fc((own.kept * 1).add_(x[0]).flatten())  # type: ignore[no-any-return]


def of_another_operator(own: Any, x: Tensor) -> Tensor:
    x = own.conv(x)
    functional.hardswish(x, inplace=True)
    return own.head(x)  # type: ignore[no-any-return]


def to_itself(own: Any, x: Tensor) -> Tensor:
    own.kept += own.conv(x)
    return own.head(own.kept)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("does", "text"),
    [
        (of_a_view, "relu_ (relu_): found a change in place of mean; allowed is one of an act"),
        (of_stored_numbers, "add_ (add_): found a change in place of stored numbers; allowed"),
        (of_another_operator, "hardswish (hardswish): found inplace=True; allowed are"),
        (to_itself, "a:b: found a forward that assigns to its own kept; allowed is one that"),
    ],
)
def test_other_changes_in_place_are_named(does: Forward, text: str) -> None:
    with pytest.raises(UsageError) as error:
        read_module("a:b", module_of(does), SHAPE)
    assert text in error.value.message, error.value.message


def with_functions(own: Any, x: Tensor) -> Tensor:
    x = functional.conv2d(x, own.conv.weight, own.conv.bias, padding="same")
    norm = own.norm
    stored = (norm.running_mean, norm.running_var, norm.weight)
    x = functional.batch_norm(x, *stored, eps=1e-3).relu()
    x = functional.conv2d(x, weight=2 * own.second.weight, stride=(1, 2), padding="valid")
    return functional.linear(x.mean((2, 3)), own.fc.weight, own.fc.bias)


@torch.no_grad()
def test_functions_with_stored_weights_are_layers() -> None:
    module = module_of(with_functions)
    found = brought(module)
    images = torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.network(images), module(images), rtol=1e-5, atol=1e-5)
    assert found.spec.layer_names == ("conv2d", "conv2d_1", "linear")


def weighed_by_activations(own: Any, x: Tensor) -> Tensor:
    return functional.linear(x.mean((2, 3)), x[0, :, 0, :2])


def padded_more_behind(own: Any, x: Tensor) -> Tensor:
    x = functional.conv2d(x, own.conv.weight[:, :, :2, :2], padding="same")
    return own.head(functional.batch_norm(x, None, None, training=True))  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    ("does", "texts"),
    [
        (
            weighed_by_activations,
            ["linear (linear): found parameters that are computed; allowed are stored ones"],
        ),
        (
            padded_more_behind,
            [
                "conv2d (conv2d): found padding (0, 0) before and (1, 1) behind; allowed is",
                "batch_norm (batch_norm): found training True; allowed is self.training",
            ],
        ),
    ],
)
def test_other_functions_are_named(does: Forward, texts: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        read_module("a:b", module_of(does), SHAPE)
    for text in texts:
        assert text in error.value.message, error.value.message


class Subclass(nn.Conv2d):
    """Looks like one of torch's own, which tracing does not look into."""


Subclass.__module__ = "torch.nn.own"


@torch.no_grad()
def test_parametrised_layers_have_the_weights_that_they_give() -> None:
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 4, 3))
    spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(36, 3))
    module = randomised(nn.Sequential(normed, nn.ReLU(), nn.Flatten(), spectral))
    found = brought(module)
    images = torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.network(images), module(images), rtol=1e-5, atol=1e-5)
    with pytest.raises(UsageError, match=r"found a torch\.nn\.own\.Subclass; allowed is Conv2d"):
        read_module("a:b", nn.Sequential(Subclass(2, 4, 3), nn.Flatten()), SHAPE)


class Optional(Parts):
    def forward(self, x: Tensor, deep: bool = False, sides: tuple[int, int] = (2, 3)) -> Tensor:
        x = self.conv(x)
        logits: Tensor = self.fc((self.second(x) if deep else x).mean(sides))
        return logits


def test_arguments_with_defaults_keep_them() -> None:
    found = brought(randomised(Optional()))
    assert found.spec.layer_names == ("conv", "fc")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_floats_are_read_as_float32(dtype: torch.dtype) -> None:
    found = brought(module_of(a_statement).to(dtype))
    assert {p.dtype for p in found.network.parameters()} == {torch.float32}
