"""Net2Wider: the wide network computes what the narrow one does, and copies are told apart."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cimsearch.blueprint import Blueprint
from cimsearch.errors import UsageError
from cimsearch.networks import Network, build
from cimsearch.space.widths import multiples_of, widths_of, with_widths
from cimsearch.training.morph import widen
from cimsearch.training.prune import importance
from tests.unit.space.budgets import coupled, vgg

SMALL = vgg((5, 6, 7), pooled=(0, 2), w_bits=0, size=8, channels=1)


def trained(blueprint: Blueprint) -> Network:
    """A network with statistics of some images, gains and shifts of its own."""
    network = build(blueprint, None, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
    network.train()
    with torch.no_grad():
        network(images(blueprint, 32))
    return network.eval()


def images(blueprint: Blueprint, count: int) -> Tensor:
    return torch.randn((count, *blueprint.input_shape), generator=torch.Generator().manual_seed(2))


def widened(narrow: Network, factors: dict[str, int], noise_frac: float = 0.0) -> Network:
    multiples = multiples_of(narrow.blueprint)
    new = {g: w + factors[g] * multiples[g] for g, w in widths_of(narrow.blueprint).items()}
    generator = torch.Generator().manual_seed(4)
    wide = build(with_widths(narrow.blueprint, new), None, generator=generator)
    scores = importance(narrow)
    widen(wide, narrow, scores, noise_frac=noise_frac, generator=generator)
    return wide.eval()


def weight(network: Network, name: str) -> Tensor:
    return network.module(name).get_parameter("weight").detach()


def worst(first: Network, second: Network) -> float:
    x = images(first.blueprint, 8)
    with torch.no_grad():
        return float((first(x) - second(x)).abs().max())


@settings(max_examples=8, deadline=None)
@given(more=st.lists(st.integers(0, 17), min_size=3, max_size=3))
@pytest.mark.parametrize("blueprint", [SMALL, coupled(0)], ids=["plain", "coupled"])
def test_the_function_is_preserved(blueprint: Blueprint, more: list[int]) -> None:
    narrow = trained(blueprint)
    wide = widened(narrow, dict(zip(widths_of(blueprint), more, strict=True)))
    assert worst(wide, narrow) < 1e-5


def test_convolutions_without_a_group_keep_their_channels() -> None:
    nodes = (replace(n, prune_group="") if n.name == "conv1" else n for n in SMALL.nodes)
    narrow = trained(replace(SMALL, nodes=tuple(nodes)))
    wide = widened(narrow, {"conv0": 4, "conv2": 9})
    assert wide.blueprint.node("conv1").out_shape[0] == 6
    assert worst(wide, narrow) < 1e-5


def test_doubling_halves_every_weight_exactly() -> None:
    narrow = trained(SMALL)
    wide = widened(narrow, widths_of(SMALL))
    old, new = (weight(each, "conv1") for each in (narrow, wide))
    assert torch.equal(new[:6, :5], old / 2)
    order = importance(narrow)["conv0"].sort(descending=True, stable=True).indices
    assert torch.equal(new[:6, 5:], old[:, order] / 2)


def test_the_best_filters_are_split_first() -> None:
    narrow = trained(SMALL)
    wide = widened(narrow, {"conv0": 2, "conv1": 0, "conv2": 0})
    best = importance(narrow)["conv0"].sort(descending=True).indices[:2]
    old, new = (weight(each, "conv0") for each in (narrow, wide))
    assert torch.equal(new[5:], old[best])


def test_noise_is_on_copies_alone() -> None:
    narrow = trained(coupled(0))
    more = {"wide": 3, "inner": 2, "parts": 1}
    plain, noisy = (widened(narrow, more, noise_frac) for noise_frac in (0.0, 0.05))
    assert 1e-4 < worst(plain, noisy) < 1.0
    # Of the two parts of wide the first 4 of 7 channels are the narrow network's, of parts 6 of 7.
    old = {"wide": 2 * [*4 * [False], *3 * [True]], "parts": 2 * [*6 * [False], True]}
    old["inner"] = [*6 * [False], True, True]
    for name in ("stem", "inner", "outer", "deep", "parts"):
        before, after = (weight(each, name) for each in (plain, noisy))
        changed = (before != after).flatten(1).any(dim=1)
        assert changed.tolist() == old[plain.blueprint.node(name).prune_group]
        size, of = (values[changed].square().mean().sqrt() for values in (after - before, before))
        assert float(size / of) == pytest.approx(0.05, rel=0.4)
    assert torch.equal(weight(plain, "classifier"), weight(noisy, "classifier"))


def test_gradients_of_noisy_copies_differ() -> None:
    noisy = widened(trained(SMALL), {"conv0": 5, "conv1": 0, "conv2": 0}, 0.05).train()
    torch.autograd.backward(noisy(images(SMALL, 8)).square().sum())
    gradient = noisy.module("conv0").get_parameter("weight").grad
    assert gradient is not None
    assert len(torch.unique(gradient.flatten(1), dim=0)) == 10


def test_a_narrower_network_is_refused() -> None:
    narrow = trained(SMALL)
    smaller = build(with_widths(SMALL, {"conv1": 3}), None, generator=torch.Generator())
    with pytest.raises(UsageError, match="conv1: found 6 channels to widen and 6 scores"):
        widen(smaller, narrow, importance(narrow), noise_frac=0.0, generator=torch.Generator())
