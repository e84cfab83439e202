"""Measured tables: what they may say, what they become, and the factor that meets them."""

from math import exp
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cimsearch.cost import check_calibration, is_calibrated
from cimsearch.cost.measured import (
    checked,
    energy_constants,
    fit,
    scaled,
)
from cimsearch.cost.measured_file import macro_text, write_macro
from cimsearch.cost.measured_points import call_macs, measured_points
from cimsearch.cost.measured_table import COLUMNS, TEMPLATE, read_table
from cimsearch.errors import SpecError, UsageError
from cimsearch.spec import load_hardware
from cimsearch.spec.catalogue import names
from cimsearch.spec.hardware import CallComponent
from tests.unit.cost.measuring import HEADER, fitted, table_of
from tests.unit.cost.tiny import DIGITAL, hardware

# Of chips that were measured: the design to search has no calibration.
MACROS = [
    name
    for name in sorted(names("hardware"))
    if name.startswith("macros/") and name != "macros/charge_28nm"
]


@pytest.mark.parametrize("name", MACROS)
def test_a_scaled_macro_gives_its_factor_back(name: str, tmp_path: Path) -> None:
    path = table_of(tmp_path / "chip.csv", load_hardware(name), 1.7)
    result = fitted(path, name)
    assert result.factor == pytest.approx(1.7, rel=1e-6)
    assert result.calibrated
    own = energy_constants(load_hardware(name).macro)
    assert dict(result.constants) == pytest.approx({k: 1.7 * v for k, v in own.items()})
    out = tmp_path / "mine.yaml"
    write_macro(macro_text(result, read_table(path), base=name, out=out), out)
    written = load_hardware(str(out))
    assert is_calibrated(written)
    calibration = written.macro.calibration
    assert calibration is not None
    for check in check_calibration(written, calibration):
        assert check.call_energy_pj == pytest.approx(check.point.call_energy_pj, rel=1e-4)
    assert read_table(path).sha256 in written.source
    assert "chip.csv" in written.source


SETTINGS = {
    "macros/yu_cicc_2020": ((2, 1, 1), (2, 1, 3), (4, 1, 5)),
    # Logic alone is scaled, cells and wordlines are not: no point is proportional to the factor.
    "macros/chih_isscc_2021": ((4, 1, 0), (8, 1, 0), (8, 4, 0)),
}


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(sorted(SETTINGS)),
    log_factor=st.floats(-0.5, 3),
    off=st.lists(st.floats(-0.3, 0.3), min_size=3, max_size=3),
)
def test_the_factor_is_the_best(
    tmp_path: Path, name: str, log_factor: float, off: list[float]
) -> None:
    machine = load_hardware(name)
    made = machine.model_copy(update={"macro": scaled(machine.macro, exp(log_factor))})
    path = tmp_path / "chip.csv"
    lines = [",".join(map(str, setting)) + ",0.5,0.5," for setting in SETTINGS[name]]
    path.write_text(HEADER + "".join(f"{line}1.0\n" for line in lines), encoding="utf-8")
    points = measured_points(read_table(path), made.macro)
    energies = [
        checked(made, point).call_energy_pj * exp(wrong)
        for point, wrong in zip(points, off, strict=True)
    ]
    rows = (f"{line}{energy!r}\n" for line, energy in zip(lines, energies, strict=True))
    path.write_text(HEADER + "".join(rows), encoding="utf-8")
    best = fit(read_table(path), machine)

    def loss(factor: float) -> float:
        made = machine.model_copy(update={"macro": scaled(machine.macro, factor)})
        model = [check.call_energy_pj for check in check_calibration(made, best.calibration)]
        return float(np.sum(np.log(np.divide(model, energies)) ** 2))

    assert loss(best.factor) <= min(loss(best.factor * 1.01), loss(best.factor / 1.01))


@pytest.mark.parametrize(
    ("column", "value"),
    [("tops_per_w", 2 * 32 / 5.0), ("fj_per_mac", 5000 / 32), ("call_energy_pj", 5.0)],
)
def test_every_unit_is_the_energy_of_a_full_array(
    column: str, value: float, tmp_path: Path
) -> None:
    macro = hardware().macro
    assert call_macs(macro, 1) == 4 * 8
    assert call_macs(macro, 3) == 4 * 2
    path = tmp_path / "chip.csv"
    text = HEADER.replace("call_energy_pj", f"frequency_mhz,{column}")
    path.write_text(f"{text}1,1,3,0.5,0.5,250,{value!r}\n", encoding="utf-8")
    (point,) = measured_points(read_table(path), macro)
    assert point.point.call_energy_pj == pytest.approx(5.0)
    assert point.point.call_ns == 4.0
    assert point.supply_v == macro.supply_v


def test_other_supplies_and_other_data_are_predicted_not_fitted(tmp_path: Path) -> None:
    machine = hardware()
    path = tmp_path / "chip.csv"
    text = HEADER.replace("call_energy_pj", "supply_v,call_energy_pj")
    path.write_text(
        f"{text}2,1,3,0.5,0.5,,9\n2,2,3,0.5,0.5,0.5,15\n2,1,3,0.25,0.5,0.5,1\n2,1,3,0.5,0.5,1.0,99\n",
        encoding="utf-8",
    )
    result = fit(read_table(path), machine)
    assert [check.calibrates for check in result.checks] == [True, True, False, False]
    assert len(result.calibration.points) == 2
    low, _, quiet, high = (check.after_pj for check in result.checks)
    assert quiet < low < high
    assert result.checks[3].error_frac == pytest.approx(high / 99 - 1)


