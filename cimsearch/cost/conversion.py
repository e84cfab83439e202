"""The error of converting normal partial sums: rounding, clipping, noise, in closed form.

Partial sums are whole numbers, in units of one cell level times one DAC step. All is element by
element on arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np

from cimsearch.cost.namespace import (
    Array,
    at_least,
    at_most,
    ceil,
    floor,
    namespace_of,
    pow2,
    stepped,
    values_of,
)
from cimsearch.cost.partial_sums import Sums

STEPS_PER_UNIT = 8
"""Fitted steps are whole numbers of this part of a unit."""

_EDGES = tuple(edge - 0.5 for edge in range(-5, 7))
_JUMPS = range(1, 10)
_LEAST = 1e-9


@dataclass(frozen=True)
class Range:
    """A converter's range: the sum of code 0, and the step."""

    lo: Array
    lsb: Array


@dataclass(frozen=True)
class Ends:
    """Where the smallest and the largest sum of a calibration sample are expected."""

    low: Array
    high: Array


def bits_for(values: Array) -> Array:
    """Return the bits that number ``values`` (a whole number, 1 or more): log2, rounded up."""
    _, exponent = np.frexp(at_least(values_of(values) - 1, 0.5))
    return stepped(values, np.maximum(exponent, 0).astype(np.float64))


def full_range(lowest: Array, full_scale: Array, bits: Array) -> Range:
    """Return the range of a fixed converter: the smallest power-of-two step that spans all."""
    lsb = pow2(bits_for(full_scale) - bits)
    return Range(floor(lowest / lsb) * lsb, lsb)


def squared_error(sums: Sums, found: Range, bits: Array, seen: Ends | None = None) -> Array:
    """Return the mean square error of rounding ``sums`` and cutting off what is out of range.

    Args:
        sums: What is converted.
        found: The range.
        bits: Converter bits.
        seen: What the range was fitted to, if it was.
    """
    lo, lsb = found.lo, found.lsb
    hi = lo + lsb * (pow2(bits) - 1)
    sigma = spread_of(sums)
    spacing, even = _lattice(lsb)
    # What whole numbers differ by from the continuum: an even step meets ties.
    lattice = spacing**2 * namespace_of(lsb).where(even, 1 / 6, -1 / 12)
    spread = lsb**2 * _rounding((sums.mean - lo) / lsb, sigma / lsb)
    low, high = (None, None) if seen is None else (sums.mean - seen.low, seen.high - sums.mean)
    above = _cut_off(hi - sums.mean, high, sums.most - sums.mean, sigma, sums.skewness)
    below = _cut_off(sums.mean - lo, low, sums.mean - sums.least, sigma, -sums.skewness)
    return (lsb > 1) * at_least(spread + lattice, 0.0) + above + below


def _cut_off(end: Array, seen: Array | None, most: Array, sigma: Array, skewness: Array) -> Array:
    """Return the mean square of what is beyond the ``end`` of a range.

    Args:
        end: Distance of the range's end from the mean.
        seen: That of the expected end of the sample. A range that ends less than one beyond it
            has what lies there by chance alone.
        most: That of the last possible sum.
        sigma: Standard deviation.
        skewness: Towards the end.
    """
    beyond = _excess(end / sigma, skewness, (most - end) / sigma)
    if seen is not None:
        unseen = _excess(seen / sigma, skewness, (most + 1 - seen) / sigma)
        beyond = namespace_of(sigma).maximum(beyond, (end < seen + 1) * unseen)
    return sigma**2 * beyond


def clipped_share(sums: Sums, found: Range, bits: Array) -> Array:
    """Return the share of ``sums``, which are whole numbers, that are out of range."""
    hi = found.lo + found.lsb * (pow2(bits) - 1)
    sigma = spread_of(sums)
    over = _above((floor(hi) + 0.5 - sums.mean) / sigma, sums.skewness)
    under = _above((sums.mean - ceil(found.lo) + 0.5) / sigma, -sums.skewness)
    return (sums.most > hi) * over + (sums.least < found.lo) * under


