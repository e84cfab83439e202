"""Block sizes: steps of the priced staircase, found from prices alone, and how much may go."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.cost.model import estimate_table
from cimsearch.layer_table import layer_table
from cimsearch.space import Candidate
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec import load_hardware
from cimsearch.training.gain.blocks import block_sizes, drops, reach, room
from cimsearch.training.gain.channels import Channels
from cimsearch.training.gain.prices import Pricing
from cimsearch.training.gain.target import Target
from tests.unit.training.gain_networks import residual, separable

HARDWARE = load_hardware("macros/yu_cicc_2020")
ENERGY = Target(0.5)


def with_bits(candidate: Candidate, bits: int) -> Candidate:
    nodes = candidate.blueprint.nodes
    changed = (replace(n, w_bits=bits) if n.placement == "cim" else n for n in nodes)
    return replace(candidate, blueprint=replace(candidate.blueprint, nodes=tuple(changed)))


@settings(max_examples=25)
@given(
    group=st.sampled_from(["wide", "inner", "last"]),
    width=st.integers(12, 72),
    bits=st.sampled_from([2, 3, 4, 8]),
)
def test_blocks_are_where_the_arrays_convert_less(group: str, width: int, bits: int) -> None:
    """Conversions follow whole arrays and row groups: the steps that prices have to show."""
    blueprint = with_bits(residual(), bits).blueprint
    options = [{group: width - count} for count in range(width // 3 + 1)]
    pricing = Pricing(blueprint, HARDWARE)
    prices = pricing.of(options)
    costs = prices.share(pricing.of([widths_of(blueprint)]), ENERGY)
    found = drops(costs)
    table = layer_table([with_widths(blueprint, option) for option in options])
    swept = np.asarray(estimate_table(table, HARDWARE).mapping.swept_conversions).sum(axis=1)
    fewer = [place for place in range(1, len(swept)) if swept[place] < swept[place - 1]]
    # Where every channel saves conversions, none of them is a step.
    assert set(fewer) <= set(found) or len(fewer) == len(swept) - 1
    # The slope between steps drifts a little: what is found beside them is hardly above it.
    saved = costs[:-1] - costs[1:]
    assert all(saved[place - 1] < 1.5 * saved.min() for place in set(found) - set(fewer))


@pytest.mark.parametrize(
    ("costs", "found"),
    [
        ([1.0], []),
        ([1.0, 0.9, 0.8], []),
        ([1.0, 0.99, 0.7, 0.69, 0.4], [2, 4]),
        ([1.0, 0.7, 0.4, 0.39], [1, 2]),
        ([1.0, 1.0, 1.0], []),
        # One more channel less may cost more: where copies of a layer come and go.
        ([1.0, 1.1, 0.9], [2]),
    ],
)
def test_steps_are_told_from_the_slope(costs: list[float], found: list[int]) -> None:
    assert drops(costs) == found


def test_one_channel_is_always_tried() -> None:
    assert block_sizes([1.0, 0.99, 0.98, 0.5]) == [1, 3]
    assert block_sizes([1.0]) == []


def test_a_round_takes_a_share_of_what_it_began_with() -> None:
    channels = Channels.all_of(residual(20).parent)
    begun, target = channels.widths, Target(0.5, most_frac=0.3)
    assert room(channels, begun, target) == {"wide": 6, "inner": 6, "last": 2}
    less = channels.changed({"wide": 4, "last": 2})
    assert room(less, begun, target) == {"wide": 2, "inner": 6, "last": 0}
    assert reach(less, target) == {"wide": 15, "inner": 19, "last": 5}
    floor = Target(0.5, least_channels=18)
    assert reach(less, floor) == {"wide": 0, "inner": 2, "last": 0}


def test_grouped_channels_go_a_group_each_and_a_narrow_group_can_still_lose_one() -> None:
    channels = Channels.all_of(separable().parent)
    assert room(channels, channels.widths, Target(0.5, most_frac=0.1)) == {"wide": 2, "last": 2}
    narrow = channels.changed({"last": 4})
    assert reach(narrow, Target(0.5)) == {"wide": 6, "last": 0}
    assert reach(channels, Target(0.5, least_channels=3)) == {"wide": 4, "last": 2}
