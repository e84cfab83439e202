"""Ideal partial sum against code, by chip and column: gain, offset, noise, bend, corners.

A read is ``k * f(P) * (1 + e) + o + n``, rounded by the converter: P the ideal sum, f the mean
transfer, e and o the gain and offset of the column, n the noise of the conversion, and
``k = 1 + a (V - V0) / V0 + b (T - 25 C) + process`` the gain of supply, temperature and chip.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.chip.bend import Bend, bend_of
from cimsearch.cost.chip.codes import Scale, scale_of
from cimsearch.cost.chip.corner import EXACT, Corner, corner_of
from cimsearch.cost.chip.crossval import without_each
from cimsearch.cost.chip.fitted import ChipCheck, Point, TableFit, Value
from cimsearch.cost.chip.lines import Lines, Reads, lines_of
from cimsearch.cost.chip.statistics import (
    Spread,
    between_groups,
    from_variance,
    groups_of,
    knots_of,
    noise_before_rounding,
    spread,
)
from cimsearch.cost.chip.tables import ChipTable, Floats
from cimsearch.spec.hardware import Macro

LEAST_COLUMNS = 3
_SHOWN = 9
_FAR_GAIN = 0.25
_FAIR = 0.9


@dataclass(frozen=True)
class SumsModel:
    """What the lines and reads of some chips say, in partial-sum units."""

    scale: Scale
    step: float
    corner: Corner
    offset: Spread
    gain: Spread
    process: Spread | None
    noise: Spread
    repeated: bool
    bend: Bend

    def mean(self, reads: Reads) -> Floats:
        """Return the mean of each read."""
        return self.bend.mean(reads.ideal) * self.corner.gain(reads.supply, reads.warmth)

    def variance(self, reads: Reads) -> Floats:
        """Return the variance of each read over chips, columns and conversions."""
        mean = self.mean(reads)
        relative = self.gain.sigma**2 + (self.process.sigma**2 if self.process else 0.0)
        fresh = self.noise.sigma**2 + self.step**2 / 12
        left: Floats = self.bend.sigma(reads.ideal) ** 2
        return self.offset.sigma**2 + relative * mean**2 + fresh + left


def fit_sums(table: ChipTable, macro: Macro) -> TableFit:
    """Return the effects that reads of partial sums show.

    Raises:
        SpecError: Sums or codes that it cannot have, or too few data.
    """
    scale = scale_of(macro)
    lines = lines_of(table, macro, scale)
    if lines.columns < LEAST_COLUMNS:
        raise table.too_few(
            f"found {lines.columns} columns of all chips; needed are {LEAST_COLUMNS} or more to "
            "tell how far offset and gain spread"
        )
    model = model_of(lines, scale)
    noise, errors = _noise(model)
    return TableFit(
        "sums",
        table.files,
        noise,
        errors,
        points=_points(_fairly_read(lines), model, macro),
        at="ideal sum",
        value="read less ideal sum [cell levels x input steps]",
        chips=_checked(lines, scale),
        notes=_notes(table, macro, lines, model),
    )


def model_of(lines: Lines, scale: Scale) -> SumsModel:
    """Return what lines and their reads say."""
    corner = corner_of(lines)
    k = corner.gain(lines.supply, lines.warmth)
    index, count = groups_of(lines.column.astype(float))
    each = np.bincount(index, minlength=count)
    gains = np.bincount(index, lines.gain / k) / each
    offsets = np.bincount(index, lines.offset) / each
    gain_errors = np.sqrt(np.bincount(index, (lines.gain_error / k) ** 2)) / each
    offset_errors = np.sqrt(np.bincount(index, lines.offset_error**2)) / each
    chips = lines.chip[np.unique(index, return_index=True)[1]]
    step = float(np.median(lines.reads.step))
    noise, repeated = _noise_of(lines.reads, step)
    bend = bend_of(
        lines.reads,
        scale,
        line=(float(gains.mean()), float(offsets.mean())),
        line_errors=(_of_mean(gains, chips), _of_mean(offsets, chips)),
        noise=noise.sigma,
        repeated=repeated,
    )
    relative, at = (gains / gains.mean(), gains.mean()) if bend.there else (gains, 1.0)
    parted = between_groups(relative, chips)
    within = _within_chips(relative, chips) if parted else relative
    names = len(np.unique(chips))
    return SumsModel(
        scale,
        step,
        corner,
        offset=spread(offsets, offset_errors),
        gain=spread(within, gain_errors / at, names if parted else 1),
        process=Spread(parted[0], parted[0] / sqrt(2 * (names - 1))) if parted else None,
        noise=noise,
        repeated=repeated,
        bend=bend,
    )


def _of_mean(values: Floats, chips: NDArray[np.str_]) -> float:
    """Return the standard error of the mean of columns: of chips, where these differ."""
    if between_groups(values, chips):
        _, index, counts = np.unique(chips, return_inverse=True, return_counts=True)
        values = np.bincount(index, values) / counts
    return float(np.std(values, ddof=1) / sqrt(len(values))) if len(values) > 1 else 0.0


def _within_chips(values: Floats, chips: NDArray[np.str_]) -> Floats:
    _, index, counts = np.unique(chips, return_inverse=True, return_counts=True)
    away: Floats = values - (np.bincount(index, values) / counts)[index]
    return away


def _noise_of(reads: Reads, step: float) -> tuple[Spread, bool]:
    """Return the noise of a conversion, and whether repeated reads tell it.

    Without repeated reads it is what the lines leave, less rounding.
    """
    index, count = groups_of(reads.line.astype(float), reads.ideal)
    each = np.bincount(index, minlength=count)
    freedom = len(index) - count
    if freedom == 0:
        lines = len(np.unique(reads.line))
        freedom = max(len(index) - 2 * lines, 1)
        left = float(reads.bent @ reads.bent) / freedom
        return from_variance(left - step**2 / 12, left * sqrt(2 / freedom)), False
    means = np.bincount(index, reads.bent) / each
    variance = float(np.sum((reads.bent - means[index]) ** 2)) / freedom
    sigma = noise_before_rounding(variance, step)
    error = from_variance(sigma**2, variance * sqrt(2 / freedom)).error
    return Spread(sigma, error), True


def _noise(model: SumsModel) -> tuple[dict[str, Value], dict[str, float]]:
    """Return what the macro's noise becomes, and its standard errors."""
    span = model.scale.full_scale
    numbers = {
        "adc_sigma_frac": (model.noise, span),
        "adc.offset_sigma_frac": (model.offset, span),
        "adc.gain_sigma_frac": (model.gain, 1),
        "pvt.gain_per_supply_frac": (model.corner.per_supply, 1),
        "pvt.gain_per_c": (model.corner.per_c, 1),
        "pvt.process_sigma_frac": (model.process or EXACT, 1),
    }
    found = {
        path: (value.sigma / unit, value.error / unit)
        for path, (value, unit) in numbers.items()
        if value.sigma or not path.startswith("pvt.")
    }
    noise: dict[str, Value] = {"cell_sigma_frac": 0.0}
    noise |= {path: value for path, (value, _) in found.items()}
    if model.bend.there:
        noise |= {
            "transfer.ideal_frac": tuple(model.bend.knots / span),
            "transfer.mean_frac": tuple(model.bend.means / span),
            "transfer.sigma_frac": tuple(model.bend.sigmas / span),
        }
    return noise, {path: error for path, (_, error) in found.items()}


