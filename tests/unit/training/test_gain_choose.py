"""The choice: the least importance per unit of cost, against every removal enumerated."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from cimsearch.blueprint import Blueprint
from cimsearch.cost.model import estimate_table
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.space import Candidate
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.statistics import LayerStatistics
from cimsearch.spec.study import Statistics
from cimsearch.training.gain.channels import Channels
from cimsearch.training.gain.choose import Chooser, Move
from cimsearch.training.gain.exchange import exchanges
from cimsearch.training.gain.prices import Pricing
from cimsearch.training.gain.target import Per, Target
from tests.unit.cost.test_staircase import network
from tests.unit.cost.tiny import hardware
from tests.unit.training.gain_networks import residual, separable

HARDWARE = load_hardware("macros/yu_cicc_2020")
REACH = {"wide": 4, "inner": 4, "last": 2}


def chooser_of(
    candidate: Candidate, target: Target, hardware: Hardware = HARDWARE
) -> tuple[Chooser, Channels]:
    """Return a chooser, and channels whose importances differ."""
    pricing = Pricing(candidate.blueprint, hardware)
    channels, generator = Channels.all_of(candidate.parent), torch.Generator().manual_seed(7)
    drawn = {
        group: torch.rand(width, generator=generator) + 0.05
        for group, width in channels.widths.items()
    }
    start = pricing.of([widths_of(candidate.blueprint)])
    return Chooser(pricing, start, target), channels.measured(drawn)


def cost(blueprint: Blueprint, target: Target) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return energy, latency and bitlines times their weights, priced alone."""
    found = estimate_table(layer_table([blueprint]), HARDWARE)
    weights = (target.energy, target.latency, target.bitlines)
    costs = (found.energy_pj[0], found.latency_ns[0], found.mapping.bitlines.sum())
    return np.array([w * c for w, c in zip(weights, costs, strict=True)])


def score(
    candidate: Candidate, channels: Channels, counts: Mapping[str, int], at: Target
) -> float:
    """Return importance given up over the share of the cost saved, by the definition."""
    lost = sum(
        float(channels.importance[group].sort().values[:count].sum())
        for group, count in counts.items()
    )
    whole = cost(candidate.blueprint, at)
    widths = {group: channels.widths[group] - count for group, count in counts.items()}
    narrow = cost(with_widths(candidate.blueprint, widths), at)
    unweighted = cost(candidate.blueprint, Target(0.5, energy=1.0, latency=1.0, bitlines=1.0))
    saved = float(((whole - narrow) / unweighted).sum())
    return lost / (saved / (at.energy + at.latency + at.bitlines)) if saved > 1e-9 else np.inf


@pytest.mark.parametrize("weights", [(1.0, 0.0, 0.0), (1.0, 0.5, 2.0)])
def test_the_chosen_block_is_the_argmin_over_every_removal(
    weights: tuple[float, float, float],
) -> None:
    energy, latency, bitlines = weights
    target = Target(0.5, energy=energy, latency=latency, bitlines=bitlines)
    chooser, channels = chooser_of(residual(), target)
    counts = [range(most + 1) for most in REACH.values()]
    every = [
        {group: count for group, count in zip(REACH, taken, strict=True) if count}
        for taken in product(*counts)
        if 0 < sum(map(bool, taken)) <= 2
    ]
    scores = [score(residual(), channels, option, target) for option in every]
    best = chooser.best(channels, REACH)
    assert best is not None
    assert best.score == pytest.approx(min(scores), rel=1e-6)
    assert best.removed == every[int(np.argmin(scores))]


def test_a_whole_step_of_the_staircase_goes_where_it_saves_most() -> None:
    # 8 channels of 3 x 3 are 72 rows, two row groups of 64; 7 channels are one.
    chooser, channels = chooser_of(residual(8), Target(0.5))
    equal = channels.measured({group: torch.ones(8) for group in channels.kept})
    moves = chooser.moves(equal, dict.fromkeys(equal.kept, 2))
    assert moves[0].removed in ({"wide": 1}, {"inner": 1}, {"wide": 1, "inner": 1})
    assert moves[0].score < 0.3 * next(m.score for m in moves if m.removed == {"last": 1})


