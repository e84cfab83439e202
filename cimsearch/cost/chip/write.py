"""The hardware file of a macro with the noise of measured chips."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cimsearch.cost.chip.combine import ChipFit
from cimsearch.cost.chip.fitted import Value
from cimsearch.cost.csv_cells import CsvFile
from cimsearch.cost.measured import Fit
from cimsearch.cost.measured_file import extending_text, fitted_numbers
from cimsearch.cost.measured_table import MeasuredTable
from cimsearch.spec.hardware import Macro

_WHOLE = ("programming", "drift", "transfer")
_KEPT = ("drift.compensation",)
_OTHER_UNIT = {
    "adc.offset_sigma_frac": "adc.offset_sigma_mv",
    "adc.offset_sigma_mv": "adc.offset_sigma_frac",
    "adc.inl_sigma_frac": "adc.inl_sigma_mv",
    "adc_sigma_frac": "adc.thermal_sigma_mv",
}
"""What a number replaces beside itself."""


def chip_text(
    chip: ChipFit,
    macro: Macro,
    *,
    base: str,
    out: Path,
    operating: tuple[Fit, MeasuredTable] | None = None,
) -> str:
    """Return the file of a macro with fitted noise as YAML.

    Args:
        chip: What was fitted.
        macro: The macro before.
        base: Its name in the catalogue or its path.
        out: The file that will hold the text; its stem is the name of the macro.
        operating: Fitted operating points, whose constants and calibration the file has too.

    Raises:
        SpecError: ``base`` cannot be found or read.
    """
    data: dict[str, Any] = fitted_numbers(*operating) if operating else {"basis": {}}
    files: list[CsvFile] = [operating[1].file] if operating else []
    files += [file for fit in chip.tables for file in fit.files]
    rounded = {path: _rounded(value) for path, value in chip.noise.items()}
    numbers = [path for path, value in rounded.items() if not isinstance(value, str)]
    basis = data.pop("basis") | dict.fromkeys((f"noise.{path}" for path in numbers), "derived")
    kinds = ", ".join(fit.kind for fit in chip.tables)
    return extending_text(
        data | {"noise": _nested(rounded), "basis": basis},
        base=base,
        out=out,
        summary=f"{base} with noise fitted to measured chips: {kinds}",
        source=_source(files),
        dropped=[f"noise.{path}" for path in _replaced(chip.noise, macro)],
    )


def _source(files: Sequence[CsvFile]) -> str:
    return "measured: " + "; ".join(f"{file.path.name}, SHA-256 {file.sha256}" for file in files)


def _rounded(value: Value) -> Any:
    if isinstance(value, tuple):
        return [float(f"{one:.6g}") for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, last = path.split(".")
        part = data
        for key in parents:
            part = part.setdefault(key, {})
        part[last] = value
    return data


def _replaced(noise: Mapping[str, Value], macro: Macro) -> list[str]:
    """Return what the macro says itself and the fitted numbers stand for, by path."""
    own = macro.noise.model_dump(exclude_unset=True, exclude_none=True)
    stated = {
        f"{section}.{name}"
        for section, fields in own.items()
        if isinstance(fields, dict)
        for name in fields
    }
    fitted = {path.partition(".")[0] for path in noise}
    found = {path for path in stated if path.partition(".")[0] in fitted & set(_WHOLE)}
    found |= {other for path, other in _OTHER_UNIT.items() if path in noise}
    return sorted((found & stated) - set(noise) - set(_KEPT))
