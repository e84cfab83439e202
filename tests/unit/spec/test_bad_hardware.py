"""Bad hardware files: one clear line a fault, with file, line, column, found and allowed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cimsearch.cli import cli
from cimsearch.errors import ExitCode, SpecError
from cimsearch.spec import load_hardware

Write = Callable[[str, str], Path]

ANALOG = """\
schema: cimsearch/hardware/1
kind: macro
extends: technologies/cmos_65nm
name: mine
summary: a macro
source: a test
device: sram
compute_model: QS
supply_v: 0.8
array:
  rows: 64
  cols: 64
  active_rows: 32
  cell_bits: 1
  cell_area_um2: 1.5
  bitline_cap_ff_per_cell: 0.4
  write_pj_per_cell: 0.01
  write_ns_per_row: 5.0
cell:
  kind: charge
  cap_ff: 0.8
weights: {encoding: twos_complement, max_bits: 8}
input:
  dac_bits: 1
  max_bits: 8
  wordline_cap_ff_per_cell: 0.8
  wordline_v: 0.8
  driver_area_um2: 10.0
  settle_ns: 1.0
adc:
  bits: 5
  columns_per_adc: 4
  range_policy: full_scale
  model:
    kind: ramp
    step_fj: 100.0
    step_ns: 1.0
    area_um2: 200.0
logic_factor: 1.7
control_frac: 0.05
noise:
  cell_sigma_frac: 0.05
basis:
  technology: derived
  supply_v: reported
  array: reported
  cell: assumed
  weights: assumed
  input: assumed
  adc: reported
  logic_factor: assumed
  control_frac: assumed
  noise: assumed