def test_a_digital_macro_scales_its_logic_alone() -> None:
    macro = hardware(**DIGITAL).macro
    assert energy_constants(macro) == {"logic_factor": 2.0}
    twice = scaled(macro, 2.0)
    assert twice == macro.model_copy(update={"logic_factor": 4.0})


ROW = "2,1,3,0.5,0.5,9\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1:1: file: found no header line"),
        (
            HEADER.replace("call_energy_pj", "call_ns"),
            ":1:1: header: found none; allowed is exactly",
        ),
        (HEADER, ":1:1: file: found no rows"),
        (
            HEADER.replace("adc_bits", "adcbits") + ROW,
            ":1:29: adcbits: unknown column; did you mean",
        ),
        (HEADER.replace(",", ";"), ":1:1: weight_bits;activation_bits"),
        (HEADER.replace("adc_bits,", "") + ROW, ":1:1: adc_bits: missing; this column is needed"),
        (HEADER.replace(",call", ",adc_bits,call") + ROW, "found 2 columns of this name"),
        (HEADER.replace(",call", ",tops_per_w,call") + ROW, "found tops_per_w, call_energy_pj;"),
        (HEADER.replace(",call", ",call_ns,frequency_mhz,call"), "allowed is at most one of"),
        (HEADER + "# a comment\n\n" + ROW.replace("9", "x"), ":4:15: call_energy_pj: found 'x'; "),
        (HEADER + ROW.replace("9", "-9"), "found '-9'; allowed is a number above 0"),
        (HEADER + ROW.replace("9", "nan"), "found 'nan'; allowed is a number above 0"),
        (HEADER + ROW.replace("9", ""), ":2:15: call_energy_pj: found nothing; allowed is"),
        (
            HEADER + ROW.replace("2,", "2.5,"),
            "weight_bits: found '2.5'; allowed is a whole number",
        ),
        (HEADER + ROW.replace("2,", "0,"), "weight_bits: found '0'; allowed is a whole number"),
        (
            HEADER + ROW.replace("3,", "17,"),
            "adc_bits: found '17'; allowed is a whole number from 0",
        ),
        (
            HEADER + ROW.replace("3,0.5", "3,1.5"),
            "activity_frac: found '1.5'; allowed is a number",
        ),
        (HEADER + "2,1,3\n", ":2:1: row: found 3 cells; allowed is one for each of 6 columns"),
        (HEADER + '"2,1,3\n', "not valid CSV"),
        (
            HEADER + ROW.replace("3,", "7,"),
            "adc_bits: found 7; allowed on this macro: 1, 2, 3, 4, 5",
        ),
        (HEADER + ROW.replace("2,", "5,"), "weight_bits: found 5; allowed on this macro: 1, 2, 3"),
        (HEADER + ROW.replace("9", "1e9"), "no factor from 0.001 to 1000 on tiny meets"),
        (
            HEADER.replace(",call", ",supply_v,call") + "2,1,3,0.5,0.5,0.9,9",
            "supply_v: found 0.9;",
        ),
    ],
)
def test_a_bad_table_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "chip.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        fit(read_table(path), hardware())
    assert message in caught.value.message
    assert caught.value.message.startswith(f"{path}:")
    assert len(caught.value.message.splitlines()) == 1


def test_all_bad_cells_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "chip.csv"
    path.write_text(HEADER + "2,1,x,0.5,2,9\n2,1,3,0.5,0.5,0\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        read_table(path)
    columns = [line.split(": ")[1] for line in caught.value.message.splitlines()]
    assert columns == ["adc_bits", "density_frac", "call_energy_pj"]


def test_a_weight_that_takes_no_column_is_pointed_at(tmp_path: Path) -> None:
    machine = hardware(weights={"encoding": "differential"})
    path = tmp_path / "chip.csv"
    path.write_text(HEADER + ROW + ROW.replace("2,", "1,"), encoding="utf-8")
    with pytest.raises(SpecError, match=r"chip\.csv:3:1: weight_bits: found 1, which takes 0"):
        fit(read_table(path), machine)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv: cannot be read: No such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "x.csv").write_bytes(HEADER.encode() + b"2,\xff\n")
    with pytest.raises(SpecError, match=r"x\.csv:2:3: file: found a byte that is not UTF-8"):
        read_table(tmp_path / "x.csv")


def test_the_template_is_a_table_that_calibrates(tmp_path: Path) -> None:
    path = tmp_path / "template.csv"
    path.write_text(TEMPLATE, encoding="utf-8")
    result = fitted(path, "macros/yu_cicc_2020")
    assert result.calibrated
    assert not all(check.calibrates for check in result.checks)
    for column in COLUMNS:
        assert column in TEMPLATE


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "chip.csv"
    path.write_bytes(b"\xef\xbb\xbf" + (HEADER + ROW).replace("\n", "\r\n").encode())
    (row,) = read_table(path).rows
    assert (row.line, row.energy) == (2, 9.0)


PARTS: dict[bool, tuple[CallComponent, ...]] = {
    False: ("cells", "drivers", "adc"),
    True: ("adder_tree", "shift_add"),
}


@pytest.mark.parametrize("name", MACROS)
def test_what_is_scaled_is_all_that_these_parts_cost(name: str) -> None:
    machine = load_hardware(name)
    calibration = machine.macro.calibration
    assert calibration is not None
    parts = PARTS[machine.macro.compute_model == "digital"]
    only = calibration.model_copy(update={"components": parts})
    thrice = machine.model_copy(update={"macro": scaled(machine.macro, 3.0)})
    once = [check.call_energy_pj for check in check_calibration(machine, only)]
    assert [check.call_energy_pj for check in check_calibration(thrice, only)] == pytest.approx(
        [3 * energy for energy in once]
    )
