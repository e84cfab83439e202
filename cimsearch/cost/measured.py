"""A macro fitted to measured operating points: one factor on its energy constants."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import exp, isclose, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.credibility import CallCheck, check_calibration
from cimsearch.cost.measured_points import MeasuredPoint, measured_points
from cimsearch.cost.measured_table import MeasuredTable
from cimsearch.errors import SpecError
from cimsearch.spec.hardware import Calibration, CallComponent, Hardware, Macro
from cimsearch.spec.supply import at_supply

TOLERANCE_FRAC = 0.1
"""How far the model may be off at a measured point of an imported macro that is `calibrated`."""

ANALOG_SCALED = (
    "array.bitline_cap_ff_per_cell",
    "cell.cap_ff",
    "cell.t_read_ns",
    "input.wordline_cap_ff_per_cell",
    "input.level_shifter_cap_ff",
    "input.dac_cap_ff_per_bit",
    "adc.sample_cap_ff",
    "adc.model.k1_ff",
    "adc.model.k2_ff",
    "adc.model.step_fj",
    "adc.model.energy_factor",
    "adc.range_switch_fj",
)
"""Constants that the energy of cells, drivers and converters is proportional to."""

DIGITAL_SCALED = ("logic_factor",)
"""The constant of a digital macro that the energy of its logic is proportional to."""

_ANALOG_PARTS: tuple[CallComponent, ...] = ("cells", "drivers", "adc")
_DIGITAL_PARTS: tuple[CallComponent, ...] = (
    "cells",
    "drivers",
    "adder_tree",
    "shift_add",
    "control",
)
_LARGEST_FACTOR = 1e3
_MOST_STEPS = 50
_SLOPE_STEP = 1e-4


@dataclass(frozen=True, slots=True)
class MeasuredCheck:
    """A measured point beside the model before and after the fit.

    ``calibrates`` is False for a point at another supply or with other data than those fitted to:
    there the model after the fit is a prediction. ``after_ns`` is one array call.
    """

    measured: MeasuredPoint
    before_pj: float
    after_pj: float
    after_ns: float
    calibrates: bool

    @property
    def error_frac(self) -> float:
        """Model after the fit over measured, less 1."""
        return self.after_pj / self.measured.point.call_energy_pj - 1


@dataclass(frozen=True)
class Fit:
    """A macro fitted to measured points: ``factor`` scales its energy constants."""

    factor: float
    constants: Mapping[str, float]
    calibration: Calibration
    checks: tuple[MeasuredCheck, ...]

    @property
    def calibrated(self) -> bool:
        """Whether the model meets every point that calibrates within the tolerance."""
        fitted = [check for check in self.checks if check.calibrates]
        return all(abs(check.error_frac) <= self.calibration.tolerance_frac for check in fitted)


def energy_constants(macro: Macro) -> dict[str, float]:
    """Return, by path, the constants that a fit scales."""
    data = macro.model_dump()
    paths = DIGITAL_SCALED if macro.compute_model == "digital" else ANALOG_SCALED
    values = {path: _at(data, path) for path in paths}
    return {path: value for path, value in values.items() if value}


def _at(data: Any, path: str) -> float | None:
    """Return the number at a dotted path, or None where there is none."""
    found: Any = reduce(lambda part, key: (part or {}).get(key), path.split("."), data)
    return found if isinstance(found, float) else None


def scaled(macro: Macro, factor: float) -> Macro:
    """Return ``macro`` with its energy constants times ``factor``."""
    data = macro.model_dump()
    for path, value in energy_constants(macro).items():
        *parents, last = path.split(".")
        reduce(lambda part, key: part[key], parents, data)[last] = value * factor
    return Macro.model_validate(data)


def checked(
    hardware: Hardware, measured: MeasuredPoint, *, label: str = "the measured point"
) -> CallCheck:
    """Return what the model says at one measured point, at its supply and with its data.

    Args:
        hardware: The macro, in any system.
        measured: The point.
        label: What an error calls it.

    Raises:
        HardwareError: The point asks what the macro cannot do.
    """
    macro = at_supply(hardware.macro, measured.supply_v)
    there = hardware.model_copy(update={"macro": macro})
    (check,) = check_calibration(there, _calibration(macro, [measured]), label=lambda _: label)
    return check


def _calibration(macro: Macro, points: Sequence[MeasuredPoint]) -> Calibration:
    """Return the calibration to points with the same data, of the parts that are measured."""
    return Calibration(
        components=_parts(macro),
        activity_frac=points[0].activity_frac,
        density_frac=points[0].density_frac,
        tolerance_frac=TOLERANCE_FRAC,
        points=tuple(each.point for each in points),
    )


def _parts(macro: Macro) -> tuple[CallComponent, ...]:
    """Return the parts that a measurement covers: as the macro's file says, or the usual ones.

    A table of simulated calls stands for those of them that it covers.
    """
    if macro.calibration:
        return macro.calibration.components
    digital = macro.compute_model == "digital"
    usual: tuple[CallComponent, ...] = _DIGITAL_PARTS if digital else _ANALOG_PARTS
    if macro.array_call is None:
        return usual
    return ("array_call", *(part for part in usual if part not in macro.simulated))


def fit(table: MeasuredTable, hardware: Hardware) -> Fit:
    """Return the macro of ``hardware`` fitted to the points of ``table``.

    The points at the macro's own supply calibrate; where their data differ, those with the
    commonest do. One factor on the energy constants minimises the sum of squared logarithms of
    model over measured. All other points are predicted.

    Raises:
        SpecError: Rows that the macro cannot run, no row at its supply, no factor that fits, or
            a macro with a table of simulated calls.
    """
    if hardware.macro.array_call:
        raise SpecError(
            f"{hardware.name} has a table of simulated array calls; found measured ones beside it",
            "import onto a macro without array_call: a measurement scales equations",
        )
    points = measured_points(table, hardware.macro)
    before = [checked(hardware, point) for point in points]
    fitted = _calibrating(table, points, hardware.macro)
    calibration = _calibration(hardware.macro, fitted)
    factor = _factor(table, hardware, calibration)
    after = hardware.model_copy(update={"macro": scaled(hardware.macro, factor)})
    checks = []
    for point, old in zip(points, before, strict=True):
        new = checked(after, point)
        checks.append(
            MeasuredCheck(
                point,
                before_pj=old.call_energy_pj,
                after_pj=new.call_energy_pj,
                after_ns=new.call_ns,
                calibrates=point in fitted,
            )
        )
    constants = energy_constants(after.macro)
    return Fit(factor, constants, calibration, tuple(checks))


def _calibrating(
    table: MeasuredTable, points: Sequence[MeasuredPoint], macro: Macro
) -> list[MeasuredPoint]:
    own = [point for point in points if isclose(point.supply_v, macro.supply_v)]
    if not own:
        found = ", ".join(sorted({f"{point.supply_v:g}" for point in points}))
        raise SpecError(
            table.problem(
                points[0].line,
                "supply_v",
                f"found {found}; allowed is one row or more at the macro's {macro.supply_v:g}",
            ),
            "extend the macro in a file of your own with your supply_v, and import onto that",
        )
    data = Counter((point.activity_frac, point.density_frac) for point in own)
    commonest = data.most_common(1)[0][0]
    return [point for point in own if (point.activity_frac, point.density_frac) == commonest]


def _factor(table: MeasuredTable, hardware: Hardware, calibration: Calibration) -> float:
    """Return the factor that fits best: Gauss-Newton on the logarithms."""
    measured = np.log([point.call_energy_pj for point in calibration.points])

    def modelled(log_factor: float) -> NDArray[np.float64]:
        macro = scaled(hardware.macro, exp(log_factor))
        there = hardware.model_copy(update={"macro": macro})
        checks = check_calibration(there, calibration)
        return np.log([check.call_energy_pj for check in checks])

    log_factor, limit = 0.0, log(_LARGEST_FACTOR)
    for _ in range(_MOST_STEPS):
        here = modelled(log_factor)
        slope = (modelled(log_factor + _SLOPE_STEP) - here) / _SLOPE_STEP
        if not slope.any():
            break
        step = float(slope @ (measured - here) / (slope @ slope))
        log_factor += float(np.clip(step, -2.0, 2.0))
        if abs(log_factor) > limit:
            break
        if abs(step) < _SLOPE_STEP / 100:
            return exp(log_factor)
    raise SpecError(
        table.problem(
            table.rows[0].line,
            table.energy_column,
            f"no factor from {1 / _LARGEST_FACTOR:g} to {_LARGEST_FACTOR:g} on "
            f"{hardware.name} meets these energies",
        ),
        "check the unit of the column, and which parts of the macro the energy covers",
    )
