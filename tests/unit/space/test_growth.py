"""What granules take of a budget: layer by layer the same as network by network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch import load_hardware, load_space
from cimsearch.blueprint import Blueprint
from cimsearch.cost.budget import ArrayBudget, Unit
from cimsearch.layer_table import LayerTable
from cimsearch.search.baselines import uniform_candidate
from cimsearch.space.fill import Grid, expand
from cimsearch.space.growth import ByLayer, ByNetwork, growth_of
from cimsearch.space.shapes import Ints, shapes_of
from cimsearch.space.widths import widths_of, with_widths
from tests.unit.space.budgets import QUARTER, budget, chip, coupled, vgg

NETWORKS = (vgg(QUARTER), coupled(), vgg((3, 9, 5), pooled=range(3), size=8))


def shared(limit: int) -> ArrayBudget:
    """Macros that several layers share."""
    hardware = chip()
    system = hardware.system.model_copy(update={"layers_per_array": "many"})
    return ArrayBudget(limit, hardware.model_copy(update={"system": system}), "macros")


def both(network: Blueprint, unit: Unit, steps: Ints) -> tuple[ByLayer, ByNetwork]:
    shapes, allowed = shapes_of(network), budget(1, unit)
    return ByLayer(shapes, allowed, steps), ByNetwork(shapes, allowed, steps)


@settings(max_examples=20)
@given(
    network=st.sampled_from(NETWORKS),
    unit=st.sampled_from(("bitlines", "macros", "cells")),
    step=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_layers_together_take_what_networks_take(
    network: Blueprint, unit: Unit, step: int, seed: int
) -> None:
    """Of many networks at once, asked again of others: what is kept of layers stays right."""
    shapes = shapes_of(network)
    steps = np.lcm(shapes.multiples, step)
    layers, networks = both(network, unit, steps)
    generator = np.random.default_rng(seed)
    # At first close to each other; the last ones are too far apart to be kept together.
    for spread in (1, 4, 60, 400):
        granules = generator.integers(1, 1 + spread, (3, len(steps)))
        for ask in ("totals", "added"):
            found = getattr(layers, ask)(granules * steps)
            wanted = getattr(networks, ask)(granules * steps)
            np.testing.assert_array_equal(found, wanted)


def test_a_layer_is_priced_once_for_each_of_its_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORKS[0]
    rows: list[int] = []
    priced = ArrayBudget.measure_layers

    def counted(self: ArrayBudget, table: LayerTable) -> tuple[Ints, Ints]:
        rows.append(table.shape[0])
        return priced(self, table)

    monkeypatch.setattr(ArrayBudget, "measure_layers", counted)
    growth = growth_of(shapes_of(network), budget(1), np.ones(len(QUARTER), dtype=np.int64))
    widths = np.array([QUARTER])
    growth.added(widths)
    # A layer alone, with a granule more of its inputs, and one more of its outputs.
    assert sum(rows) == 3
    growth.added(np.repeat(widths, 50, axis=0))
    growth.totals(widths)
    assert sum(rows) == 3


@pytest.mark.parametrize("limit", [6, 11])
def test_where_layers_share_macros_networks_are_priced_as_a_whole(limit: int) -> None:
    allowed, network = shared(limit), vgg((8, 12, 16), pooled=range(3))
    shapes = shapes_of(network)
    assert isinstance(growth_of(shapes, allowed, shapes.multiples), ByNetwork)
    assert isinstance(growth_of(shapes, budget(limit, "macros"), shapes.multiples), ByLayer)
    found = expand(network, allowed, Grid(8, 8))
    assert allowed.units(found.blueprint) == found.units <= limit
    made = widths_of(found.blueprint)
    for group, width in made.items():
        assert allowed.units(with_widths(found.blueprint, made | {group: width + 8})) > limit


def test_a_network_of_many_groups_is_filled_channel_by_channel() -> None:
    """Pricing whole networks one after the other took most of a minute to find the same."""
    hardware = load_hardware("macros/yu_cicc_2020")
    network = uniform_candidate(load_space("mobilenet_v1"), hardware, 8).blueprint
    found = expand(network, ArrayBudget(25_216, hardware), Grid(1, 4))
    made = [128, 128, 117, 59, 70, 128, 256, 256, 256, 205, 186, 237, 55, 4]
    assert [*widths_of(found.blueprint).values()] == made
    assert found.units == 25_216
    assert found.usage_frac > 0.9