def ranked(per: Per) -> list[tuple[str, float]]:
    """Return the single channels in the order of a control."""
    chooser, channels = chooser_of(residual(), Target(0.5, per=per))
    moves = chooser.moves(channels, REACH)
    one = [next(iter(m.removed.items())) for m in moves if len(m.removed) == 1]
    return [(group, float(channels.importance[group].min())) for group, n in one if n == 1]


@pytest.mark.parametrize("per", ["macs", "parameters"])
def test_controls_rank_by_what_they_divide_by(per: Per) -> None:
    blueprint = residual().blueprint

    def size(of: Blueprint) -> int:
        return of.macs if per == "macs" else of.weights

    found = ranked(per)
    by_hand = sorted(
        found,
        key=lambda item: (
            item[1]
            / (
                size(blueprint)
                - size(with_widths(blueprint, {item[0]: widths_of(blueprint)[item[0]] - 1}))
            )
        ),
    )
    assert [group for group, _ in found] == [group for group, _ in by_hand]
    chooser, channels = chooser_of(residual(), Target(0.5, per=per))
    best = chooser.best(channels, REACH)
    assert best is not None
    assert best.removed == {found[0][0]: 1}


def test_plain_takes_the_least_important_channel() -> None:
    found = ranked("plain")
    assert [value for _, value in found] == sorted(value for _, value in found)
    chooser, channels = chooser_of(residual(), Target(0.5, per="plain"))
    best = chooser.best(channels, REACH)
    assert best is not None
    assert best.removed == {found[0][0]: 1}
    assert best.score == best.importance == pytest.approx(found[0][1])


def test_a_block_that_a_round_has_no_room_for_is_cut() -> None:
    chooser, channels = chooser_of(separable(), Target(0.5))
    move = Move({"wide": 6, "last": 2}, 3.0, 4.0)
    cut = chooser.cut(move, channels, {"wide": 4, "last": 0})
    assert cut.removed == {"wide": 4}
    assert cut.importance == pytest.approx(channels.lost("wide")[2])
    assert chooser.cut(move, channels, {"wide": 8, "last": 4}).removed == move.removed


def test_what_saves_nothing_is_passed_over() -> None:
    chooser, channels = chooser_of(residual(), Target(0.5))
    assert chooser.best(channels, dict.fromkeys(REACH, 0)) is None
    # A network that is not on arrays has no bitlines to save.
    off = Candidate(channels_off(residual().blueprint), residual().parent)
    chooser, channels = chooser_of(off, Target(0.5, bitlines=1.0, energy=0.0))
    assert chooser.best(channels, REACH) is None


def test_two_blocks_go_together_where_neither_saves_alone() -> None:
    """Six macros hold the network without the last two channels of both groups, and only then."""
    system = HARDWARE.system.model_copy(update={"macros": 6})
    chip = HARDWARE.model_copy(update={"system": system})
    chooser, channels = chooser_of(residual(30), Target(0.5), chip)
    equal = channels.measured({g: torch.ones(w) for g, w in channels.widths.items()})
    moves = chooser.moves(equal, {"wide": 3, "inner": 3, "last": 0})
    assert moves[0].removed == {"wide": 2, "inner": 2}
    alone = min(move.score for move in moves if len(move.removed) == 1)
    assert moves[0].score < 0.9 * alone


