"""Morphing: prices are those of the staircase, dear channels die, the result fills its budget."""

from collections.abc import Mapping

import pytest
import torch

from cimsearch.blueprint import Blueprint
from cimsearch.cost.budget import ArrayBudget, bitlines_of
from cimsearch.errors import UsageError
from cimsearch.networks import Network, build
from cimsearch.space.fill import Grid
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec.data import DigitsData
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.recipe import Recipe
from cimsearch.training.accuracy import accuracy
from cimsearch.training.data import Images, load_part
from cimsearch.training.morph import (
    Bench,
    Morphed,
    Morphing,
    alive_channels,
    channel_prices,
    found_strength,
    gains,
    morph,
    normalised,
    pull,
    shrink,
)
from cimsearch.training.recipe import TrainingData
from tests.unit.space.budgets import budget, chip, coupled, vgg

DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
TRAINING = TrainingData(load_part(DIGITS, None, "train"), DIGITS)
SCORED = load_part(DIGITS, None, "validation")
RECIPE = Recipe(batch=64, parent_epochs=1, parent_lr=0.1, qat_lr=0.05)
PLAN = Morphing(rounds=2, shrink_epochs=2, tune_epochs=2, probe_steps=15, grid=Grid(4, 4))
WIDTHS = (16, 24, 32)


def network_of(blueprint: Blueprint, seed: int = 0) -> Network:
    return build(blueprint, None, generator=torch.Generator().manual_seed(seed))


def digits_network(w_bits: int) -> Blueprint:
    return vgg(WIDTHS, pooled=(0, 1), w_bits=w_bits, size=8, channels=1)


def bench(allowed: ArrayBudget, plan: Morphing = PLAN) -> Bench:
    generator = torch.Generator().manual_seed(3)
    return Bench(TRAINING, RECIPE, plan, allowed, SCORED, generator)


@pytest.fixture(scope="module")
def result() -> Morphed:
    return morph(network_of(digits_network(0)), digits_network(4), bench(budget(150)))


@pytest.mark.parametrize("group", ["conv0", "conv1", "conv2"])
def test_a_price_is_the_finite_difference_of_bitlines(group: str) -> None:
    network = vgg((28, 56, 84), pooled=(0, 1, 2))
    price = channel_prices(network, chip())[group]
    width = widths_of(network)[group]
    # 28 channels of 3 x 3 fill a tile; the classifier's 4 x 4 inputs of a channel need 16 rows.
    step = 112
    wider = with_widths(network, {group: width + step})
    found = bitlines_of(wider, chip()) - bitlines_of(network, chip())
    if group == "conv2":
        assert price * step == pytest.approx(found, abs=10)
    else:
        assert price * step == pytest.approx(found)


def test_prices_of_coupled_channels_add_up() -> None:
    prices = channel_prices(coupled(), chip())
    # Stem, outer and depthwise filters; rows of 9 in inner's 6 columns and of 1/2 in parts' 12.
    assert prices["wide"] == pytest.approx(1 + 1 + 1 + 6 * 9 / 252 + 12 / 2 / 256)
    assert prices["inner"] == pytest.approx(1 + 8 * 9 / 252)
    assert prices["parts"] == pytest.approx(1 + 5 * 16 / 256)


def test_prices_have_a_mean_of_1_over_channels() -> None:
    network = network_of(coupled(0))
    prices = normalised(channel_prices(coupled(), chip()), network)
    widths = widths_of(coupled())
    total = sum(prices[group] * width for group, width in widths.items())
    assert total == pytest.approx(sum(widths.values()))


def set_gains(network: Network, values: Mapping[str, float]) -> None:
    """Set the gain of the first channel of norms, by name; all others are 1."""
    with torch.no_grad():
        for name, value in values.items():
            network.module(name).get_parameter("weight")[0] = value


def test_a_coupled_channel_is_dead_only_where_all_its_norms_say_so() -> None:
    network = network_of(coupled(0))
    set_gains(network, {"stem.norm": 0.001, "outer.norm": -0.001, "inner.norm": 0.001})
    assert gains(network)["wide"][0].item() == pytest.approx((1 / 3) ** 0.5, rel=1e-3)
    assert alive_channels(network) == {"wide": 8, "inner": 5, "parts": 12}
    set_gains(network, {"deep.norm": 0.001})
    # One is dead now, of the one part: the other part decides.
    assert alive_channels(network) == {"wide": 8, "inner": 5, "parts": 12}
    with torch.no_grad():
        for name in ("stem.norm", "outer.norm", "deep.norm"):
            network.module(name).get_parameter("weight")[4] = 0.0
    assert alive_channels(network) == {"wide": 6, "inner": 5, "parts": 12}


def test_some_channels_stay_whatever_their_gains() -> None:
    network = network_of(coupled(0))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.zero_()
    assert alive_channels(network, least=3) == {"wide": 4, "inner": 3, "parts": 4}


def test_gains_are_drawn_to_zero_and_no_further() -> None:
    network = network_of(digits_network(0))
    set_gains(network, {"conv0.norm": -0.1, "conv1.norm": -0.3})
    pull(network, {"conv0": 2.0, "conv1": 2.0, "conv2": 0.5}, 0.1)
    left = [network.module(f"conv{i}.norm").get_parameter("weight").detach() for i in range(3)]
    assert left[0].tolist() == pytest.approx([0.0] + 15 * [0.8])
    assert left[1].tolist() == pytest.approx([-0.1] + 23 * [0.8])
    assert left[2].tolist() == pytest.approx(32 * [0.95])