def _points(reads: Reads, model: SumsModel, macro: Macro) -> list[Point]:
    knots = knots_of(reads.ideal, _SHOWN)
    nearest = np.abs(reads.ideal[:, None] - knots).argmin(axis=1).astype(float)
    index, count = groups_of(reads.supply, reads.warmth, nearest)
    many = np.ptp(reads.supply) > 0 or np.ptp(reads.warmth) > 0
    points = []
    for group in range(count):
        own = reads.where(index == group)
        error, expected = own.read - own.ideal, model.mean(own) - own.ideal
        supply = (1 + own.supply[0]) * macro.supply_v
        points.append(
            Point(
                f"{supply:.4g} V, {own.warmth[0] + 25:g} C" if many else "",
                float(own.ideal.mean()),
                len(error),
                float(error.mean()),
                float(error.std()),
                float(expected.mean()),
                sqrt(float(model.variance(own).mean() + expected.var())),
            )
        )
    return points


def _checked(lines: Lines, scale: Scale) -> list[ChipCheck]:
    """Return each chip beside a fit to the others."""
    checks, fair = [], _fairly_read(lines)
    for chip, rest in without_each(lines.chip):
        others, own = lines.where(rest), lines.where(~rest)
        if others.columns < LEAST_COLUMNS:
            continue
        model = model_of(others, scale)
        reads = fair.where(fair.chip == chip)
        if not len(reads.ideal):
            continue
        error = reads.read - model.mean(reads)
        expected = float(model.variance(reads).mean())
        checks.append(
            ChipCheck(
                chip,
                own.columns,
                others.columns,
                sqrt(float(np.mean(error**2))),
                sqrt(expected),
                shared=_shared(model, reads) / expected,
                chips=len(np.unique(others.chip)),
            )
        )
    return checks


def _fairly_read(lines: Lines) -> Reads:
    """Return the reads of ideal sums that nearly all columns have in range.

    At others, columns are missing because of their own offset and gain: what is left is no fair
    sample of these. All reads, where no sum has that many.
    """
    reads = lines.reads
    place, count = groups_of(reads.ideal)
    pairs = np.unique(np.stack([place, reads.line]), axis=1)[0]
    share = np.bincount(pairs, minlength=count) / len(lines.gain)
    fair = (share >= _FAIR)[place]
    return reads.where(fair) if fair.any() else reads


def _shared(model: SumsModel, reads: Reads) -> float:
    """Return the variance of reads that a chip's own gain makes, alike in all its columns."""
    process = model.process.sigma if model.process else 0.0
    return float(np.mean((process * model.mean(reads)) ** 2))


def _notes(table: ChipTable, macro: Macro, lines: Lines, model: SumsModel) -> list[str]:
    notes = list(model.corner.notes)
    if not table.has("lsb"):
        notes.append(
            f"codes are taken as {model.scale.bits} bit over the full scale of "
            f"{model.scale.full_scale}: step {model.scale.lsb:g} from {model.scale.lo:g}; columns "
            "lsb and lo say otherwise"
        )
    supplies = np.unique(lines.supply)
    if len(supplies) == 1 and abs(supplies[0]) > 1e-9:
        notes.append(
            f"all sums are at {(1 + supplies[0]) * macro.supply_v:g} V, the macro's supply is "
            f"{macro.supply_v:g} V: they are taken as they are"
        )
    if not model.repeated:
        notes.append(
            "no read is repeated: what a column's line leaves, less rounding, counts as noise of "
            "conversions (adc_sigma_frac)"
        )
    elif not model.noise.sigma:
        notes.append("repeated reads do not spread: their noise is below what the codes resolve")
    if not model.bend.there:
        notes.append("no gain, offset or nonlinearity that all columns share: no transfer")
    elif abs(model.bend.gain - 1) > _FAR_GAIN:
        notes.append(
            f"the mean gain is {model.bend.gain:.3g}: check that the converter's range is as taken"
        )
    notes.append("sums hold what cells do to them, on average: cell_sigma_frac is set to 0")
    return notes
