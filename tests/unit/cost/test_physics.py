"""What a macro may have beyond the basic equations, each against a price computed by hand."""

from typing import Any

import pytest
from pydantic import ValidationError

from cimsearch.blueprint import Node
from cimsearch.cost import estimate
from cimsearch.cost.adc import conversion_fj, conversion_ns, survey_fj
from cimsearch.errors import HardwareError
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics

from .tiny import DIGITAL, conv, hardware

CAPACITIVE = {
    "kind": "capacitive",
    "k1_ff": 100.0,
    "k2_ff": 1.0,
    "ns_per_bit": 2.0,
    "area_um2": 5.0,
}
MEASURED: dict[str, Any] = {
    "kind": "measured",
    "points": [
        {"bits": 2, "energy_fj": 10.0, "conversion_ns": 1.0},
        {"bits": 4, "energy_fj": 40.0, "conversion_ns": 3.0},
    ],
    "area_um2": 5.0,
}
ONE_TO_FOUR = {"adc_bits": {"values": [2, 3, 4], "follows": "points"}}
CALLS = 16 * 2 * 5
"""Of the tiny convolution: positions x planes x row groups."""


def component(name: str, on: Hardware, node: Node | None = None) -> float:
    return estimate(node or conv(), on).components[name]


@pytest.mark.parametrize(("bits", "pj"), [(4, 0.72), (5, 0.73), (6, 0.83), (8, 1.33)])
def test_the_survey_at_28_nm(bits: int, pj: float) -> None:
    """Values of the published regression at 1 GS/s; below 4 bits that of 4 bits is held."""
    assert survey_fj(bits, 28, 1000) / 1e3 == pytest.approx(pj, abs=0.006)
    assert survey_fj(1, 28, 1000) == survey_fj(4, 28, 1000)


def test_measured_conversions_are_interpolated() -> None:
    macro = hardware(adc={"model": MEASURED}, configurable=ONE_TO_FOUR).macro
    energy, time = conversion_fj(macro)[0], conversion_ns(macro)
    assert energy[[2, 3, 4]] == pytest.approx([10, 20, 40])
    assert time[[2, 3, 4]] == pytest.approx([1, 3**0.5, 3])


def test_measured_conversions_are_refused_outside_their_range() -> None:
    refused = "found 5; allowed are the measured 2 to 4 bits"
    with pytest.raises(ValidationError, match=refused):
        hardware(
            adc={"model": MEASURED}, configurable={"adc_bits": {"values": [3, 5], "follows": "-"}}
        )
    holes = MEASURED | {"points": MEASURED["points"][:1]}
    with pytest.raises(ValidationError, match="found 3; allowed are the measured 2 to 2 bits"):
        hardware(adc={"model": holes})


def test_a_finer_range_pays_for_its_noise() -> None:
    """A quarter of the full scale costs what is limited by noise 16 times: two bits more."""
    full, ranged = conversion_fj(hardware(adc={"model": CAPACITIVE, "range_frac": 0.25}).macro)
    assert full[3] == pytest.approx((300 + 64) * 0.25)
    assert ranged[3] == pytest.approx((300 + 64 * 16) * 0.25)
    own = {"model": CAPACITIVE, "range_frac": 0.25, "range_policy": "layer"}
    own_full, own_ranged = conversion_fj(hardware(adc=own).macro)
    assert own_ranged[3] == own_full[3] == full[3]
    on = hardware(adc={"model": CAPACITIVE})
    assert component("adc", on, conv(range_policy="layer")) > component("adc", on)


def test_a_shared_converter_switches_its_reference_for_every_column() -> None:
    on = hardware(adc={"range_switch_fj": 7.0})
    layer, column = (component("adc", on, conv(range_policy=p)) for p in ("layer", "column"))
    assert column - layer == pytest.approx(CALLS * 8 * 7.0 * 1e-3)


def test_gating_cuts_idle_columns_off() -> None:
    """6 of 8 columns are used; converters and bitlines of all 8 would switch."""
    apart, gated = (
        hardware(array={"gating": gating}, adc={"columns_per_adc": 4, "sample_cap_ff": 0.0})
        for gating in ([], ["columns"])
    )
    assert component("drivers", gated) == pytest.approx(component("drivers", apart) * 6 / 8)
    assert component("adc", gated) == pytest.approx(component("adc", apart) * 6 / 8)
    bitlines = CALLS * (8 - 6) * 8 * 1.0 * 0.5**2 * 1e-3
    assert component("cells", apart) - component("cells", gated) == pytest.approx(bitlines)


