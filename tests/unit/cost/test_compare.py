"""Macros side by side: figures by hand, native and 1-bit-normalised apart."""

from pathlib import Path

import pytest

from cimsearch.cost import check_calibration
from cimsearch.cost.area import array_um2
from cimsearch.cost.compare import compare_macro, compare_table
from cimsearch.cost.measured_table import read_table
from cimsearch.errors import HardwareError, SpecError
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Hardware
from tests.unit.cost.tiny import hardware

HEADER = "weight_bits,activation_bits,adc_bits,supply_v,call_ns,activity_frac,density_frac,"


def test_a_row_a_measured_point() -> None:
    chip = load_hardware("macros/wan_nature_2022")
    rows = compare_macro(chip, name="wan")
    calibration = chip.macro.calibration
    assert calibration is not None
    checks = check_calibration(chip, calibration)
    assert len(rows) == len(checks) == 8
    for row, check in zip(rows, checks, strict=True):
        point = check.point
        ops = 2 * 128 * 256
        assert row.tops_per_w_native_measured == pytest.approx(ops / point.call_energy_pj)
        assert row.tops_per_w_native_model == pytest.approx(ops / check.call_energy_pj)
        assert row.error_frac == pytest.approx(check.call_energy_pj / point.call_energy_pj - 1)
        assert row.adc_bits == point.adc_bits
        assert row.calibrated is True
        assert row.source == chip.source


def test_normalised_is_native_times_both_precisions() -> None:
    for row in compare_macro(load_hardware("macros/wan_nature_2022"), name="wan"):
        bits = row.weight_bits * row.activation_bits
        assert row.tops_per_w_native_measured is not None
        assert row.tops_per_w_native_model is not None
        assert row.tops_per_w_1b_measured == row.tops_per_w_native_measured * bits
        assert row.tops_per_w_1b_model == row.tops_per_w_native_model * bits
        assert row.precision == f"{row.weight_bits}b x {row.activation_bits}b"


@pytest.mark.parametrize(
    ("name", "native", "normalised"),
    [("macros/chih_isscc_2021", 356.0, 4 * 356.0), ("macros/jia_jssc_2020", 200.0, 400.0)],
)
def test_published_efficiencies(name: str, native: float, normalised: float) -> None:
    (row,) = compare_macro(load_hardware(name), name=name)
    assert row.tops_per_w_native_measured == pytest.approx(native, rel=5e-3)
    assert row.tops_per_w_1b_measured == pytest.approx(normalised, rel=5e-3)
    assert row.macro is not None
    assert row.macro.device == "sram"


def test_bit_serial_inputs_take_their_calls(tmp_path: Path) -> None:
    path = tmp_path / "chip.csv"
    path.write_text(f"{HEADER}fj_per_mac\n2,4,3,0.5,5,0.5,0.5,1000\n", encoding="utf-8")
    machine = hardware()
    (row,) = compare_table(read_table(path), machine)
    macs = 4 * 4
    tops = 2 * macs / (4 * 5.0) / 1e3
    assert row.tops_per_w_native_measured == pytest.approx(2.0)
    assert row.tops_per_w_1b_measured == pytest.approx(16.0)
    assert row.tops_per_mm2_native_measured == pytest.approx(
        tops / (array_um2(machine.macro) / 1e6)
    )
    assert row.calibrated is None
    assert row.name == "chip.csv"


def test_a_macro_without_measurements_is_modelled_alone() -> None:
    (row,) = compare_macro(hardware(), name="tiny")
    assert (row.weight_bits, row.activation_bits, row.adc_bits) == (8, 8, 3)
    assert row.tops_per_w_native_measured is None
    assert row.tops_per_w_1b_measured is None
    assert row.tops_per_mm2_native_measured is None
    assert row.error_frac is None
    assert row.calibrated is None
    assert row.tops_per_w_native_model is not None
    assert row.tops_per_w_native_model > 0


def simulated(*activities: float) -> Hardware:
    """Return a macro whose array calls a table tells, with nothing measured."""
    points = [
        {"bits": 3, "rows": 4, "activity_frac": at, "energy_pj": 20.0 * at, "delay_ns": 7.0}
        for at in activities
    ]
    parts = ["cells", "drivers", "adc"]
    return hardware(
        array_call={"components": parts, "density_frac": 0.5, "points": points},
        configurable={
            "weight_bits": {"values": [2, 8], "follows": "columns"},
            "activation_bits": {"values": [1, 8], "follows": "planes"},
        },
    )


def test_a_table_of_simulated_calls_is_the_model(tmp_path: Path) -> None:
    machine = simulated(0.25, 0.75)
    (row,) = compare_macro(machine, name="table")
    # Eight bits of weights and activations: one output in eight columns, eight planes of 10 pJ.
    assert row.tops_per_w_native_model == pytest.approx(2 * 4 / (8 * 10.0))
    macro = machine.macro
    assert row.tops_per_mm2_native_model == pytest.approx(
        2 * 4 / (8 * 7.0) / 1e3 / (array_um2(macro) / 1e6)
    )
    path = tmp_path / "chip.csv"
    path.write_text(f"{HEADER}fj_per_mac\n2,1,3,,,0.75,0.5,500\n", encoding="utf-8")
    (measured,) = compare_table(read_table(path), machine)
    macs = 4 * 4
    assert measured.error_frac == pytest.approx(15.0 / (macs * 0.5) - 1)


def test_a_call_outside_the_table_of_simulated_ones_is_named(tmp_path: Path) -> None:
    machine = simulated(0.1, 0.4)
    with pytest.raises(HardwareError, match=r"^table: activity_frac 0.5 is outside"):
        compare_macro(machine, name="table")
    path = tmp_path / "chip.csv"
    path.write_text(f"{HEADER}fj_per_mac\n2,1,3,,,0.75,0.5,500\n", encoding="utf-8")
    with pytest.raises(HardwareError, match=r"chip\.csv:2:1: row: activity_frac 0.75 is outside"):
        compare_table(read_table(path), machine)


def test_a_table_without_a_macro_has_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "chip.csv"
    path.write_text(f"{HEADER}tops_per_w\n4,4,0,,,0.5,0.5,25\n", encoding="utf-8")
    (row,) = compare_table(read_table(path), None)
    assert row.tops_per_w_native_measured == 25.0
    assert row.tops_per_w_1b_measured == 400.0
    assert row.tops_per_w_native_model is None
    assert row.macro is None
    assert row.supply_v is None
    path.write_text(f"{HEADER}call_energy_pj\n4,4,0,,,0.5,0.5,25\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"chip\.csv:2:17: call_energy_pj: found energies"):
        compare_table(read_table(path), None)