def test_coupled_gains_reach_zero_together() -> None:
    network = network_of(coupled(0))
    norms = ("stem.norm", "outer.norm", "deep.norm")
    set_gains(network, dict(zip(norms, (0.2, -0.1, 0.2), strict=True)))
    prices = dict.fromkeys(widths_of(coupled()), 1.0)
    # The channel's gain is 0.3 / sqrt(3) and falls by amount / 3.
    pull(network, prices, 0.15 * 3**0.5)
    first = [network.module(name).get_parameter("weight")[0].item() for name in norms]
    assert first == pytest.approx([0.1, -0.05, 0.1])
    pull(network, prices, 0.151 * 3**0.5)
    assert gains(network)["wide"][0] == 0


def test_dear_channels_die_first() -> None:
    network = network_of(digits_network(0))
    generator = torch.Generator().manual_seed(1)
    prices = {"conv0": 0.2, "conv1": 2.0, "conv2": 0.2}
    shrink(network, TRAINING, RECIPE, prices, strength=0.5, steps=40, generator=generator)
    left = alive_channels(network)
    assert left["conv0"] == 16
    assert left["conv1"] < 18
    assert left["conv2"] > 28
    assert int((gains(network)["conv1"] == 0).sum()) == 24 - left["conv1"]


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 30.0])
def test_a_strength_is_found(scale: float) -> None:
    tried = []

    def share(strength: float) -> float:
        tried.append(strength)
        return 1 / (1 + strength / scale)

    strength = found_strength(share, (0.6, 0.8), first=1e-2)
    assert 0.6 <= share(strength) <= 0.8
    assert len(tried) <= 13


def test_the_nearest_strength_is_taken_where_none_fits() -> None:
    def share(strength: float) -> float:
        return 0.9 if strength < 0.1 else 0.1

    assert found_strength(share, (0.6, 0.8), first=1.0) < 0.1


def test_the_result_fills_its_budget_at_every_expansion(result: Morphed) -> None:
    kinds = [(stage.round, stage.kind) for stage in result.history]
    rounds = [(n, kind) for n in (1, 2) for kind in ("shrunk", "expanded", "tuned")]
    assert kinds == [(0, "start"), *rounds]
    for stage in result.history:
        if stage.kind in ("expanded", "tuned"):
            assert stage.units <= 150
            assert stage.usage_frac > 0.7
            assert all(width % 4 == 0 for width in stage.widths.values())
    start, *_, last = result.history
    assert start.units == bitlines_of(digits_network(4), chip()) == 82
    assert last.units == bitlines_of(result.blueprint, chip())
    assert last.widths == widths_of(result.blueprint) == widths_of(result.network.blueprint)
    assert last.widths != start.widths


def test_the_result_has_learned(result: Morphed) -> None:
    assert result.history[-1].accuracy == accuracy(result.network, SCORED, DIGITS) > 0.8
    assert all(stage.strength > 0 for stage in result.history if stage.kind == "shrunk")
    assert not result.network.training


def test_filters_are_inherited(result: Morphed) -> None:
    shrunk, expanded = result.history[-3:-1]
    assert (shrunk.kind, expanded.kind) == ("shrunk", "expanded")
    assert expanded.accuracy > shrunk.accuracy - 0.3


def test_equal_streams_give_equal_bits_and_the_given_network_stays() -> None:
    plan = Morphing(rounds=1, shrink_epochs=0.2, tune_epochs=0.2, probe_steps=2)
    network, untouched = (network_of(digits_network(0)) for _ in range(2))
    first, second = (
        morph(network, digits_network(4), bench(budget(16_000, "cells"), plan)) for _ in range(2)
    )
    assert first.history == second.history
    assert first.history[-1].units <= 16_000
    for name, values in first.network.state_dict().items():
        assert torch.equal(values, second.network.state_dict()[name])
    for name, values in untouched.state_dict().items():
        assert torch.equal(values, network.state_dict()[name])


def _small(images: Images) -> Images:
    """The images of the first five classes at half their size."""
    few = images.y < 5
    return Images(images.x[few][:, :, ::2, ::2].copy(), images.y[few])


def test_couplings_are_morphed() -> None:
    plan = Morphing(rounds=1, shrink_epochs=0.5, tune_epochs=0.5, probe_steps=5)
    hardware: Hardware = chip()
    small = TrainingData(_small(TRAINING.images), DIGITS)
    run = Bench(
        small,
        RECIPE,
        plan,
        ArrayBudget(120, hardware),
        _small(SCORED),
        torch.Generator().manual_seed(0),
    )
    result = morph(network_of(coupled(0)), coupled(4), run)
    widths = widths_of(result.blueprint)
    assert widths["wide"] % 2 == widths["parts"] % 2 == 0
    assert bitlines_of(result.blueprint, hardware) <= 120
    assert result.network.blueprint.node("deep").groups == widths["wide"]


def test_widths_that_differ_are_told() -> None:
    with pytest.raises(UsageError, match="a network of other widths than the blueprint's"):
        morph(network_of(vgg((8, 8, 8), w_bits=0)), digits_network(4), bench(budget(150)))