def test_a_level_shifter_switches_with_its_wordline() -> None:
    shifted = component("drivers", hardware(input={"level_shifter_cap_ff": 16.0}))
    assert shifted == pytest.approx(2 * component("drivers", hardware()))


def test_temperature_and_corner() -> None:
    typical, hot, fast, slow = (
        estimate(conv(), hardware(**changes))
        for changes in ({}, {"temperature_c": 45.0}, {"corner": "ff"}, {"corner": "ss"})
    )
    assert hot.components["leakage"] == pytest.approx(4 * typical.components["leakage"])
    assert fast.components["leakage"] > typical.components["leakage"] > slow.components["leakage"]
    assert hot.components["adc"] == fast.components["adc"] == typical.components["adc"]


def test_voltage_exponent() -> None:
    """At half the nominal supply, an exponent of 1 doubles what 2 has."""
    flat = hardware(technology={"energy_voltage_exponent": 1.0})
    assert component("cells", flat) == pytest.approx(2 * component("cells", hardware()))


def nvm(**system: Any) -> Hardware:
    changes: dict[str, Any] = {
        "device": "rram",
        "compute_model": "resistive",
        "cell": {
            "kind": "resistive",
            "v_read_v": 0.2,
            "g_on_us": 100.0,
            "on_off_ratio": 10.0,
            "t_read_ns": 5.0,
        },
        "array": {"endurance_cycles": 1e6},
    }
    return hardware(**changes, system=system)


def test_cells_that_wear_out_are_not_reloaded_unless_asked() -> None:
    reason = (
        r"needs 3 macros; tiny has 2: writing rram at every inference takes 10 ns a row and "
        r"0.5 pJ a cell, and its cells last 1e\+06 writes; .* set off_chip.reload: allowed"
    )
    with pytest.raises(HardwareError, match=reason):
        estimate(conv(), nvm(macros=2))
    allowed = nvm(macros=2, off_chip={"reload": "allowed"})
    assert component("off_chip", allowed) > 0
    assert component("off_chip", nvm(macros=3)) == 0
    with pytest.raises(HardwareError, match="reload is refused"):
        estimate(conv(), hardware(system={"macros": 2, "off_chip": {"reload": "refused"}}))


def test_a_batch_shares_one_loading_of_weights() -> None:
    on = hardware(system={"macros": 1})
    one, eight = estimate(conv(), on), estimate(conv(), on, Statistics(batch=8))
    loaded = one.components["off_chip"]
    assert eight.components["off_chip"] == pytest.approx(loaded / 8)
    assert eight.interval_ns < one.interval_ns
    # The layer is loaded, then computes for all eight, before any of them is through.
    assert eight.latency_ns == pytest.approx(8 * eight.interval_ns)
    assert one.latency_ns < eight.latency_ns < 8 * one.latency_ns
    assert eight.components["adc"] == one.components["adc"]


def test_ping_pong_hides_the_loading_and_halves_the_macros() -> None:
    plain, hidden = (
        estimate(conv(), hardware(system={"macros": 2, "off_chip": {"ping_pong": on}}))
        for on in (False, True)
    )
    assert hidden.components["off_chip"] == plain.components["off_chip"]
    assert hidden.latency_ns != plain.latency_ns
    slow_memory = {"macros": 2, "off_chip": {"bandwidth_gbps": 0.01}}
    serial = estimate(conv(), hardware(system=slow_memory))
    slow_memory["off_chip"] = {"bandwidth_gbps": 0.01, "ping_pong": True}
    overlapped = estimate(conv(), hardware(system=slow_memory))
    assert overlapped.latency_ns == pytest.approx(18 * 3 * 2 / 0.01)
    assert overlapped.latency_ns < serial.latency_ns


def test_gated_rows_of_a_tree_stand_still() -> None:
    """18 rows on tiles of 8 with 4 active: groups of 4, 4, 4, 4 and 2; operands of 2 bits.

    A tree over 4 rows has two adders of 2 bits and one of 3; 2 rows feed the first fully and the
    last on one side.
    """
    whole, gated = (hardware(**DIGITAL, array={"gating": gating}) for gating in ([], ["rows"]))
    full, short = (2 * 2 + 3) * 6.0, 2 * 6.0 + 3 * 3.0
    ratio = component("adder_tree", gated) / component("adder_tree", whole)
    assert ratio == pytest.approx((4 * full + short) / (5 * full))
