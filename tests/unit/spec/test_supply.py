"""A macro at the supply of a measurement: what its file states at its own supply follows."""

from pathlib import Path
from typing import Any

import pytest

from cimsearch.cost.adc import conversion_fj, conversion_ns
from cimsearch.cost.measured import checked
from cimsearch.cost.measured_points import measured_points
from cimsearch.cost.measured_table import read_table
from cimsearch.spec import load_hardware
from cimsearch.spec.supply import at_supply, drives_from_supply
from tests.unit.cost.measuring import HEADER
from tests.unit.cost.tiny import hardware


def test_a_supply_takes_the_wordlines_along_if_they_hang_on_it() -> None:
    tied = hardware(input={"wordline_v": 0.5}).macro
    assert at_supply(tied, 0.8).input.wordline_v == 0.8
    assert at_supply(hardware().macro, 0.8).input.wordline_v == 1.0
    assert at_supply(tied, 0.8).supply_v == 0.8
    assert at_supply(tied, 0.5) is tied


def test_a_supply_is_that_of_the_wordlines_up_to_rounding() -> None:
    rounded = hardware(supply_v=0.3, input={"wordline_v": 0.1 + 0.2}).macro
    assert rounded.input.wordline_v != rounded.supply_v
    assert drives_from_supply(rounded)
    assert not drives_from_supply(hardware().macro)


RAMP = {"kind": "ramp", "step_fj": 10.0, "step_ns": 1.0, "area_um2": 5.0}
SURVEY = {"kind": "survey", "sample_rate_msps": 50.0, "area_um2": 5.0}
MEASURED = {
    "kind": "measured",
    "points": [
        {"bits": 1, "energy_fj": 8.0, "conversion_ns": 2.0},
        {"bits": 5, "energy_fj": 90.0, "conversion_ns": 6.0},
    ],
    "area_um2": 5.0,
}
CAPACITIVE = {
    "kind": "capacitive",
    "k1_ff": 9.0,
    "k2_ff": 0.1,
    "ns_per_bit": 1.0,
    "area_um2": 5.0,
}


@pytest.mark.parametrize("model", [RAMP, SURVEY, MEASURED, CAPACITIVE], ids=lambda m: m["kind"])
@pytest.mark.parametrize("exponent", [2.0, 1.5])
def test_conversions_follow_the_supply(model: dict[str, Any], exponent: float) -> None:
    macro = hardware(
        adc={"model": model, "range_switch_fj": 4.0},
        technology={"energy_voltage_exponent": exponent},
    ).macro
    twice = at_supply(macro, 1.0)
    for before, after in zip(conversion_fj(macro), conversion_fj(twice), strict=True):
        assert after == pytest.approx(2**exponent * before)
    # The delay of the tiny technology is in inverse proportion to the supply.
    slower = 1.0 if model is SURVEY else 0.5
    assert conversion_ns(twice) == pytest.approx(slower * conversion_ns(macro))
    assert twice.adc is not None
    assert twice.adc.range_switch_fj == pytest.approx(4.0 * 2**exponent)


def test_simulated_calls_follow_the_supply() -> None:
    points = [{"bits": 3, "rows": 4, "activity_frac": 0.5, "energy_pj": 3.0, "delay_ns": 7.0}]
    table = {"components": ["cells"], "density_frac": 0.5, "points": points}
    macro = hardware(array_call=table, configurable={}).macro
    twice = at_supply(macro, 1.0).array_call
    assert twice is not None
    assert [(p.energy_pj, p.delay_ns) for p in twice.points] == [(12.0, 3.5)]


def test_a_published_ramp_is_predicted_at_another_supply(tmp_path: Path) -> None:
    """Only wordlines of their own supply and settling stay as they are."""
    machine = load_hardware("macros/yu_cicc_2020")
    path = tmp_path / "chip.csv"
    text = HEADER.replace("call_energy_pj", "supply_v,call_energy_pj")
    path.write_text(f"{text}2,1,5,0.5,0.5,0.45,1\n2,1,5,0.5,0.5,0.9,1\n", encoding="utf-8")
    own, twice = (
        checked(machine, point) for point in measured_points(read_table(path), machine.macro)
    )
    assert twice.call_energy_pj == pytest.approx(4 * own.call_energy_pj, rel=0.01)
    assert twice.call_ns < own.call_ns / 2
