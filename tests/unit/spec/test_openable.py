"""Which fields a study may open on which hardware: every reason why not, at its place."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cimsearch.cli import cli
from cimsearch.errors import ExitCode, SpecError
from cimsearch.spec import Study, load_study
from cimsearch.spec.hardware_genes import HardwareGenes
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

HEAD = """\
schema: cimsearch/hardware/1
kind: macro
extends: macros/{parent}
name: mine
summary: a macro
source: a test
"""
CHOICES = {
    "rows": "[128, 256]",
    "cols": "[128, 256]",
    "active_rows": "[32, 64]",
    "cell_bits": "[1, 2]",
    "dac_bits": "[1, 2]",
    "adc_bits": "[3, 4]",
    "columns_per_adc": "[8, 16]",
    "supply_v": "[0.85, 0.9]",
    "macros": "[16, 32]",
}
SETTLES = "input: {settle_ns: 2.0, settle_rows_frac: 0.5, settle_cols_frac: 0.3}"
WIRES = "ir_drop: {wordline_ohm: 1.0, bitline_ohm: 1.0}"


def opening(write: Write, field: str, parent: str, more: str, values: str = "") -> Path:
    """Write a study that opens one field of a macro that states ``more`` than its parent."""
    parts = re.findall(r"^(\w+): .*\w: \[?\d", more, re.MULTILINE)
    basis = "".join(f"  {name}: assumed\n" for name in parts)
    stated = f"basis:\n{basis}" if basis else ""
    write("mine.yaml", f"{HEAD.format(parent=parent)}{more}\n{stated}")
    text = TINY_STUDY.replace("macros/yu_cicc_2020", "./mine.yaml")
    genes = f"genes:\n  hardware:\n    {field}: {values or CHOICES[field]}\n"
    if parent == "chih_isscc_2021":
        genes += "  weight_bits: [4, 8]\n"
    return write("tiny.yaml", text.replace("genes: {adc_bits: [3, 4, 5]}\n", genes))


def reasons(path: Path, field: str) -> list[str]:
    """Return why the field may not be opened, the same from the command line."""
    with pytest.raises(SpecError) as caught:
        load_study(str(path))
    lines = caught.value.message.splitlines()
    done = CliRunner().invoke(cli, ["check", str(path)], standalone_mode=False)
    assert done.return_value == ExitCode.INVALID_SPEC
    assert set(lines) <= set(done.stderr.splitlines())
    start = f"tiny.yaml:10:5: genes.hardware.{field}: found {field}; on mine it cannot be a gene: "
    assert all(start in line for line in lines), lines
    return [line.partition(start)[2] for line in lines]


CASES = [
    (
        "rows",
        "charge_28nm",
        "input: {settle_rows_frac: null}",
        ["state input.settle_ns above 0, "],
    ),
    (
        "rows",
        "charge_28nm",
        "input: {settle_ns: 0}",
        ["state input.settle_ns above 0, and input."],
    ),
    (
        "rows",
        "charge_28nm",
        "noise: {adc_sigma_frac: 0}",
        ["state noise.adc_sigma_frac: the smaller swing of a longer line would be free"],
    ),
    (
        "rows",
        "yin_ted_2020",
        SETTLES,
        ["state noise.ir_drop.bitline_ohm: cells of device rram conduct"],
    ),
    (
        "cols",
        "charge_28nm",
        "input: {settle_cols_frac: null}",
        ["state input.settle_ns above 0, "],
    ),
    (
        "cols",
        "yin_ted_2020",
        f"{SETTLES}\nnoise: {{ir_drop: {{bitline_ohm: 1.0}}}}",
        ["state noise.ir_drop.wordline_ohm: cells of device rram conduct"],
    ),
    (
        "active_rows",
        "charge_28nm",
        "noise: {adc_sigma_frac: 0}",
        ["state noise.adc_sigma_frac: without noise of conversions, more rows cost none"],
    ),
    (
        "active_rows",
        "yin_ted_2020",
        "",
        ["state noise.ir_drop.bitline_ohm: cells of device rram conduct"],
    ),
    ("cell_bits", "charge_28nm", "", ["a charge cell is built for the bits that it holds"]),
    ("cell_bits", "chih_isscc_2021", "", ["a digital cell is built for the bits that it holds"]),
    (
        "cell_bits",
        "yin_ted_2020",
        "noise: {cell_sigma_frac: 0}",
        ["state noise.cell_sigma_frac or noise.programming: levels get closer"],
    ),
    (
        "dac_bits",
        "charge_28nm",
        "input: {dac_cap_ff_per_bit: null, dac_area_um2_per_bit: null, settle_cols_frac: null}\n"
        "noise: {adc_sigma_frac: 0}",
        [
            "state noise.adc_sigma_frac: without noise of conversions, more levels cost none",
            "state input.dac_cap_ff_per_bit",
            "state input.dac_area_um2_per_bit",
            "state input.settle_ns above 0, and input.settle_cols_frac, the share of wordlines: "
            "levels settle for longer",
        ],
    ),
    (
        "dac_bits",
        "charge_28nm",
        "input: {drive: pulses}\nnoise: {adc_sigma_frac: 0}",
        ["state noise.adc_sigma_frac: without noise of conversions, more levels cost none"],
    ),
    (
        "dac_bits",
        "yin_ted_2020",
        "input: {settle_ns: 2.0, settle_cols_frac: 0.3, dac_cap_ff_per_bit: 50, "
        "dac_area_um2_per_bit: 60}",
        ["state noise.iv: levels of a voltage meet the curve of the cells"],
    ),
    ("adc_bits", "chih_isscc_2021", "", ["it has no converter"]),
    (
        "adc_bits",
        "charge_28nm",
        "noise: {adc_sigma_frac: 0}\ninput: {settle_rows_frac: null}",
        [
            "state noise.adc_sigma_frac: finer steps would be read without noise",
            "state input.settle_ns above 0, and input.settle_rows_frac, the share of bitlines: "
            "finer steps settle for longer",
        ],
    ),
    ("columns_per_adc", "chih_isscc_2021", "", ["it has no converter"]),
    (
        "supply_v",
        "charge_28nm",
        "noise: {adc_sigma_frac: 0}",
        ["state noise.adc_sigma_frac: a smaller swing would be read as exactly"],
    ),
    (
        "supply_v",
        "papistas_cicc_2021",
        "",
        [
            "state noise.sram.vt_sigma_mv and overdrive_mv: cells' currents spread as it falls",
        ],
    ),
    (
        "columns_per_adc",
        "charge_28nm",
        "noise: {transfer: {ideal_frac: [0, 1], mean_frac: [0, 1], sigma_frac: [0.1, 0.1]}}",
        ["noise.transfer was measured on one macro"],
    ),
    (
        "columns_per_adc",
        "charge_28nm",
        "array_call: {components: [cells, adc], density_frac: 0.5, points: "
        "[{bits: 6, rows: 128, activity_frac: 0.5, energy_pj: 1, delay_ns: 2}]}",
        ["array_call was simulated for one macro"],
    ),
    ("macros", "charge_28nm", "", ["its system has as many as a network needs; name a system"]),
]


@pytest.mark.parametrize(
    ("field", "parent", "more", "expected"),
    CASES,
    ids=[f"{field}-{parent}-{number}" for number, (field, parent, *_) in enumerate(CASES)],
)
def test_what_does_not_follow_is_said(
    write: Write, field: str, parent: str, more: str, expected: list[str]
) -> None:
    values = "[0.75, 0.8]" if parent.startswith("papistas") else ""
    found = reasons(opening(write, field, parent, more, values), field)
    assert len(found) == len(expected)
    for line, wanted in zip(found, expected, strict=True):
        assert line.startswith(wanted)


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        ("dac_bits", "[1, 5]", "allowed is 1 to 4 where drive is levels"),
        (
            "supply_v",
            "[0.6, 0.9]",
            "allowed is 0.63 to 1.17 V, around its own 0.9 V and the 0.9 V of its technology",
        ),
        ("supply_v", "[0.9, 1.2]", "allowed is 0.63 to 1.17 V, around its own 0.9 V"),
    ],
)
def test_choices_beyond_what_the_laws_hold_for(
    write: Write, field: str, values: str, expected: str
) -> None:
    (found,) = reasons(opening(write, field, "charge_28nm", "", values), field)
    assert found.startswith(expected)


def test_conversions_of_layers_are_searched_once(write: Write) -> None:
    path = opening(write, "adc_bits", "charge_28nm", "")
    text = path.read_text(encoding="utf-8")
    write("tiny.yaml", text.replace("genes:\n", "genes:\n  adc_bits: [6]\n"))
    with pytest.raises(SpecError, match=r"genes\.adc_bits sets the bits of each layer's conv"):
        load_study(str(path))


def test_conditions_at_a_supply_are_of_one_supply(write: Write) -> None:
    more = "noise: {pvt: {gain_per_supply_frac: 0.1}}"
    path = opening(write, "supply_v", "charge_28nm", more)
    text = path.read_text(encoding="utf-8")
    write("tiny.yaml", text.replace("images: 100", "images: 100, conditions: [{supply_v: 0.9}]"))
    assert reasons(path, "supply_v") == ["conditions of a rung state a supply"]


@pytest.mark.parametrize("field", HardwareGenes.model_fields)
def test_a_macro_that_states_all_may_be_opened(write: Write, field: str) -> None:
    parent, more = "charge_28nm", ""
    if field == "cell_bits":
        parent = "yin_ted_2020"
    path = opening(write, field, parent, more)
    if field == "macros":
        text = path.read_text(encoding="utf-8")
        write("tiny.yaml", text.replace("./mine.yaml", "systems/edge_soc"))
    study: Study = load_study(str(path))
    assert study.machines is not None
    assert study.machines.count == 2


def test_a_resistive_macro_may_be_opened_where_its_wires_are_stated(write: Write) -> None:
    more = f"{SETTLES}\nnoise: {{{WIRES}}}"
    for field in ("rows", "cols", "active_rows"):
        values = "[32, 64]" if field == "active_rows" else "[64, 128]"
        study = load_study(str(opening(write, field, "yin_ted_2020", more, values)))
        assert study.machines is not None
        assert study.machines.count == 2
