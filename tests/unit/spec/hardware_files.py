"""Hardware files to break, and what a broken one says."""

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

ADC_PART = ANALOG[ANALOG.index("adc:\n") : ANALOG.index("logic_factor: 1.7")]
NOISE_PART = ANALOG[ANALOG.index("noise:\n") : ANALOG.index("basis:\n")]
DIGITAL = (
    ANALOG.replace("compute_model: QS", "compute_model: digital")
    .replace("kind: charge\n  cap_ff: 0.8", "kind: digital\n  gate_cap_ff: 0.8")
    .replace(ADC_PART, "")
    .replace(NOISE_PART, "")
    .replace("  adc: reported\n", "")
    .replace("  noise: assumed\n", "")
)
CHILD = """\
schema: cimsearch/hardware/1
kind: macro
extends: macros/yu_cicc_2020
name: mine
summary: a macro
source: a test
"""


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