def test_widths_without_a_price_are_never_chosen() -> None:
    """A table of array calls that tells 2 to 4 rows has no price for a last row group of one."""
    points = [
        {"bits": bits, "rows": rows, "activity_frac": 0.5, "energy_pj": rows, "delay_ns": bits}
        for bits in (1, 5)
        for rows in (2, 4)
    ]
    table = {"components": ["cells", "adc"], "density_frac": 0.5, "points": points}
    on = hardware(array_call=table, configurable={})
    pricing = Pricing(network(6, 4), on)
    prices = pricing.of([{"first": width} for width in (6, 5, 4)])
    assert np.isfinite(prices.energy_pj).tolist() == [True, False, True]
    floating = replace(
        network(6, 4), nodes=tuple(replace(n, w_bits=0, x_bits=0) for n in network(6, 4).nodes)
    )
    chooser, channels = chooser_of(Candidate(network(6, 4), floating), Target(0.5), on)
    moves = chooser.moves(channels, {"first": 2})
    assert {tuple(m.removed.values()): np.isfinite(m.score) for m in moves} == {
        (1,): False,
        (2,): True,
    }
    with pytest.raises(HardwareError, match="rows"):
        pricing.of([{"first": 5}])


def test_statistics_of_single_layers_are_priced() -> None:
    candidate = residual()
    quiet = Statistics(layers=(LayerStatistics(layer="second", activity_frac=0.0),))
    prices = [
        Pricing(candidate.blueprint, HARDWARE, statistics).of([{}]).energy_pj[0]
        for statistics in (None, Statistics(), quiet)
    ]
    assert prices[0] == prices[1] > prices[2]


def channels_off(blueprint: Blueprint) -> Blueprint:
    """Return a network that is not on arrays."""
    nodes = (replace(n, placement="digital") if n.has_weights else n for n in blueprint.nodes)
    return replace(blueprint, nodes=tuple(nodes))


def test_channels_of_grouped_convolutions_go_one_a_group() -> None:
    chooser, channels = chooser_of(separable(), Target(0.5))
    moves = chooser.moves(channels, {"wide": 4, "last": 2})
    assert {count % 2 for move in moves for count in move.removed.values()} == {0}
    after = channels.changed({"wide": 2})
    gone = (~after.kept["wide"]).nonzero().flatten().tolist()
    halves = channels.importance["wide"].view(2, 4)
    assert gone == [int(halves[0].argmin()), 4 + int(halves[1].argmin())]


@pytest.mark.parametrize("per", ["cim", "macs", "plain"])
@pytest.mark.parametrize("candidate", [residual(), separable()], ids=["residual", "separable"])
def test_exchanges_lose_less_at_no_more_cost_until_none_is_left(
    candidate: Candidate, per: Per
) -> None:
    chooser, channels = chooser_of(candidate, Target(0.5, per=per))
    # Gone without regard to importance: there is much to be had back.
    generator = torch.Generator().manual_seed(1)
    drawn = {g: torch.rand(w, generator=generator) for g, w in channels.widths.items()}
    now = channels.measured(drawn).changed({"wide": 4, "last": 2})
    now = Channels(now.kept, channels.importance, now.parts)
    made = list(exchanges(now, chooser))
    for after, exchange in made:
        before, narrow = (
            chooser.pricing.of([c.widths]).led_by(chooser.start, chooser.target)[0]
            for c in (now, after)
        )
        assert narrow <= before + 1e-12
        assert lost(after) - lost(now) == pytest.approx(exchange.lost)
        assert exchange.lost < 0
        assert sorted(map(np.sign, exchange.counts.values())) == [-1, 1]
        now = after
    assert not list(exchanges(now, chooser))


def lost(channels: Channels) -> float:
    return sum(
        float(values[~channels.kept[group]].sum()) for group, values in channels.importance.items()
    )


def test_an_exchange_brings_back_what_should_not_have_gone() -> None:
    chooser, channels = chooser_of(residual(), Target(0.5))
    values = {g: torch.full((w,), 0.5) for g, w in channels.widths.items()}
    now = channels.measured(values | {"inner": torch.full((12,), 9.0)}).changed({"inner": 1})
    assert now.widths["inner"] == 11
    first, exchange = next(exchanges(now, chooser))
    assert exchange.counts["inner"] == -1
    assert bool(first.kept["inner"].all())
