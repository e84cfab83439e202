"""Conductance against target and time: programming error, chips apart, drift.

A cell is ``(G + s(r) n) * c * (t / t0)**-nu``: G its target, r its share of the full-scale
conductance, s a polynomial, n normal, c the part of its chip, nu normal.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from cimsearch.cost.chip.crossval import without_each
from cimsearch.cost.chip.drift import NO_DRIFT, Drifted, drifted
from cimsearch.cost.chip.fitted import ChipCheck, Point, TableFit, Value
from cimsearch.cost.chip.statistics import between_groups, groups_of
from cimsearch.cost.chip.tables import ChipTable, Flags, Floats
from cimsearch.spec.hardware import Macro

LEAST_CELLS = 5
MOST_DEGREE = 3
_SAME_TIME = 1.1
_SURE = 3.0
_LOW = 0.1
"""Share of the full scale below which a relative error says little."""
_GRID = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Cells:
    """What some chips' cells say.

    Attributes:
        on_us: Full-scale conductance.
        first_s: Earliest time.
        targets: Different targets, uS.
        means: Mean conductance at each at the earliest time, uS.
        spreads: Standard deviation at each within a chip, uS.
        freedom: Degrees of freedom of those.
        coefficients: Of the polynomial, uS, from the constant on.
        chip_frac: Spread of chips, 0 if they do not differ.
        drift: Of the later times.
    """

    on_us: float
    first_s: float
    targets: Floats
    means: Floats
    spreads: Floats
    freedom: Floats
    coefficients: Floats
    chip_frac: float
    drift: Drifted

    def variance(self, target: Floats, time: Floats) -> Floats:
        """Return the variance of cells of ``target`` at ``time``, uS^2."""
        age = np.log(np.maximum(time / self.first_s, 1.0))
        sigma = np.maximum(_polynomial(self.coefficients, target / self.on_us), 0.0)
        apart = (self.chip_frac**2 + (self.drift.sigma * age) ** 2) * target**2
        variance: Floats = (sigma**2 + apart) * self.decay(time) ** 2
        return variance

    def decay(self, time: Floats) -> Floats:
        """Return what is left of a conductance at ``time``, as a share."""
        share: Floats = np.maximum(time / self.first_s, 1.0) ** -self.drift.mean
        return share


def fit_conductance(table: ChipTable, macro: Macro) -> TableFit:
    """Return the effects of cells that a table of conductances shows.

    Raises:
        SpecError: A macro whose cells have no conductance, targets beyond its own, or too few
            cells.
    """
    on_us = macro.cell.g_on_us if macro.cell.kind == "resistive" else float("nan")
    _check(table, on_us)
    cells = _cells(table, on_us)
    age_s = max(macro.noise.drift.age_s if macro.noise.drift else 0.0, cells.first_s)
    noise: dict[str, Value] = {
        "cell_sigma_frac": 0.0,
        "programming.model": "polynomial",
        "programming.coefficients_us": tuple(cells.coefficients),
        "programming.reference_us": on_us,
    }
    errors: dict[str, float] = {}
    if cells.chip_frac or macro.noise.device_to_device:
        noise |= {
            "device_to_device.cell_sigma_frac": 0.0,
            "device_to_device.chip_sigma_frac": cells.chip_frac,
        }
        errors["device_to_device.chip_sigma_frac"] = cells.chip_frac / sqrt(
            2 * max(len(table.chips) - 1, 1)
        )
    if cells.drift.there:
        noise |= {
            "drift.model": "power_law",
            "drift.nu_mean": cells.drift.mean,
            "drift.nu_sigma": cells.drift.sigma,
            "drift.t0_s": cells.first_s,
            "drift.age_s": age_s,
        }
        errors |= {
            "drift.nu_mean": cells.drift.mean_error,
            "drift.nu_sigma": cells.drift.sigma_error,
        }
    return TableFit(
        "conductance",
        table.files,
        noise,
        errors,
        points=_points(table, cells),
        at="target [uS]",
        value="conductance [uS]",
        chips=_checked(table, on_us),
        notes=_notes(table, cells),
    )


def _check(table: ChipTable, on_us: float) -> None:
    """Check that targets are of this macro, each with enough cells at the earliest time."""
    target = table.numbers["target_us"]
    beyond = [
        (
            int(row),
            "target_us",
            f"found {target[row]:g}; allowed on this macro is 0 to {on_us:g} (cell.g_on_us)",
        )
        for row in np.flatnonzero(target > on_us * (1 + 1e-9))
    ]
    first = _first(table)
    values, rows = np.unique(target, return_index=True)
    few = [
        (
            int(row),
            "target_us",
            f"found {found} cells of this target at the earliest time; needed are {LEAST_CELLS} "
            "or more, two or more on a chip",
        )
        for value, row in zip(values, rows, strict=True)
        if (found := int((first & (target == value)).sum())) < LEAST_CELLS
        or not _freedom(table.where(first & (target == value)))
    ]
    table.refuse([*beyond, *few])


def _freedom(table: ChipTable) -> int:
    return len(table) - len(table.chips)


def _first(table: ChipTable) -> Flags:
    """Return which rows are at the earliest time, within a tenth of it."""
    time = table.numbers["time_s"]
    return np.asarray(time <= _SAME_TIME * time.min())


def _cells(table: ChipTable, on_us: float) -> Cells:
    first = table.where(_first(table))
    target, found = first.numbers["target_us"], first.numbers["conductance_us"]
    chip = first.labels["chip"]
    targets, index, counts = np.unique(target, return_inverse=True, return_counts=True)
    means = np.bincount(index, found) / counts
    own, groups = groups_of(target, chip)
    each = np.bincount(own, minlength=groups)
    away = found - (np.bincount(own, found) / each)[own]
    chips = np.bincount(np.unique(np.stack([index, own]), axis=1)[0])
    freedom = np.maximum(counts - chips, 1).astype(float)
    spreads: Floats = np.sqrt(np.bincount(index, away**2) / freedom)
    high = (target >= _LOW * on_us) & (means[index] > 0)
    apart = between_groups(found[high] / means[index][high] - 1, chip[high])
    return Cells(
        on_us,
        float(first.numbers["time_s"].min()),
        targets,
        means,
        spreads,
        freedom,
        _fitted_polynomial(targets / on_us, spreads, freedom),
        apart[0] if apart else 0.0,
        drifted(table, _first(table), least_us=_LOW * on_us),
    )


def _polynomial(coefficients: Floats, r: Floats) -> Floats:
    return np.asarray(np.polynomial.polynomial.polyval(r, coefficients), dtype=np.float64)


def _fitted_polynomial(r: Floats, spreads: Floats, freedom: Floats) -> Floats:
    """Return the coefficients of the lowest degree that the spreads do not refute.

    A degree more must lower chi squared by 9; a polynomial that is negative between 0 and the
    full scale is refused.
    """
    error = np.maximum(spreads, 1e-3 * spreads.max() + 1e-12) / np.sqrt(2 * freedom)
    best: Floats = np.zeros(1)
    least = np.inf
    for degree in range(min(MOST_DEGREE, len(r) - 1) + 1):
        basis = np.vander(r, degree + 1, increasing=True)
        found = np.linalg.lstsq(basis / error[:, None], spreads / error, rcond=None)[0]
        chi = float(np.sum(((spreads - basis @ found) / error) ** 2))
        if chi < least - _SURE**2 and (degree == 0 or _polynomial(found, _GRID).min() >= 0):
            best, least = np.asarray(found, dtype=np.float64), chi
    return best


def _points(table: ChipTable, cells: Cells) -> list[Point]:
    target, time = table.numbers["target_us"], table.numbers["time_s"]
    time = np.where(_first(table), cells.first_s, time)
    index, count = groups_of(time, target)
    points = []
    for group in range(count):
        own = index == group
        found = table.numbers["conductance_us"][own]
        mean = target[own] * cells.decay(time[own])
        points.append(
            Point(
                f"{time[own][0]:g} s",
                float(target[own][0]),
                len(found),
                float(found.mean()),
                float(found.std(ddof=1)) if len(found) > 1 else 0.0,
                float(mean[0]),
                sqrt(float(cells.variance(target[own], time[own])[0])),
            )
        )
    return points


def _checked(table: ChipTable, on_us: float) -> list[ChipCheck]:
    """Return each chip beside a fit to the others, around the others' means."""
    first = _first(table)
    checks = []
    for chip, rest in without_each(table.labels["chip"]):
        others, own = table.where(rest), table.where(~rest)
        draws, more = int((first & ~rest).sum()), int((first & rest).sum())
        if not draws or more - len(others.chips) < LEAST_CELLS - 1:
            continue
        cells = _cells(others, on_us)
        target, time = own.numbers["target_us"], own.numbers["time_s"]
        mean = np.interp(target, cells.targets, cells.means) * cells.decay(time)
        error = own.numbers["conductance_us"] - mean
        expected = float(cells.variance(target, time).mean())
        shared = float(np.mean((cells.chip_frac * target * cells.decay(time)) ** 2)) / expected
        checks.append(
            ChipCheck(
                chip,
                draws,
                more,
                sqrt(float(np.mean(error**2))),
                sqrt(expected),
                shared=shared,
                chips=len(others.chips),
            )
        )
    return checks


def _notes(table: ChipTable, cells: Cells) -> list[str]:
    notes = [
        f"programming is measured from {cells.targets[0] / cells.on_us:.3g} to "
        f"{cells.targets[-1] / cells.on_us:.3g} of cell.g_on_us; the polynomial is a guess "
        "beyond",
        "programming holds how far cells spread: cell_sigma_frac is set to 0",
    ]
    off = cells.means - cells.targets
    sure = np.abs(off) > _SURE * cells.spreads / np.sqrt(cells.freedom)
    if sure.any() and not cells.chip_frac:
        worst = int(np.abs(np.where(sure, off, 0.0)).argmax())
        notes.append(
            f"means are off their targets, most at {cells.targets[worst]:g} uS, by "
            f"{off[worst]:+.3g} uS: no effect of the model covers that"
        )
    if len(table.chips) > 1 and not cells.chip_frac:
        notes.append("the chips do not differ beyond what their cells do")
    if cells.drift is NO_DRIFT:
        notes.append("one time alone: no drift")
    return [*notes, *cells.drift.notes]
