"""Cells of a chip: ideal without effects, the same for a seed, and read at a condition."""

from itertools import combinations
from math import sqrt
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.cim.cells import chip_cells, leakage_growth, pvt_gain
from cimsearch.spec.condition import AS_STATED, Condition
from tests.unit.cim.builders import ENCODINGS, generator
from tests.unit.cim.chips import (
    CURRENT,
    RESISTIVE,
    assert_moments,
    conductance,
    distinct,
    hold,
    layout,
    level,
    numerics,
    random_stored,
)

NOTHING: dict[str, Any] = {
    "device_to_device": {},
    "stuck": {},
    "ir_drop": {},
    "pvt": {},
    "drift": {"model": "pcm", "compensation": "column"},
    "programming": {"model": "proportional", "sigma_frac": 0.0},
}
PROGRAMMING = {"programming": {"model": "proportional", "sigma_frac": 0.1}}
PARTS = {"cell_sigma_frac": 0.1, "column_sigma_frac": 0.1, "chip_sigma_frac": 0.1}
EVERYTHING: dict[str, Any] = {
    "cell_sigma_frac": 0.02,
    "programming": {"model": "pcm_joshi"},
    "device_to_device": PARTS,
    "stuck": {"off_frac": 0.01, "on_frac": 0.01},
    "ir_drop": {"wordline_ohm": 1.0, "bitline_ohm": 1.0},
    "pvt": {"gain_per_c": 0.001, "process_sigma_frac": 0.05},
    "drift": {"model": "pcm", "age_s": 1e5, "compensation": "column"},
    "read": {"model": "pcm_1f"},
}


@given(
    st.sampled_from([e for e in ENCODINGS if e != "twos_complement"]),
    st.integers(2, 8),
    st.integers(1, 4),
    st.floats(1.01, 1e4),
)
@settings(deadline=None, max_examples=30)
def test_effects_of_no_size_change_nothing(
    encoding: str, w_bits: int, cell_bits: int, ratio: float
) -> None:
    made = numerics(
        NOTHING,
        device="pcm",
        w_bits=w_bits,
        encoding=encoding,
        array={"cell_bits": cell_bits},
        cell={"on_off_ratio": ratio},
    )
    stored = random_stored(made, 20, 6)
    found = hold(stored, made)
    assert torch.equal(found.values, stored)
    assert found.values.dtype == torch.float32
    assert found.read_power is None


def test_without_any_effect_nothing_is_drawn() -> None:
    stored = level(1, 4, 4)
    assert hold(stored, numerics({})).values is stored


