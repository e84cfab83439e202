"""The transfer that all columns share, and how far single columns bend away from it."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from cimsearch.cost.chip.codes import Scale
from cimsearch.cost.chip.lines import Reads
from cimsearch.cost.chip.statistics import (
    groups_of,
    hats,
    knots_of,
    read_variance,
    rounded_mean,
    rounding_bias_power,
)
from cimsearch.cost.chip.tables import Floats, Ints

MOST_KNOTS = 17
_LEAST_STEPS = 0.1
"""Share of a step below which a bend does not matter, however sure."""
_SURE = 3.0


@dataclass(frozen=True)
class Bend:
    """Mean and spread of reads against ideal sums, linear between knots; none if not ``there``.

    Arrays are (knots,), in partial-sum units. ``gain`` is that of the mean line.
    """

    there: bool
    gain: float
    knots: Floats
    means: Floats
    sigmas: Floats

    def mean(self, ideal: Floats) -> Floats:
        """Return the mean read."""
        return np.interp(ideal, self.knots, self.means) if self.there else ideal

    def sigma(self, ideal: Floats) -> Floats:
        """Return the spread of what lines leave."""
        return np.interp(ideal, self.knots, self.sigmas) if self.there else np.zeros_like(ideal)


@dataclass(frozen=True)
class _Left:
    """What lines leave at each ideal sum, averaged over reads; arrays are (lines x sums,)."""

    ideal: Floats
    place: Ints
    raw: Floats
    unrounded: Floats
    reads: Floats


def bend_of(
    reads: Reads,
    scale: Scale,
    *,
    line: tuple[float, float],
    line_errors: tuple[float, float],
    noise: float,
    repeated: bool,
) -> Bend:
    """Return the transfer that columns share, where it differs from the ideal one for sure.

    Sure is three standard errors and a tenth of a step. Rounding is no bend: what it is expected
    to leave of each line is taken off.

    Args:
        reads: Within range.
        scale: Of the sums.
        line: Mean gain and offset of the columns.
        line_errors: Their standard errors.
        noise: Of a conversion, before rounding.
        repeated: Whether that noise is known from repeated reads; if not, it holds how far
            single columns bend.
    """
    step = float(np.median(reads.step))
    left = _left(reads, noise / step)
    knots = knots_of(reads.ideal, MOST_KNOTS - 2)
    bends = _shared(left, knots, step)
    sigmas = _own(left, knots, noise, step) if repeated else np.zeros_like(knots)
    (gain, offset), (gain_error, offset_error) = line, line_errors
    sure = abs(gain - 1) > _SURE * gain_error or abs(offset) > _SURE * offset_error
    ends = np.array([scale.lowest, scale.highest], dtype=np.float64)
    off = np.abs(offset + (gain - 1) * ends).max()
    straight = not bends.any() and not sigmas.any()
    shifted = bool(sure and off > _LEAST_STEPS * step)
    places = ends if straight else np.unique(np.concatenate([ends, knots]))
    means = places + np.interp(places, knots, bends)
    if shifted or bends.any():
        means += offset + (gain - 1) * places
    return Bend(shifted or not straight, gain, places, means, np.interp(places, knots, sigmas))


def _left(reads: Reads, noise_steps: float) -> _Left:
    rounding = reads.step * (rounded_mean(reads.phase, noise_steps) - reads.phase)
    index, count = groups_of(reads.line.astype(float), reads.ideal)
    each = np.bincount(index, minlength=count).astype(float)
    raw = np.bincount(index, reads.bent) / each
    ideal = np.bincount(index, reads.ideal) / each
    unrounded = raw - np.bincount(index, rounding) / each
    return _Left(ideal, groups_of(ideal)[0], raw, unrounded, each)


def _means(left: _Left, values: Floats) -> tuple[Floats, Floats]:
    """Return the mean over lines at each ideal sum, and the variance of one line around it."""
    each = np.bincount(left.place)
    mean = np.bincount(left.place, values) / each
    away = values - mean[left.place]
    freedom = max(len(values) - len(each), 1)
    return mean, np.square(away) * len(values) / freedom


def _shared(left: _Left, knots: Floats, step: float) -> Floats:
    """Return the bend that lines share at the knots; 0 if there is none for sure."""
    none = np.zeros_like(knots)
    mean, squares = _means(left, left.unrounded)
    places = np.unique(left.ideal)
    each = np.bincount(left.place).astype(float)
    variance = float(squares.mean())
    if len(knots) < 3 or len(left.ideal) == len(places):
        return none
    basis = hats(places, knots)
    normal = basis.T @ (each[:, None] * basis)
    bends = np.linalg.solve(normal, basis.T @ (each * mean))
    freedom = len(knots) - 2
    worth = float(bends @ normal @ bends)
    sure = worth > variance * (freedom + _SURE * sqrt(2 * freedom))
    matters = sure and np.abs(bends).max() > _LEAST_STEPS * step
    return np.asarray(bends, dtype=np.float64) if matters else none


def _own(left: _Left, knots: Floats, noise: float, step: float) -> Floats:
    """Return how far single lines bend at the knots, beyond noise and rounding; 0 if not sure."""
    fresh = read_variance(noise, step) * float(np.mean(1 / left.reads))
    rounding = rounding_bias_power(noise, step)
    tried = ((left.raw, fresh + rounding), (left.unrounded, fresh))
    # Where a line is off its column, the expected rounding is too: the smaller rest is right.
    squares, known = min(
        ((_means(left, values)[1], known) for values, known in tried),
        key=lambda pair: float(pair[0].mean()) - pair[1],
    )
    total = float(squares.mean())
    extra, error = total - known, total * sqrt(2 / len(squares))
    if extra <= _SURE * error or extra <= (_LEAST_STEPS * step) ** 2:
        return np.zeros_like(knots)
    basis = hats(left.ideal, knots)
    found = np.linalg.lstsq(basis.T @ basis, basis.T @ squares, rcond=None)[0]
    sigmas: Floats = np.sqrt(np.maximum(found - known, 0.0))
    return sigmas
