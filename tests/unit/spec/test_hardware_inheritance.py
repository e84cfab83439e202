"""What a hardware file says itself, and what it takes from the file that it extends."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from cimsearch.cli import cli
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Noise
from cimsearch.spec.provenance import load_basis

from .hardware_files import ANALOG, CHILD, Write, only_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("supply_v: 0.9\n", "7:1: supply_v: this number has no entry in basis"),
        (
            "noise:\n  cell_sigma_frac: 0.1\n",
            "7:1: noise: no number of this section has an entry in basis",
        ),
        (
            "adc:\n  bits: 4\n  model: {kind: ramp, step_fj: 1.0}\nbasis: {adc.bits: assumed}\n",
            "9:3: adc.model: no number of this section has an entry in basis",
        ),
        (
            "array:\n  rows: 64\n  cols: 64\nbasis: {array.rows: assumed}\n",
            "9:3: array.cols: this number has no entry in basis",
        ),
        (
            "configurable:\n  rnge_policy: null\n",
            "8:3: configurable.rnge_policy: found \"rnge_policy\"; allowed is 'weight_bits', ",
        ),
        ("calibraton: null\n", "7:1: calibraton: unknown field; did you mean calibration?"),
        ("supply_v: null\n", "7:1: supply_v: missing; this field is needed"),
        ("adc: null\n", "7:1: adc: missing; needed where compute_model is QS"),
    ],
)
def test_a_file_speaks_for_its_own_numbers(write: Write, text: str, expected: str) -> None:
    path = write("mine.yaml", CHILD + text)
    line = only_line(path)
    assert line.startswith(f"{path}:{expected}"), line


def test_a_child_drops_what_it_does_not_have(write: Write) -> None:
    text = "calibration: null\nconfigurable: {range_policy: null}\nnoise: null\n"
    macro = load_hardware(str(write("mine.yaml", CHILD + text))).macro
    assert macro.calibration is None
    assert macro.choices("range_policy") == ("layer",)
    assert macro.noise == Noise()
    assert macro.choices("adc_bits") == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("words", ["{supply_v: guessed}", "[reported]", "null"])
def test_the_parents_basis_is_judged_too(write: Write, words: str) -> None:
    parent = write("parent.yaml", f"{ANALOG.partition('basis:')[0]}basis: {words}\n")
    child = CHILD.replace("macros/yu_cicc_2020", "./parent.yaml")
    path = write("mine.yaml", child + "supply_v: 0.5\nbasis: {supply_v: derived}\n")
    assert only_line(path) == (
        f"{parent}:43:1: basis: allowed for each entry is reported, derived, assumed"
    )


def test_a_new_supply_needs_what_holds_at_it(write: Write) -> None:
    write("mine.yaml", ANALOG)
    child = """\
schema: cimsearch/hardware/1
kind: macro
extends: ./mine.yaml
name: faster
summary: the same at a higher supply
source: a test
supply_v: 1.0
"""
    line = only_line(write("faster.yaml", child + "basis: {supply_v: reported}\n"))
    assert line.endswith(
        "faster.yaml:7:1: supply_v: found 1.0; input.settle_ns, adc.model of mine.yaml hold at "
        "its 0.8 V: state them for 1.0 V too"
    )
    told = """\
input: {settle_ns: 0.8}
adc: {model: {step_fj: 156.0, step_ns: 0.8}}
basis: {supply_v: reported, input: derived, adc: derived}
"""
    assert load_hardware(str(write("faster.yaml", child + told))).macro.supply_v == 1.0


def test_each_number_has_the_basis_of_the_file_that_states_it(write: Write) -> None:
    # The parent says adc.model: derived and array.cell_area_um2: derived.
    text = """\
array: {rows: 256, cell_area_um2: 2.0}
adc: {model: {kind: ramp, step_fj: 1.0}}
basis: {array: assumed, adc: reported}
"""
    path = write("mine.yaml", CHILD + text)
    origins = load_basis(str(path))
    told = {name: origins[f"macro.{name}"] for name in ("array.rows", "array.cols")}
    assert {name: (o.basis, Path(o.file).stem) for name, o in told.items()} == {
        "array.rows": ("assumed", "mine"),
        "array.cols": ("reported", "yu_cicc_2020"),
    }
    assert origins["macro.array.cell_area_um2"].basis == "assumed"
    assert origins["macro.array.bitline_cap_ff_per_cell"].basis == "derived"
    assert origins["macro.adc.model.step_fj"].basis == "reported"
    assert origins["macro.adc.model.step_ns"].basis == "derived"
    shown = CliRunner().invoke(cli, ["show", str(path)]).output
    assert re.search(r"^array\.cell_area_um2 +2\.0 +assumed ", shown, re.MULTILINE)
