"""Bad hardware files: one clear line a fault, with file, line, column, found and allowed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cimsearch.cli import cli
from cimsearch.errors import ExitCode, SpecError
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Noise
from cimsearch.spec.provenance import load_basis

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


CHILD = """\
schema: cimsearch/hardware/1
kind: macro
extends: macros/yu_cicc_2020
name: mine
summary: a macro
source: a test
"""


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


def test_measured_conversions_are_read_from_a_file(write: Write) -> None:
    old = "kind: ramp\n    step_fj: 100.0\n    step_ns: 1.0"
    assert old in ANALOG
    new = "kind: measured\n    points: [{bits: 5, energy_fj: 3.0, conversion_ns: 1.0}]"
    adc = load_hardware(str(write("mine.yaml", ANALOG.replace(old, new)))).macro.adc
    assert adc is not None
    assert adc.model.kind == "measured"


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


SYSTEM = """\
schema: cimsearch/hardware/1
kind: system
extends: systems/edge_soc
name: mine
summary: a system
source: a test
macro: macros/yu_cicc_2020
macros: 4
basis: {macros: assumed}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("macro: macros/yu_cicc_2020", "macro: ../nothere.yaml", "7:1: macro: "),
        (
            "macro: macros/yu_cicc_2020",
            "macro: macros/yu_cicc_202",
            "7:1: macro: hardware: no 'macros/yu_cicc_202' in the catalogue; did you mean",
        ),
        (
            "macro: macros/yu_cicc_2020",
            "macro: technologies/cmos_65nm",
            "7:1: macro: found technologies/cmos_65nm, a technology; allowed is a macro",
        ),
        (
            "macro: macros/yu_cicc_2020",
            "macro: systems/edge_soc",
            "7:1: macro: found systems/edge_soc, a system; allowed is a macro",
        ),
        (
            "systems/edge_soc",
            "macros/yu_cicc_2020",
            "3:1: extends: found macros/yu_cicc_2020, a macro; allowed is a system where kind is",
        ),
        (
            "macros: 4",
            "macros: 0",
            "8:1: macros: found 0; allowed is 'enough' or 1 to 1000000",
        ),
        ("macros: 4", "macros: -3", "8:1: macros: found -3; allowed is 'enough' or 1 to 1000000"),
        (
            "macros: 4",
            "macros: 1.5",
            "8:1: macros: found 1.5; allowed is 'enough' or a valid integer",
        ),
        (
            "macros: 4",
            "macros: many",
            "8:1: macros: found \"many\"; allowed is 'enough' or a valid integer",
        ),
        (
            "macros: 4",
            "macros: 1\noff_chip: {ping_pong: true}",
            "9:12: off_chip.ping_pong: found true; allowed is false where macros is 1",
        ),
        ("basis: {macros: assumed}\n", "", "8:1: macros: this number has no entry in basis"),
    ],
)
def test_each_fault_of_a_system_is_one_line(
    write: Write, old: str, new: str, expected: str
) -> None:
    assert SYSTEM.count(old) == 1
    path = write("mine.yaml", SYSTEM.replace(old, new))
    line = only_line(path)
    assert line.startswith(f"{path}:{expected}"), line


def test_the_fault_of_a_systems_macro_is_at_its_place(write: Write) -> None:
    macro = write("macro.yaml", ANALOG.replace("  rows: 64", "  rows: 0"))
    path = write("mine.yaml", SYSTEM.replace("macros/yu_cicc_2020", "./macro.yaml"))
    assert only_line(path).startswith(f"{macro}:11:3: array.rows: found 0; allowed is")


def test_a_system_without_a_macro_can_be_extended_but_not_priced(write: Write) -> None:
    text = SYSTEM.replace("macro: macros/yu_cicc_2020\n", "").replace("edge_soc", "enough_macros")
    path = write("mine.yaml", text)
    assert CliRunner().invoke(cli, ["check", str(path)]).output == f"{path}: ok\n"
    with pytest.raises(SpecError) as caught:
        load_hardware(str(path))
    assert caught.value.message.startswith(
        f"{path}:1:1: macro: missing; add one, or name the macro"
    )