"""

_ADC = ANALOG[ANALOG.index("adc:\n") : ANALOG.index("logic_factor: 1.7")]
_NOISE = ANALOG[ANALOG.index("noise:\n") : ANALOG.index("basis:\n")]
DIGITAL = (
    ANALOG.replace("compute_model: QS", "compute_model: digital")
    .replace("kind: charge\n  cap_ff: 0.8", "kind: digital\n  gate_cap_ff: 0.8")
    .replace(_ADC, "")
    .replace(_NOISE, "")
    .replace("  adc: reported\n", "")
    .replace("  noise: assumed\n", "")
)
RESISTIVE = """\
  kind: resistive
  v_read_v: 0.2
  g_on_us: 50.0
  on_off_ratio: 10.0
  t_read_ns: 5.0"""

# Text, what replaces what, where the fault stands, and what the message has to say of it.
FAULTS = {
    "rows 0": (ANALOG, "  rows: 64", "  rows: 0", "11:3", "array.rows: found 0; allowed is"),
    "negative rows": (ANALOG, "  rows: 64", "  rows: -4", "11:3", "array.rows: found -4; allowed"),
    "more active rows than rows": (
        ANALOG,
        "active_rows: 32",
        "active_rows: 65",
        "13:3",
        "array.active_rows: found 65; allowed is 1 to rows = 64",
    ),
    "adc bits 40": (ANALOG, "  bits: 5", "  bits: 40", "31:3", "adc.bits: found 40; allowed is"),
    "unknown key": (
        ANALOG,
        "  cell_bits: 1",
        "  cell_bits: 1\n  wires: 2",
        "15:3",
        "array.wires: unknown field; allowed are active_rows",
    ),
    "misspelt key": (
        ANALOG,
        "  cell_bits: 1",
        "  cell_bits: 1\n  endurance_cycle: 2",
        "15:3",
        "array.endurance_cycle: unknown field; did you mean endurance_cycles?",
    ),
    "text for a number": (
        ANALOG,
        "  rows: 64",
        "  rows: many",
        "11:3",
        'array.rows: found "many"; allowed is a valid integer',
    ),
    "number with its unit": (
        ANALOG,
        "supply_v: 0.8",
        "supply_v: 0.8 V",
        "9:1",
        'supply_v: found "0.8 V"; allowed is a valid number',
    ),
    "fraction of a row": (ANALOG, "  rows: 64", "  rows: 64.5", "11:3", "array.rows: found 64.5"),
    "negative capacitance": (
        ANALOG,
        "bitline_cap_ff_per_cell: 0.4",
        "bitline_cap_ff_per_cell: -0.4",
        "16:3",
        "array.bitline_cap_ff_per_cell: found -0.4; allowed is greater than or equal to 0",
    ),
    "not a number": (ANALOG, "  cap_ff: 0.8", "  cap_ff: .nan", "21:3", "cell.cap_ff: found"),
    "infinite": (ANALOG, "supply_v: 0.8", "supply_v: .inf", "9:1", "supply_v: found"),
    "unknown kind of cell": (
        ANALOG,
        "  kind: charge",
        "  kind: charged",
        "20:3",
        "cell.kind: found \"charged\"; allowed is one of 'charge', 'resistive', 'digital'",
    ),
    "resistive cell on sram": (
        ANALOG,
        "  kind: charge\n  cap_ff: 0.8",
        RESISTIVE,
        "20:3",
        "cell.kind: found resistive; allowed is charge where device is sram",
    ),
    "converters that do not divide the columns": (
        ANALOG,
        "columns_per_adc: 4",
        "columns_per_adc: 5",
        "32:3",
        "adc.columns_per_adc: found 5; allowed is a divisor of array.cols = 64",
    ),
    "noise on digital": (
        DIGITAL,
        "basis:\n",
        _NOISE + "basis:\n  noise: assumed\n",
        "32:1",
        "noise: found some; allowed is none where compute_model is digital",
    ),
    "adc on digital": (
        DIGITAL,
        "basis:\n",
        _ADC + "basis:\n  adc: assumed\n",
        "32:1",
        "adc: found one; allowed is none where compute_model is digital",
    ),
    "analog without adc": (
        ANALOG.replace("  adc: reported\n", ""),
        _ADC,
        "",
        "1:1",
        "adc: missing; needed where compute_model is QS",
    ),
    "basis of nothing": (
        ANALOG,
        "  noise: assumed\n",
        "  noise: assumed\n  arrray: reported\n",
        "54:3",
        "basis.arrray: this entry of basis is of no number in the file",
    ),
    "number without a basis": (
        ANALOG,
        "  supply_v: reported\n",
        "",
        "9:1",
        "supply_v: this number has no entry in basis",
    ),
}


def only_line(path: Path) -> str:
    """Return the one line of the error of loading ``path``, the same from the command line."""
    with pytest.raises(SpecError) as caught:
        load_hardware(str(path))
    (line,) = caught.value.message.splitlines()
    done = CliRunner().invoke(cli, ["check", str(path)], standalone_mode=False)
    assert done.return_value == ExitCode.INVALID_SPEC
    assert line in done.stderr.splitlines()
    assert "ok" not in done.output.split()
    return line


@pytest.mark.parametrize("text", [ANALOG, DIGITAL], ids=["analog", "digital"])
def test_the_files_are_good_without_a_fault(write: Write, text: str) -> None:
    assert load_hardware(str(write("mine.yaml", text))).name == "mine"


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_clear_line(write: Write, fault: str) -> None:
    text, old, new, place, expected = FAULTS[fault]
    assert text.count(old) == 1
    path = write("mine.yaml", text.replace(old, new))
    line = only_line(path)
    assert line.startswith(f"{path}:{place}: {expected}"), line


def test_a_key_without_its_unit_is_named_with_its_unit(write: Write) -> None:
    text = ANALOG.replace("supply_v: 0.8", "supply: 0.8").replace("  supply_v:", "  supply:")
    path = write("mine.yaml", text)
    assert only_line(path) == f"{path}:9:1: supply: unknown field; did you mean supply_v?"


def test_every_fault_of_a_file_is_told_once(write: Write) -> None:
    text = ANALOG.replace("  rows: 64", "  rows: 0").replace("  bits: 5", "  bits: 40")
    with pytest.raises(SpecError) as caught:
        load_hardware(str(write("mine.yaml", text)))
    lines = caught.value.message.splitlines()
    found = [re.sub(r"^.*?:(\d+:\d+: [\w.]+):.*$", r"\1", line) for line in lines]
    assert found == ["11:3: array.rows", "31:3: adc.bits"]