@pytest.mark.parametrize("off_current", ["reference_column", "digital"])
def test_a_seed_is_a_chip(off_current: str) -> None:
    made = numerics(EVERYTHING | {"off_current": off_current}, device="pcm", w_bits=6)
    stored = random_stored(made, 150, 30)
    first, again, other = (hold(stored, made, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.values, again.values)
    assert first.read_power is not None
    assert again.read_power is not None
    assert torch.equal(first.read_power, again.read_power)
    assert first.values.shape == first.read_power.shape == stored.shape
    assert not torch.isclose(first.values, other.values).any()


@pytest.mark.parametrize("encoding", ["offset", "differential", "differential_digital"])
def test_draws_do_not_depend_on_levels(encoding: str) -> None:
    made = numerics(
        {"cell_sigma_frac": 0.1, "pvt": {}},
        w_bits=5,
        encoding=encoding,
        cell={"on_off_ratio": 2.0},
    )
    stored = random_stored(made, 30, 9)
    nothing = torch.zeros_like(stored)
    errors = hold(stored, made).values - stored
    assert torch.allclose(errors, hold(nothing, made).values, atol=1e-5)


FACTORS: list[dict[str, Any]] = [
    PROGRAMMING,
    {"device_to_device": PARTS},
    {"drift": {"model": "power_law", "nu_mean": 0.05, "nu_sigma": 0.02, "age_s": 1e4}},
    {"pvt": {"process_sigma_frac": 0.1}},
]


@pytest.mark.parametrize(("first", "second"), list(combinations(FACTORS, 2)))
def test_an_effect_leaves_the_draws_of_another(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    """These multiply conductances: together they do what each does alone."""
    one, two, both = (
        conductance(hold(level(3, 40, 30), made).values, made)
        for made in (numerics(noise) for noise in (first, second, first | second))
    )
    assert torch.allclose(both, one * two, rtol=1e-5)


def test_stuck_cells_are_the_same_beside_other_effects() -> None:
    stuck = {"stuck": {"off_frac": 0.1, "on_frac": 0.1}}
    alone = hold(level(2), numerics(stuck)).values
    beside = hold(level(2), numerics(stuck | PROGRAMMING | {"cell_sigma_frac": 0.05})).values
    held = alone != 2
    assert torch.equal(beside[held], alone[held])


def test_more_faults_add_to_the_fewer() -> None:
    few, many = (
        hold(level(2), numerics({"stuck": {"off_frac": off, "on_frac": off}})).values != 2
        for off in (0.01, 0.05)
    )
    assert bool((many | ~few).all())


@pytest.mark.parametrize("ratio", [2.0, 40.0])
def test_digital_correction_leaves_the_leakage_in(ratio: float) -> None:
    made = numerics({"off_current": "digital"}, w_bits=6, cell={"on_off_ratio": ratio})
    stored = random_stored(made, 20, 6)
    g_min = 1 / ratio
    assert made.leakage == pytest.approx(3 * g_min / (1 - g_min))
    assert torch.allclose(hold(stored, made).values, stored + made.leakage, atol=1e-6)


def test_an_ideal_reference_column_takes_leakage_off() -> None:
    made = numerics({"off_current": "reference_column"}, w_bits=6)
    stored = random_stored(made, 200, 60)
    assert torch.equal(hold(stored, made).values, stored)


def test_a_reference_cell_serves_a_row_of_an_array() -> None:
    """Its error is that of the row, slices and outputs of its array, and no other's."""
    made = numerics(
        {"off_current": "reference_column", "cell_sigma_frac": 0.1, "pvt": {}}, w_bits=4
    )
    ideal = numerics({"off_current": "ideal", "cell_sigma_frac": 0.1, "pvt": {}}, w_bits=4)
    stored = torch.zeros(1, 2, 3000, 64)
    error = hold(stored, made).values - hold(stored, ideal).values
    arrays = error.view(2, 3000, 2, 32)
    assert torch.allclose(arrays, arrays[:1, :, :, :1].expand_as(arrays), atol=1e-5)
    assert_moments(arrays[0, :, :, 0], 0, 0.3)
    pair = torch.corrcoef(arrays[0, :, :, 0].T)
    assert abs(float(pair[0, 1])) < 5 / sqrt(3000)


@pytest.mark.parametrize(
    "effect",
    [
        {"device_to_device": {"chip_sigma_frac": 0.3}},
        {"drift": {"model": "power_law", "nu_mean": 0.1, "age_s": 1e6}},
        {"drift": {"model": "power_law", "nu_mean": 0.1, "age_s": 1e6, "compensation": "column"}},
        {"pvt": {"process_sigma_frac": 0.2}},
    ],
)
def test_a_reference_column_follows_its_chip(effect: dict[str, Any]) -> None:
    """What hits all cells alike is a gain: at level 0 nothing is left of it."""
    made = numerics(effect | {"off_current": "reference_column"}, cell={"on_off_ratio": 3.0})
    assert torch.allclose(hold(level(0, 9, 9), made).values, level(0, 9, 9), atol=1e-6)
    gain = conductance(hold(level(3, 9, 9), numerics(effect)).values, numerics(effect)).mean()
    assert torch.allclose(hold(level(3, 9, 9), made).values, 3 * gain.float(), atol=1e-5)


def test_a_reference_column_has_no_faults() -> None:
    made = numerics({"off_current": "reference_column", "stuck": {"on_frac": 0.3}})
    assert distinct(hold(level(0), made).values) == {0, 3}


PVT = {
    "gain_per_supply_frac": 0.8,
    "gain_per_c": -0.002,
    "process_sigma_frac": 0.03,
    "slow_frac": -0.1,
    "fast_frac": 0.05,
    "residual_frac": 0.5,
}


def test_gain_of_a_corner() -> None:
    macro = numerics({"pvt": PVT}, base=CURRENT, temperature_c=35.0, corner="ss").macro
    assert macro is not None
    assert macro.supply_v == 0.45
    condition = Condition(supply_v=0.405, temperature_c=85.0, corner="ff")
    wanted = 1 + 0.5 * (0.8 * -0.1 - 0.002 * 60 + 0.05 + 0.03 * 1.5)
    assert pvt_gain(macro, condition, 1.5) == pytest.approx(wanted)
    # What is left open is the macro's own.
    assert pvt_gain(macro, AS_STATED, 0.0) == pytest.approx(1 + 0.5 * (-0.002 * 10 - 0.1))
    assert pvt_gain(macro, Condition(corner="tt"), 0.0) == pytest.approx(1 + 0.5 * -0.02)


def test_a_condition_means_nothing_without_its_effect() -> None:
    condition = Condition(supply_v=0.4, temperature_c=85.0, corner="ff")
    made = numerics({"stuck": {"off_frac": 0.1}}, base=CURRENT)
    stored = level(1, 30, 30)
    assert pvt_gain(CURRENT, condition, 1.0) == leakage_growth(CURRENT, condition) == 1
    assert torch.equal(hold(stored, made, condition=condition).values, hold(stored, made).values)


def test_the_gain_is_one_draw_of_the_chip() -> None:
    made = numerics({"pvt": {"process_sigma_frac": 0.05}}, base=CURRENT)
    stored = level(2, 3, 3)

    def gain(seed: int, chip: int) -> float:
        values = hold(stored, made, seed=seed, chip=chip).values / 2
        assert float(values.std()) < 1e-6
        return float(values[0, 0, 0, 0])

    assert gain(0, 5) == gain(1, 5)
    assert_moments(torch.tensor([gain(0, chip) for chip in range(400)]), 1, 0.05)


def test_gain_acts_on_noise_too() -> None:
    noise = {"read": {"model": "proportional", "sigma_frac": 0.02}}
    cold = hold(level(3, 2, 2), numerics(noise)).read_power
    made = numerics(noise | {"pvt": {"gain_per_c": 0.01}})
    warm = hold(level(3, 2, 2), made, condition=Condition(temperature_c=45.0)).read_power
    assert cold is not None
    assert warm is not None
    assert torch.allclose(warm, 1.2**2 * cold)


def test_leakage_doubles_with_temperature() -> None:
    condition = Condition(temperature_c=45.0)
    pvt = {"pvt": {"leakage_doubling_c": 10.0}}
    grown = 3 * 3 / 39  # Three times the leakage more, in levels.
    for off_current, wanted in (
        ("ideal", 2 + grown),
        ("digital", 2 + grown + 3 / 39),
        ("reference_column", 2.0),
    ):
        made = numerics(pvt | {"off_current": off_current})
        found = hold(level(2, 3, 3), made, condition=condition).values
        assert torch.allclose(found, torch.tensor(wanted))
    pair = numerics(pvt, w_bits=3, encoding="differential")
    assert torch.allclose(hold(level(-2, 3, 3), pair, condition=condition).values, level(-2, 3, 3))
    assert RESISTIVE.temperature_c == 25.0


def test_the_chips_generator_moves_on_by_two_draws() -> None:
    made = numerics({"pvt": {}})
    chip = generator(4)
    chip_cells(level(1, 3, 3), made, layout(made, 3, 3), generator(0), chip)
    wanted = generator(4)
    torch.randn(2, generator=wanted)
    assert torch.equal(torch.rand(3, generator=chip), torch.rand(3, generator=wanted))
