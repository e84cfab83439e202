"""The error of converting a normal partial sum: ranges, rounding, clipping, noise, in closed form.

Partial sums and steps are in units of one cell level times one DAC step. All is element by
element on arrays (n, nodes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import pi, sqrt

import numpy as np

from cimsearch.cost.namespace import (
    Array,
    at_least,
    at_most,
    floor,
    namespace_of,
    pow2,
    stepped,
    summed,
    values_of,
)

SEEN_SIGMAS = 4.5
"""How far from the mean the sums of a calibration sample reach, in standard deviations."""

SHARES = tuple(share / 10 for share in range(10, 1, -1))
"""Ranges that are tried, as shares of what was seen (see ``cimsearch.cim.converter``)."""

_CODES = range(-7, 8)
_LEAST = 1e-9


@dataclass(frozen=True)
class Sums:
    """Alike partial sums: those of equal row groups, planes and slices.

    Attributes:
        mean: Of a sum.
        variance: Of a sum, over inputs and columns.
        column_variance: Of a sum of one column, over inputs alone.
        least: Smallest possible sum.
        most: Largest.
        count: Conversions of one output.
        power: What the mean square of one conversion's error counts in an output's.
    """

    mean: Array
    variance: Array
    column_variance: Array
    least: Array
    most: Array
    count: Array
    power: Array


@dataclass(frozen=True)
class Range:
    """A converter's range: the sum of code 0, and the step."""

    lo: Array
    lsb: Array


def bits_for(values: Array) -> Array:
    """Return the bits that number ``values`` (a whole number, 1 or more): log2, rounded up."""
    _, exponent = np.frexp(at_least(values_of(values) - 1, 0.5))
    return stepped(values, np.maximum(exponent, 0).astype(np.float64))


def limits(sums: Sequence[Sums]) -> tuple[Array, Array]:
    """Return the smallest and the largest possible of all sums that there are."""
    xp = namespace_of(sums[0].mean)
    least = most = 0.0 * sums[0].most
    for s in sums:
        least = xp.where(s.count > 0, xp.minimum(least, s.least), least)
        most = xp.where(s.count > 0, xp.maximum(most, s.most), most)
    return least, most


def full_range(lowest: Array, full_scale: Array, bits: Array) -> Range:
    """Return the range of a fixed converter: the smallest power-of-two step that spans all."""
    lsb = pow2(bits_for(full_scale) - bits)
    return Range(floor(lowest / lsb) * lsb, lsb)


def range_error(sums: Sums, variance: Array, found: Range, bits: Array) -> tuple[Array, Array]:
    """Return the mean square error of converting ``sums``, and the share of them that clip.

    Args:
        sums: What is converted.
        variance: Theirs, as the range sees it.
        found: The range.
        bits: Converter bits.
    """
    sigma = at_least(variance, _LEAST) ** 0.5
    hi = found.lo + found.lsb * (pow2(bits) - 1)
    above, over = _tail(hi - sums.mean, sigma, at_least(sums.most - hi, 0.0))
    below, under = _tail(sums.mean - found.lo, sigma, at_least(found.lo - sums.least, 0.0))
    rounding = found.lsb**2 * _rounding((sums.mean - found.lo) / found.lsb, sigma / found.lsb)
    # Sums are whole numbers: a power of two meets ties, and a step of one loses nothing.
    lattice = (found.lsb >= 2) / 6.0
    coarse = (found.lsb > 1) * (rounding + lattice)
    return coarse + above + below, over + under


def column_error(sums: Sums, bits: Array) -> tuple[Array, Array]:
    """Return error and clipped share where each column has a range fitted to its own sums."""
    seen = _reach(sums, sums.column_variance)

    def error(share: float) -> tuple[Array, Array]:
        return range_error(sums, sums.column_variance, _fitted(sums.mean, seen, share, bits), bits)

    return reduce(_better, map(error, SHARES))


def layer_errors(sums: Sequence[Sums], bits: Array) -> list[tuple[Array, Array]]:
    """Return errors and clipped shares of all sums of a layer that has one fitted range."""
    total = at_least(summed(s.power for s in sums), _LEAST)
    mean = summed(s.power * s.mean for s in sums) / total
    seen = _seen(sums)
    tried = []
    for share in SHARES:
        fitted = _fitted(mean, seen, share, bits)
        found = [range_error(s, s.variance, fitted, bits) for s in sums]
        weighed = summed(s.power * error for s, (error, _) in zip(sums, found, strict=True))
        tried.append((weighed, found))
    least, best = tried[0]
    where = namespace_of(least).where
    for weighed, found in tried[1:]:
        better = weighed < least
        least = where(better, weighed, least)
        best = [
            (where(better, new[0], old[0]), where(better, new[1], old[1]))
            for new, old in zip(found, best, strict=True)
        ]
    return best


