"""Tables of what known macros would measure."""

from pathlib import Path

from cimsearch.cost import check_calibration
from cimsearch.cost.measured import Fit, fit, scaled
from cimsearch.cost.measured_file import load_macro
from cimsearch.cost.measured_table import read_table
from cimsearch.spec.hardware import Hardware

HEADER = "weight_bits,activation_bits,adc_bits,activity_frac,density_frac,call_energy_pj\n"


def table_of(path: Path, machine: Hardware, factor: float) -> Path:
    """Write what ``machine`` would measure at its own points, all ``factor`` scaled."""
    calibration = machine.macro.calibration
    assert calibration is not None
    made = machine.model_copy(update={"macro": scaled(machine.macro, factor)})
    data = f"{calibration.activity_frac},{calibration.density_frac}"
    lines = [
        f"{c.point.weight_bits},{c.point.activation_bits},{c.point.adc_bits},{data},"
        f"{c.call_energy_pj!r}\n"
        for c in check_calibration(made, calibration)
    ]
    path.write_text(HEADER + "".join(lines), encoding="utf-8")
    return path


def fitted(path: Path, name: str) -> Fit:
    return fit(read_table(path), load_macro(name))
