"""Budgets filled: the published shapes, nothing over budget, granules and couplings kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint
from cimsearch.cost import estimate, mapping_plan
from cimsearch.cost.budget import ArrayBudget, Unit, array_use, bitlines_of
from cimsearch.errors import HardwareError, SpaceError, UsageError
from cimsearch.layer_table import layer_table
from cimsearch.space import Space
from cimsearch.space.fill import Grid, expand, scaled
from cimsearch.space.shapes import shapes_of
from cimsearch.space.widths import multiples_of, widths_of, with_widths
from cimsearch.spec import load_space_spec
from tests.unit.space.budgets import QUARTER, budget, chip, coupled, vgg

VGG9 = vgg(QUARTER)
GRID = Grid(step=7, least=14)


def widths(blueprint: Blueprint) -> list[int]:
    return [*widths_of(blueprint).values()]


def times(ratio: float) -> Blueprint:
    """The quarter VGG9 with all widths times ``ratio``, rounded half up."""
    made = {group: int(ratio * width + 0.5) for group, width in widths_of(VGG9).items()}
    return with_widths(VGG9, made)


def test_the_quarter_vgg9_takes_what_the_arithmetic_says() -> None:
    assert (VGG9.weights, bitlines_of(VGG9, chip())) == (294_320, 1482)
    assert VGG9.weights / (1482 * 256) == pytest.approx(0.776, abs=5e-4)


@pytest.mark.parametrize(
    ("limit", "ratio", "weights", "percent"),
    [(512, 0.54, 86_604, 66.1), (1024, 0.87, 223_005, 85.1), (2048, 1.27, 475_165, 90.6)],
)
def test_uniform_scaling_by_whole_percents(
    limit: int, ratio: float, weights: int, percent: float
) -> None:
    fits, too_wide = times(ratio), times(ratio + 0.01)
    assert bitlines_of(fits, chip()) <= limit < bitlines_of(too_wide, chip())
    assert fits.weights == weights
    assert round(100 * budget(limit).usage_frac(fits), 1) == percent


@pytest.mark.parametrize(
    ("limit", "weights", "percent"),
    [(512, 86_604, 66.1), (1024, 225_526, 86.0), (2048, 475_165, 90.6)],
)
def test_uniform_scaling_by_the_largest_ratio(limit: int, weights: int, percent: float) -> None:
    found = scaled(VGG9, budget(limit))
    assert found.blueprint.weights == weights
    assert round(100 * found.usage_frac, 1) == percent
    assert found.usage_frac == weights / (limit * 256) == budget(limit).usage_frac(found.blueprint)
    assert found.units == bitlines_of(found.blueprint, chip()) <= limit


@pytest.mark.parametrize("limit", [512, 1024, 2048])
@pytest.mark.parametrize("step", [1, 4, 7])
def test_grid_shapes_fill_a_budget(limit: int, step: int) -> None:
    found = expand(VGG9, budget(limit), Grid(step=step, least=14))
    assert found.usage_frac == found.blueprint.weights / (limit * 256) >= 0.9
    assert found.units == bitlines_of(found.blueprint, chip()) <= limit
    assert min(widths(found.blueprint)) >= 14


def test_filling_is_deterministic() -> None:
    assert expand(VGG9, budget(512), GRID) == expand(VGG9, budget(512), GRID)


def test_importance_decides_what_grows() -> None:
    groups = widths_of(VGG9)
    first, last = (
        expand(
            VGG9, budget(1600), GRID, {group: 1.0 + 1e6 * (group == chosen) for group in groups}
        ).blueprint
        for chosen in ("conv0", "conv7")
    )
    assert widths_of(first)["conv0"] > widths_of(last)["conv0"]
    assert widths_of(last)["conv7"] > widths_of(first)["conv7"]


@pytest.mark.parametrize(
    ("unit", "limit", "cells"), [("macros", 16, 256 * 256), ("cells", 100_000, 1)]
)
def test_other_units(unit: Unit, limit: int, cells: int) -> None:
    allowed = budget(limit, unit)
    found = expand(VGG9, allowed, GRID)
    assert found.units == allowed.units(found.blueprint) <= limit
    assert found.usage_frac == found.blueprint.weights / (limit * cells)
    assert found.usage_frac > scaled(VGG9, allowed, GRID).usage_frac


def test_units_are_those_of_the_cost_model() -> None:
    report = estimate(VGG9, chip())
    assert budget(99, "macros").units(VGG9) == report.macros
    used = sum(place.cells for place in mapping_plan(VGG9, chip()))
    assert budget(99, "cells").units(VGG9) == used == VGG9.weights


@settings(max_examples=15, deadline=None)
@given(
    limit=st.integers(300, 3000),
    step=st.integers(1, 14),
    rows=st.sampled_from((128, 256, 512)),
    base=st.lists(st.integers(1, 64), min_size=2, max_size=5),
)
def test_nothing_is_over_budget_and_no_granule_is_left(
    limit: int, step: int, rows: int, base: list[int]
) -> None:
    network = vgg(base, pooled=range(5))
    allowed = budget(limit, rows=rows)
    found = expand(network, allowed, Grid(step, step))
    made = widths_of(found.blueprint)
    assert allowed.units(found.blueprint) == found.units <= limit
    assert all(width % step == 0 for width in made.values())
    for group, width in made.items():
        wider = with_widths(found.blueprint, made | {group: width + step})
        assert allowed.units(wider) > limit


def test_couplings_are_kept() -> None:
    found = expand(coupled(), budget(300), Grid(step=3, least=1))
    made = widths_of(found.blueprint)
    assert multiples_of(coupled()) == {"wide": 2, "inner": 1, "parts": 2}
    assert made["wide"] % 6 == made["parts"] % 6 == made["inner"] % 3 == 0
    assert found.blueprint.node("deep").groups == made["wide"]
    assert found.usage_frac > scaled(coupled(), budget(300)).usage_frac


def test_what_is_never_on_arrays_is_not_filled() -> None:
    networks = Space(load_space_spec("resnet8")).uniform(weight_bits=4, activation_bits=4)
    found = expand(networks.blueprint, budget(700), GRID)
    assert found.units <= 700
    assert found.blueprint.node("stem").placement == "digital"
    assert found.usage_frac >= 0.8


@pytest.mark.parametrize("network", [VGG9, coupled()])
def test_shapes_are_those_of_the_network(network: Blueprint) -> None:
    shapes = shapes_of(network)
    made = np.array([shapes.multiples * k for k in (1, 2, 5)] + [shapes.widths])
    tables = shapes.table(made)
    wanted = layer_table([shapes.network(each) for each in made])
    for name in ("in_channels", "out_channels", "groups", "kernel_height", "w_bits"):
        np.testing.assert_array_equal(getattr(tables, name), getattr(wanted, name))
    np.testing.assert_array_equal(
        array_use(tables, chip()).bitlines, array_use(wanted, chip()).bitlines
    )


def test_a_budget_that_nothing_fits_into_is_told() -> None:
    with pytest.raises(SpaceError) as error:
        expand(VGG9, budget(100), GRID)
    assert error.value.message == (
        "budget: found 100 bitlines; the network takes 122 at its least widths "
        "(14, 14, 14, 14, 14, 14, 14, 14)"
    )


def test_a_network_without_arrays_is_told() -> None:
    with pytest.raises(SpaceError, match="a network without prune groups on arrays"):
        expand(vgg(QUARTER, w_bits=0), budget(100), GRID)


@pytest.mark.parametrize(("step", "least"), [(0, 1), (1, 0), (-7, 14)])
def test_a_grid_of_no_widths_is_told(step: int, least: int) -> None:
    with pytest.raises(UsageError, match=r"grid: found steps of .*; allowed are 1 or more"):
        Grid(step, least)


def test_a_group_without_an_importance_is_told() -> None:
    known = dict.fromkeys([*widths_of(vgg(QUARTER))][1:], 1.0)
    with pytest.raises(SpaceError, match=r"importance: missing of \S+$"):
        expand(vgg(QUARTER), budget(512), importance=known)


def test_no_budget_is_told() -> None:
    with pytest.raises(UsageError, match="budget: found 0 bitlines; allowed is 1 or more"):
        ArrayBudget(0, chip())


def test_a_float_network_on_arrays_is_told_by_its_layer() -> None:
    with pytest.raises(HardwareError, match="conv0: weight bits: found 16"):
        bitlines_of(vgg(QUARTER, w_bits=16), chip())
