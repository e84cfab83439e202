"""Drift of conductances by a power law: its exponent and how that spreads over cells."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from cimsearch.cost.chip.statistics import Spread, from_variance, groups_of, spread
from cimsearch.cost.chip.tables import ChipTable, Flags, Floats

_SURE = 3.0


@dataclass(frozen=True)
class Drifted:
    """The exponent nu of ``(t / t0)**-nu``, its spread over cells, and their standard errors."""

    mean: float = 0.0
    sigma: float = 0.0
    mean_error: float = 0.0
    sigma_error: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def there(self) -> bool:
        """Whether there is any drift."""
        return self.mean > 0 or self.sigma > 0


NO_DRIFT = Drifted()
"""Of a table with one time alone."""


def drifted(table: ChipTable, first: Flags, *, least_us: float) -> Drifted:
    """Return the drift from the earliest time on.

    Cells that the table names are followed one by one; otherwise the mean and the variance of
    logarithms are, at each target.

    Args:
        table: Of conductances.
        first: Which rows are at the earliest time.
        least_us: Cells of lower targets are left out, as read noise hides their drift.
    """
    if first.all():
        return NO_DRIFT
    time = table.numbers["time_s"]
    age = np.where(first, 0.0, np.log(time / time.min()))
    # What does not conduct has no logarithm; to leave out such reads alone would bias the rest.
    kept = (table.numbers["target_us"] >= least_us) & (table.numbers["conductance_us"] > 0)
    if not (kept & first).any() or not (kept & ~first).any():
        return Drifted(notes=("no cell conducts enough at two times: no drift",))
    some = table.where(kept)
    log = np.log(some.numbers["conductance_us"])
    named = bool((some.labels["cell"] != "").all())
    by = _by_cell if named else _by_target
    mean, sigma = by(some, log, age[kept])
    notes = () if named else ("cells have no names (column cell): drift is that of means",)
    if mean.sigma < -_SURE * mean.error:
        return Drifted(
            notes=(*notes, f"conductances rise (nu {mean.sigma:.3g}): a power law cannot tell it")
        )
    sure = mean.sigma > _SURE * mean.error
    spreads = sigma.sigma > _SURE * sigma.error
    if not sure and not spreads:
        return Drifted(notes=(*notes, "no drift beyond its standard error"))
    return Drifted(
        max(mean.sigma, 0.0),
        sigma.sigma if spreads else 0.0,
        mean.error,
        sigma.error,
        notes,
    )


def _by_cell(table: ChipTable, log: Floats, age: Floats) -> tuple[Spread, Spread]:
    """Return nu with its standard error, and its spread, from each cell's own line."""
    index, count = groups_of(
        table.labels["chip"], table.labels["cell"], table.numbers["target_us"]
    )
    start_count = np.bincount(index, age == 0, minlength=count)
    start = np.bincount(index, np.where(age == 0, log, 0.0)) / np.maximum(start_count, 1)
    power = np.bincount(index, age**2)
    both = (start_count > 0) & (power > 0)
    fall = start[index] - log
    nu = np.bincount(index, age * fall) / np.where(power > 0, power, 1.0)
    left = np.where(both[index] & (age > 0), fall - nu[index] * age, 0.0)
    later = np.bincount(index, age > 0)
    freedom = float(np.maximum(later[both] - 1, 0).sum())
    noise = float(left @ left) / freedom if freedom else 0.0
    # A reading's noise, and that of the first one, which all later ones are over.
    lever = np.bincount(index, age)[both] / power[both]
    errors = (
        np.sqrt(noise * (1 / power[both] + lever**2)) if freedom else np.zeros(int(both.sum()))
    )
    found = nu[both]
    observed = float(np.std(found, ddof=1)) if len(found) > 1 else 0.0
    return Spread(float(found.mean()), observed / sqrt(len(found))), spread(found, errors)


def _by_target(table: ChipTable, log: Floats, age: Floats) -> tuple[Spread, Spread]:
    """Return the same from how means fall and variances grow at each target of a chip."""
    own, groups = groups_of(table.labels["chip"], table.numbers["target_us"])
    index, count = groups_of(own.astype(float), age)
    each = np.bincount(index, minlength=count).astype(float)
    mean = np.bincount(index, log) / each
    variance = np.bincount(index, (log - mean[index]) ** 2) / np.maximum(each - 1, 1)
    group = (np.bincount(index, own) / each).astype(int)
    ages = np.bincount(index, age) / each
    start = np.full(groups, -1)
    start[group[ages == 0]] = np.flatnonzero(ages == 0)
    later = np.flatnonzero((ages > 0) & (start[group] >= 0) & (each > 1))
    from_ = start[group[later]]
    fall, fall_error = mean[from_] - mean[later], variance[from_] / each[from_]
    fall_error = np.sqrt(fall_error + variance[later] / each[later])
    grown = variance[later] - variance[from_]
    grown_error = np.sqrt(
        2 * (variance[later] ** 2 / each[later] + variance[from_] ** 2 / each[from_])
    )
    nu, error = _slope(ages[later], fall, fall_error)
    square, square_error = _slope(ages[later] ** 2, grown, grown_error)
    return Spread(nu, error), from_variance(square, square_error)


def _slope(x: Floats, y: Floats, error: Floats) -> tuple[float, float]:
    """Return the slope of a line through 0 and its standard error."""
    weights = 1 / np.maximum(error, 1e-12) ** 2
    power = float(weights @ x**2)
    return float(weights @ (x * y)) / power, 1 / sqrt(power)