def noise_power(sigma: Array, lsb: Array) -> Array:
    """Return what normal noise before rounding adds to the mean square error of a conversion.

    Where the step loses nothing of a whole number, noise well below half a step is rounded away.
    """
    ratio = at_least(sigma, _LEAST) / lsb
    jumps = summed((2 * k - 1) * 2 * _upper((k - 0.5) / at_most(ratio, 1.5)) for k in range(1, 16))
    rounded = lsb**2 * namespace_of(lsb).where(ratio < 1.5, jumps, ratio**2 + 1 / 12)
    added: Array = namespace_of(lsb).where(lsb <= 1, rounded, sigma**2 + 0.0 * lsb)
    return added * (sigma > 0)


def _better(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    where = namespace_of(a[0]).where
    better = b[0] < a[0]
    return where(better, b[0], a[0]), where(better, b[1], a[1])


def _reach(sums: Sums, variance: Array) -> tuple[Array, Array]:
    """Return the smallest and largest sum that a calibration sample has."""
    xp, reach = namespace_of(variance), SEEN_SIGMAS * at_least(variance, _LEAST) ** 0.5
    low, high = sums.mean - reach, sums.mean + reach
    return xp.maximum(low, sums.least), xp.minimum(high, sums.most)


def _seen(sums: Sequence[Sums]) -> tuple[Array, Array]:
    """Return the smallest and largest sum that a sample of all of a layer's sums has."""
    xp = namespace_of(sums[0].mean)
    far = summed(s.most - s.least for s in sums)
    reaches = [(_reach(s, s.variance), s.count > 0) for s in sums]
    low = reduce(xp.minimum, [xp.where(real, low, far) for (low, _), real in reaches])
    high = reduce(xp.maximum, [xp.where(real, high, -far) for (_, high), real in reaches])
    return low, high


def _fitted(mean: Array, seen: tuple[Array, Array], share: float, bits: Array) -> Range:
    """Return a range of a share of what was seen, around the mean."""
    low, high = share * (mean - seen[0]), share * (seen[1] - mean)
    return Range(mean - low, at_least((low + high) / (pow2(bits) - 1), 1.0))


def _rounding(mean: Array, sigma: Array) -> Array:
    """Return the mean square error of rounding a normal number to a whole one.

    Exact sum over the codes around the mean; above one step of spread it is 1 / 12 to 1e-9.
    """
    xp = namespace_of(mean)
    s = at_most(sigma, 1.0)
    phase = mean - floor(mean + 0.5)
    parts = []
    for code in _CODES:
        d = code - phase
        a, b = (d - 0.5) / s, (d + 0.5) / s
        inside = _upper(a) - _upper(b)
        at_a, at_b = _density(a), _density(b)
        parts.append(
            s**2 * (inside + a * at_a - b * at_b) - 2 * s * d * (at_a - at_b) + d**2 * inside
        )
    error: Array = xp.where(sigma < 1, at_least(summed(parts), 0.0), 1 / 12)
    return error


def _tail(margin: Array, sigma: Array, most: Array) -> tuple[Array, Array]:
    """Return the mean square of what is beyond ``margin``, and its probability.

    Args:
        margin: Distance of the range's end from the mean.
        sigma: Standard deviation.
        most: How far beyond the end a sum can be at all.
    """
    z = margin / sigma
    beyond = _upper(z)
    square = (sigma**2 + margin**2) * beyond - margin * sigma * _density(z)
    xp = namespace_of(z)
    return xp.minimum(at_least(square, 0.0), most**2 * beyond), (most > 0) * beyond


def _density(z: Array) -> Array:
    bounded = at_most(at_least(z, -38.0), 38.0)
    density: Array = namespace_of(z).exp(-0.5 * bounded**2) / sqrt(2 * pi)
    return density


_TAIL = (-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398)
_TAIL_REST = (1.48851587, -0.82215223, 0.17087277)


def _upper(z: Array) -> Array:
    """Return the share of a normal number above ``z``, to a relative 1.2e-7.

    The Chebyshev fit of the complementary error function of Press et al., Numerical Recipes.
    """
    xp = namespace_of(z)
    x = at_most(xp.abs(z), 38.0) / sqrt(2)
    t = 1 / (1 + 0.5 * x)
    polynomial = 0.0 * t
    for factor in reversed(_TAIL + _TAIL_REST):
        polynomial = polynomial * t + factor
    tail = 0.5 * t * xp.exp(polynomial - x**2)
    upper: Array = xp.where(z >= 0, tail, 1 - tail)
    return upper
