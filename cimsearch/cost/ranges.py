"""Converter ranges fitted to a calibration sample, in closed form."""

import numpy as np

from cimsearch.cost.conversion import (
    STEPS_PER_UNIT,
    Ends,
    Range,
    along,
    skewed,
    spread_of,
    squared_error,
)
from cimsearch.cost.namespace import (
    Array,
    at_least,
    at_most,
    ceil,
    floor,
    namespace_of,
    pow2,
)
from cimsearch.cost.partial_sums import Sums

SHARES = tuple(share / 10 for share in range(10, 1, -1))
"""Ranges that are tried, as shares of what was seen (see ``cimsearch.cim.converter``)."""

_TRIED = tuple((share, spare_bits) for spare_bits in (0.0, 1.0) for share in SHARES)
_LEAST = 1e-12
_ABOVE = (2.515517, 0.802853, 0.010328)
_BELOW = (1.0, 1.432788, 0.189269, 0.001308)


def fitted_range(sums: Sums, bits: Array) -> Range:
    """Return the range of each (ranges, 1, n, nodes), for ``sums`` (ranges, kinds, n, nodes).

    Tried are shares of what the sample sees, around its mean, with steps on a grid; the least
    error is taken, as errors count in an output. The grid may favour a converter of a bit less by
    chance: that it never does, the ranges of one are tried as well.
    """
    xp = namespace_of(sums.mean)
    power = at_least(sums.power, _LEAST)
    mean = xp.sum(power * sums.mean, axis=1) / xp.sum(power, axis=1)
    ends = seen_ends(sums)
    # Sums are whole numbers, and not all that are normal are possible.
    low = xp.maximum(floor(ends.low[:, 0] + 0.5), xp.min(sums.least, axis=1))
    high = xp.minimum(floor(ends.high[:, 0] + 0.5), xp.max(sums.most, axis=1))
    share, spare_bits = (along(values, mean) for values in zip(*_TRIED, strict=True))
    raw = share * (high - low) / (pow2(at_least(bits - spare_bits, 1.0)) - 1)
    lsb = at_least(ceil(raw * STEPS_PER_UNIT) / STEPS_PER_UNIT, 1.0)
    lo = floor((mean - share * (mean - low)) / lsb) * lsb
    tried = Range(lo[:, :, None], lsb[:, :, None])
    error = xp.sum(power * squared_error(sums, tried, bits), axis=2, keepdims=True)
    index = xp.reshape(xp.arange(18), (18, 1, 1, 1, 1))
    best = index == xp.argmin(error, axis=0, keepdims=True)
    return Range(*(xp.sum(best * each, axis=0) for each in (tried.lo, tried.lsb)))


def seen_ends(sums: Sums) -> Ends:
    """Return where the smallest and largest sum of a sample are expected, of each range."""
    xp = namespace_of(sums.mean)
    reach, sigma = _expected_most(sums.sample), spread_of(sums)
    low = sums.mean - sigma * skewed(reach, -sums.skewness)
    high = sums.mean + sigma * skewed(reach, sums.skewness)
    # A node without such sums has a range of no use, of finite numbers.
    real = (sums.count > 0) | (xp.sum(sums.count, axis=1, keepdims=True) == 0)
    return Ends(
        xp.min(xp.where(real, low, np.inf), axis=1, keepdims=True),
        xp.max(xp.where(real, high, -np.inf), axis=1, keepdims=True),
    )


def _expected_most(sample: Array) -> Array:
    """Return how many standard deviations the largest of ``sample`` normal numbers is above 0.

    What one more number exceeds with the probability 1 / (sample + 1), to 4.5e-4 (Abramowitz and
    Stegun, 26.2.23).
    """
    xp = namespace_of(sample)
    t = (2 * xp.log(at_most(at_least(sample, 1.0), 1e15) + 1)) ** 0.5
    above = sum(factor * t**n for n, factor in enumerate(_ABOVE))
    below = sum(factor * t**n for n, factor in enumerate(_BELOW))
    most: Array = t - above / below
    return most
