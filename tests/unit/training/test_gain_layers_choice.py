"""The choice between channels and residual blocks: the least importance per cost saved."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cimsearch.space.bypass import without
from cimsearch.space.widths import widths_of
from cimsearch.training.gain import Target
from cimsearch.training.gain.channels import Added, Channels
from cimsearch.training.gain.choose import Chooser
from cimsearch.training.gain.prices import Pricing
from tests.unit.training.gain_networks import stream
from tests.unit.training.test_gain_layers import CANDIDATE, HARDWARE, ONE, TWO, energy_pj


def chooser_of(target: Target) -> tuple[Chooser, Channels]:
    """Return a chooser, and channels and blocks whose importances differ."""
    pricing = Pricing(CANDIDATE.blueprint, HARDWARE)
    start = pricing.of([widths_of(CANDIDATE.blueprint)])
    channels, generator = Channels.all_of(CANDIDATE.parent), stream(7)
    drawn = {group: torch.rand(w, generator=generator) for group, w in channels.widths.items()}
    added = {name: Added("wide", torch.rand(8, generator=generator)) for name in (ONE, TWO)}
    return Chooser(pricing, start, target), channels.measured(drawn, added)


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_a_block_goes_where_it_gives_up_least_for_what_it_saves(scale: float) -> None:
    chooser, channels = chooser_of(Target(0.5, layers=True))
    added = {
        name: replace(each, importance=scale * each.importance)
        for name, each in channels.added.items()
    }
    channels = replace(channels, added=added)
    moves = chooser.moves(channels, {"wide": 2, "one.a": 4, "two.a": 4, "last": 2})
    of_blocks = {move.block: move for move in moves if move.block}
    whole = energy_pj(CANDIDATE.blueprint)
    for name, move in of_blocks.items():
        saved = 1 - energy_pj(without(CANDIDATE.blueprint, name)) / whole
        assert move.importance == pytest.approx(float(added[name].importance.sum()))
        assert move.score == pytest.approx(move.importance / saved)
    assert moves[0].score == min(move.score for move in moves)
    assert bool(moves[0].block) == (scale < 1)


def test_a_block_gives_up_only_the_channels_that_it_still_adds() -> None:
    _, channels = chooser_of(Target(0.5, layers=True))
    fewer = channels.changed({"wide": 3})
    there = fewer.kept["wide"]
    assert int(there.sum()) == 5
    assert fewer.added_by(ONE) == pytest.approx(float(channels.added[ONE].importance[there].sum()))
    # What is measured next is of those that are there.
    again = fewer.measured(
        {group: torch.ones(width) for group, width in fewer.widths.items()},
        {ONE: Added("wide", torch.arange(1.0, 6.0))},
    )
    assert again.added_by(ONE) == 15.0
    assert again.changed({"wide": 1}).added_by(ONE) < 15.0


def test_with_a_block_the_channels_inside_it_go() -> None:
    channels = Channels.all_of(CANDIDATE.parent).changed({"wide": 3, "one.a": 2})
    within = channels.within(without(CANDIDATE.parent, ONE))
    assert within.widths == {"wide": 5, "two.a": 8, "last": 8}
    assert np.all(within.kept["wide"].numpy() == channels.kept["wide"].numpy())


def test_the_last_layers_on_arrays_stay() -> None:
    """Without its two blocks the network would have nothing on arrays, and a price of nothing."""
    inside = ("one.", "two.")
    nodes = tuple(
        node
        if node.name.startswith(inside) or not node.has_weights
        else replace(node, placement="digital", adc_bits=0)
        for node in CANDIDATE.blueprint.nodes
    )
    chooser, channels = chooser_of(Target(0.5, layers=True))
    blueprint = replace(CANDIDATE.blueprint, nodes=nodes)
    chooser = replace(chooser, pricing=replace(chooser.pricing, blueprint=blueprint))
    moves = chooser.moves(channels, {"wide": 2, "one.a": 4})
    assert {move.block for move in moves} == {"", ONE, TWO}
    last, left = chooser.without(ONE), channels.within(without(CANDIDATE.parent, ONE))
    assert {move.block for move in last.moves(left, {"wide": 2})} == {""}