def noise_power(sigma: Array, lsb: Array) -> Array:
    """Return what normal noise before rounding adds to the mean square error of a conversion.

    A threshold at distance t that noise crosses changes the square of the error by 2 t times the
    step; over the residues of a step that adds up to 4 t Q(t / sigma) a spacing of residues.
    """
    xp = namespace_of(lsb)
    spacing, even = _lattice(lsb)
    ratio = at_least(sigma / spacing, _LEAST)
    t = along(_JUMPS, ratio) - xp.where(even, 0.0, 0.5)
    jumps = xp.sum(4 * t * upper(t / at_most(ratio, 1.5)), axis=0)
    wide = ratio**2 + xp.where(even, -1 / 6, 1 / 12)
    added: Array = spacing**2 * xp.where(ratio < 1.5, jumps, wide) * (sigma > 0)
    return added


def spread_of(sums: Sums) -> Array:
    """Return the standard deviation of ``sums``, above 0."""
    return at_least(sums.variance, _LEAST) ** 0.5


def along(values: Sequence[float], like: Array) -> Array:
    """Return ``values`` along a dimension in front of those of ``like``."""
    xp = namespace_of(like)
    return xp.reshape(
        xp.asarray(values, dtype=like.dtype), (len(values), *(1 for _ in like.shape))
    )


def _lattice(lsb: Array) -> tuple[Array, Array]:
    """Return how close sums and thresholds can be, and whether a sum can be on a threshold.

    A step of p / q in lowest terms (q at most ``STEPS_PER_UNIT``) leaves the residues of whole
    numbers 1 / q apart; a threshold lies on them where p is even, else halfway between two. Below
    a step of 1 every whole number is a code, and thresholds are half a step away.
    """
    where, spacing = namespace_of(lsb).where, 0.0 * lsb + 1 / STEPS_PER_UNIT
    parts = STEPS_PER_UNIT
    while parts > 1:
        parts //= 2
        spacing = where(floor(lsb * parts) == lsb * parts, 1 / parts, spacing)
    return where(lsb < 1, lsb, spacing), floor(lsb / 2) * 2 == lsb


def _rounding(mean: Array, sigma: Array) -> Array:
    """Return the mean square error of rounding a normal number to a whole one.

    Sum over the codes around the mean; above one step of spread it is 1 / 12 to 1e-8.
    """
    xp = namespace_of(mean)
    error = 0.0 * (mean + sigma) + 1 / 12
    if not (values_of(sigma) < 1).any():
        return error
    s, phase = at_most(sigma, 1.0), mean - floor(mean + 0.5)
    z = (along(_EDGES, error) - phase) / s
    beyond, density = upper(z), _density(z)
    d = along(_EDGES[:-1], error) + 0.5 - phase
    inside = beyond[:-1] - beyond[1:]
    first = density[:-1] - density[1:]
    second = inside + z[:-1] * density[:-1] - z[1:] * density[1:]
    found = xp.sum(s**2 * second - 2 * s * d * first + d**2 * inside, axis=0)
    near: Array = xp.where(sigma < 1, at_least(found, 0.0), error)
    return near


def skewed(u: Array, skewness: Array) -> Array:
    """Return what a standard normal ``u`` above 0 becomes with a skewness.

    Cornish and Fisher, 1938, up to where their parabola turns.
    """
    u = namespace_of(u).minimum(u, 3 / at_least(-skewness, _LEAST))
    return u + skewness * (u**2 - 1) / 6


def _normal_of(z: Array, skewness: Array) -> tuple[Array, Array]:
    """Return the standard normal that becomes ``z``, and how fast that changes there."""
    slope = at_least(1 + 2 * skewness / 3 * (z + skewness / 6), 1e-4) ** 0.5
    return 2 * (z + skewness / 6) / (1 + slope), slope


def _above(z: Array, skewness: Array) -> Array:
    """Return the share of sums that are more than ``z`` standard deviations above the mean."""
    return upper(_normal_of(z, skewness)[0])


def _excess(z: Array, skewness: Array, most: Array) -> Array:
    """Return the mean square of what is beyond ``z``, in standard deviations; at most ``most``."""
    u, slope = _normal_of(z, skewness)
    share = upper(u)
    square = slope**2 * at_least((1 + u**2) * share - u * _density(u), 0.0)
    return namespace_of(z).minimum(square, at_least(most, 0.0) ** 2 * share)


def _density(z: Array) -> Array:
    bounded = at_most(at_least(z, -38.0), 38.0)
    density: Array = namespace_of(z).exp(-0.5 * bounded**2) / sqrt(2 * pi)
    return density


_TAIL = (-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398)
_TAIL_REST = (1.48851587, -0.82215223, 0.17087277)


def upper(z: Array) -> Array:
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
    share: Array = xp.where(z >= 0, tail, 1 - tail)
    return share
