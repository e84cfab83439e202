"""Bad macro files: one clear line a fault, with file, line, column, found and allowed."""

import re

import pytest

from cimsearch.errors import SpecError
from cimsearch.spec import load_hardware

from .hardware_files import ADC_PART, ANALOG, DIGITAL, NOISE_PART, Write, only_line

RESISTIVE = """\
  kind: resistive
  v_read_v: 0.2
  g_on_us: 50.0
  on_off_ratio: 10.0
  t_read_ns: 5.0"""

_CALIBRATION = """\
calibration:
  components: [cells]
  activity_frac: 0.5
  density_frac: 0.5
  tolerance_frac: 0.1
  points:
    - {}
basis:
  calibration: reported
"""

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
        NOISE_PART + "basis:\n  noise: assumed\n",
        "32:1",
        "noise: found some; allowed is none where compute_model is digital",
    ),
    "adc on digital": (
        DIGITAL,
        "basis:\n",
        ADC_PART + "basis:\n  adc: assumed\n",
        "32:1",
        "adc: found one; allowed is none where compute_model is digital",
    ),
    "analog without adc": (
        ANALOG.replace("  adc: reported\n", ""),
        ADC_PART,
        "",
        "1:1",
        "adc: missing; needed where compute_model is QS",
    ),
    "basis of nothing": (
        ANALOG,
        "  noise: assumed\n",
        "  noise: assumed\n  arrray: reported\n",
        "53:3",
        "basis.arrray: this entry of basis is of no number that this file states",
    ),
    "half a converter on digital": (
        DIGITAL,
        "basis:\n",
        "adc:\n  bits: 4\nbasis:\n",
        "32:1",
        "adc: found one; allowed is none where compute_model is digital",
    ),
    "basis of an inherited number": (
        ANALOG,
        "  noise: assumed\n",
        "  noise: assumed\n  technology.vdd_v: reported\n",
        "53:3",
        "basis.technology.vdd_v: this entry of basis is of no number that this file states",
    ),
    "kilovolts": (
        ANALOG,
        "supply_v: 0.8",
        "supply_v: 900",
        "9:1",
        "supply_v: found 900; allowed is greater than 0 to 10",
    ),
    "negative supply": (
        ANALOG,
        "supply_v: 0.8",
        "supply_v: -0.8",
        "9:1",
        "supply_v: found -0.8; allowed is greater than 0 to 10",
    ),
    "spread of more than full scale": (
        ANALOG,
        "cell_sigma_frac: 0.05",
        "cell_sigma_frac: 4",
        "42:3",
        "noise.cell_sigma_frac: found 4; allowed is 0 to 1",
    ),
    "more rows than there are": (
        ANALOG,
        "  rows: 64",
        "  rows: 99999999999999999999",
        "11:3",
        "array.rows: found 99999999999999999999; allowed is 1 to 65536",
    ),
    "repeated setting": (
        ANALOG,
        "basis:\n",
        "configurable:\n  adc_bits: {values: [5, 5, 6], follows: its steps}\nbasis:\n",
        "44:14",
        "configurable.adc_bits.values: found 5 twice; allowed is once",
    ),
    "setting of no type": (
        ANALOG,
        "basis:\n",
        "configurable:\n  adc_bits: {values: [5, 4.5], follows: its steps}\nbasis:\n",
        "44:26",
        "configurable.adc_bits.values.1: found 4.5; allowed is a valid integer or a valid string",
    ),
    "bad calibration point": (
        ANALOG,
        "basis:\n",
        _CALIBRATION.format(
            "{weight_bits: 0, activation_bits: 1, adc_bits: 5, call_energy_pj: 1}"
        ),
        "49:8",
        "calibration.points.0.weight_bits: found 0; allowed is 1 to 16",
    ),
    "no calibration point": (
        ANALOG,
        "basis:\n",
        _CALIBRATION.replace("\n    - {}", " []"),
        "48:3",
        "calibration.points: found none; needed are 1 or more",
    ),
    "section without a basis": (
        ANALOG,
        "  input: assumed\n",
        "",
        "23:1",
        "input: no number of this section has an entry in basis",
    ),
    "subsection without a basis": (
        ANALOG,
        "  adc: reported\n",
        "  adc.bits: reported\n  adc.columns_per_adc: reported\n",
        "34:3",
        "adc.model: no number of this section has an entry in basis",
    ),
    "a macro that extends a system": (
        ANALOG,
        "extends: technologies/cmos_65nm",
        "extends: systems/edge_soc",
        "3:1",
        "extends: found systems/edge_soc, a system; allowed is a macro or a technology where",
    ),
    "free switching of ranges": (
        ANALOG,
        "range_policy: full_scale",
        "range_policy: column",
        "30:1",
        "adc.range_switch_fj: missing; needed where columns with a range each share a converter",
    ),
    "free DACs": (
        ANALOG,
        "  dac_bits: 1",
        "  dac_bits: 4",
        "23:1",
        "input.dac_cap_ff_per_bit: missing; needed where dac_bits is 4 and drive is levels",
    ),
    "number without a basis": (
        ANALOG,
        "  supply_v: reported\n",
        "",
        "9:1",
        "supply_v: this number has no entry in basis",
    ),
}


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


def test_measured_conversions_are_read_from_a_file(write: Write) -> None:
    old = "kind: ramp\n    step_fj: 100.0\n    step_ns: 1.0"
    assert old in ANALOG
    new = "kind: measured\n    points: [{bits: 5, energy_fj: 3.0, conversion_ns: 1.0}]"
    adc = load_hardware(str(write("mine.yaml", ANALOG.replace(old, new)))).macro.adc
    assert adc is not None
    assert adc.model.kind == "measured"
