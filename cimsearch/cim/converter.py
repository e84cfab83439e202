"""The converter: its ranges, the error of one conversion, and the two levels made of it. No torch.

A converter maps a partial sum P to ``lo + lsb * clip(rint((P - lo) / lsb), 0, 2**bits - 1)``; P is
in units of one cell level times one DAC step.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, erf, log2, sqrt

import numpy as np
from numpy.typing import NDArray

from cimsearch.cim.numerics import LayerNumerics
from cimsearch.errors import HardwareError

Floats = NDArray[np.float64]

# Ranges tried by ``fit_ranges``, as shares of the observed one, and the grid their steps lie on.
SHARES = tuple(share / 10 for share in range(10, 1, -1))
STEPS_PER_UNIT = 8


@dataclass(frozen=True)
class Ranges:
    """Converter settings; each array broadcasts to (row groups, slices, output columns).

    Attributes:
        lo: Partial sum of code 0.
        lsb: Step.
        clip_power: Measured mean square of what the range cuts off.

    Raises:
        HardwareError: A range is empty, inverted or not finite.
    """

    lo: Floats
    lsb: Floats
    clip_power: Floats

    def __post_init__(self) -> None:
        if not np.isfinite(self.lo).all():
            raise HardwareError("converter range: found a lo that is not finite")
        if not (np.isfinite(self.lsb) & (self.lsb > 0)).all():
            raise HardwareError(
                f"converter range: found a step of {np.min(self.lsb):g}; allowed is above 0 and "
                "finite: a range must not be empty or inverted"
            )


@dataclass(frozen=True)
class Conversion:
    """A layer's converters as its two cheap levels see them, in units of the integer product.

    Arrays are (row groups, output columns), but ``l0_sigma``, which is (output columns,); columns
    is 1 where all are equal.

    Attributes:
        step: L1: step of the row group's sum.
        lo: L1: where the sum saturates below.
        hi: L1: where it saturates above.
        sigma: L1: standard deviation of the noise before rounding.
        l0_sigma: L0: standard deviation of the noise of the whole output.
    """

    step: Floats
    lo: Floats
    hi: Floats
    sigma: Floats
    l0_sigma: Floats


@lru_cache(maxsize=65536)
def conversion_variance(lsb: float, sigma: float = 0.0) -> float:
    """Return the mean squared error of converting an integer P with normal noise ``sigma``.

    ``P mod lsb`` is taken as uniform over its possible values. Without noise this is
    ``(lsb**2 + 2) / 12`` for even, ``(lsb**2 - 1) / 12`` for odd integer lsb, and 0 where every
    integer is a code.
    """
    exact = Fraction(lsb)
    residues = np.arange(exact.numerator) / exact.denominator
    if sigma == 0.0:
        return float(np.mean((residues - lsb * np.rint(residues / lsb)) ** 2))
    reach = ceil(8 * sigma / lsb) + 1
    codes = np.arange(-reach, reach + 2)
    below = _normal_cdf(((codes - 0.5) * lsb - residues[:, None]) / sigma)
    above = _normal_cdf(((codes + 0.5) * lsb - residues[:, None]) / sigma)
    return float(np.mean(np.sum((above - below) * (codes * lsb - residues[:, None]) ** 2, axis=1)))


def _normal_cdf(z: Floats) -> Floats:
    cdf: Floats = 0.5 + 0.5 * np.vectorize(erf, otypes=[np.float64])(z / sqrt(2))
    return cdf


def full_scale_ranges(numerics: LayerNumerics) -> Ranges:
    """Return the one fixed range: the smallest power-of-two step that spans all active rows."""
    span = numerics.full_scale * (1 + numerics.leakage / (2**numerics.cell_bits - 1))
    lsb = 2.0 ** (ceil(log2(span)) - numerics.adc_bits)
    lo = np.floor(numerics.lowest_sum / lsb) * lsb
    one = np.ones((1, 1, 1))
    return Ranges(lo * one, lsb * one, 0 * one)


def fit_ranges(
    counts: Floats, values: Floats, adc_bits: int, least_lsb: float = 1.0
) -> tuple[Floats, Floats, Floats]:
    """Choose a range for each histogram of partial sums, by least squared error.

    Tried are ranges from the whole of what was observed down to a fifth of it around the mean; of
    equally good ones the widest is kept.

    Args:
        counts: Weighted counts (m, v); each row has one that is positive.
        values: The partial sum of each bin (v,), ascending.
        adc_bits: Converter bits.
        least_lsb: Smallest step, in units of a partial sum.

    Returns:
        lo, lsb and mean square cut off, (m,) each.
    """
    total = counts.sum(axis=1)
    mean = counts @ values / total
    seen = counts > 0
    low = values[seen.argmax(axis=1)]
    high = values[len(values) - 1 - seen[:, ::-1].argmax(axis=1)]
    top = 2**adc_bits - 1
    best: list[Floats] = []
    least = np.full(len(counts), np.inf)
    for share in SHARES:
        raw = share * (high - low) / top
        lsb = np.ceil(np.maximum(raw, least_lsb) * STEPS_PER_UNIT) / STEPS_PER_UNIT
        lo = np.floor((mean - share * (mean - low)) / lsb) * lsb
        kept = np.clip(values, lo[:, None], (lo + lsb * top)[:, None])
        code = np.rint((kept - lo[:, None]) / lsb[:, None])
        error = np.sum(counts * (lo[:, None] + lsb[:, None] * code - values) ** 2, axis=1) / total
        clip = np.sum(counts * (kept - values) ** 2, axis=1) / total
        better = error < least * (1 - 1e-9)
        least = np.where(better, error, least)
        new = [lo, lsb, clip]
        best = [np.where(better, n, b) for n, b in zip(new, best, strict=True)] if best else new
    lo, lsb, clip = best
    return lo, lsb, clip


def conversion_of(numerics: LayerNumerics, ranges: Ranges, groups: int) -> Conversion:
    """Return what L0 and L1 need to know of a layer's converters.

    The error of a bit-serial, bit-sliced product is that of its conversions, weighed by
    ``cb**2 * cs**2`` and summed. L1 quantises the sum of a row group once, with the step whose
    uniform error has that variance; L0 adds normal noise of the variance of all row groups. Where
    one conversion makes the whole sum, L1 is the converter itself.
    """
    shape = np.broadcast_shapes(ranges.lsb.shape, (groups, len(numerics.slice_weights), 1))
    lsb = np.broadcast_to(ranges.lsb, shape)
    clip = np.broadcast_to(ranges.clip_power, shape)
    variance = np.vectorize(conversion_variance, otypes=[np.float64])
    rounding, total = variance(lsb), variance(lsb, numerics.equivalent_sigma)
    cs = np.array(numerics.slice_weights, dtype=np.float64)[None, :, None]
    power = numerics.conversions * numerics.plane_power * cs**2
    if len(numerics.plane_weights) * len(numerics.slice_weights) * numerics.conversions == 1:
        step, noise = lsb[:, 0], np.full(lsb[:, 0].shape, numerics.equivalent_sigma)
    else:
        step = np.maximum(1.0, np.sqrt(12 * np.sum(power * rounding, axis=1)))
        added = np.maximum(total - rounding, 0.0) + clip
        noise = np.sqrt(np.sum(power * added, axis=1))
    lo, hi = _sum_range(numerics, np.broadcast_to(ranges.lo, shape), lsb)
    l0_sigma = np.sqrt(np.sum(power * (total + clip), axis=(0, 1)))
    return Conversion(step, lo, hi, noise, l0_sigma)


def _sum_range(numerics: LayerNumerics, lo: Floats, lsb: Floats) -> tuple[Floats, Floats]:
    """Return the sums (row groups, columns) where every converter is at its end."""
    hi = lo + lsb * (2**numerics.adc_bits - 1)
    if numerics.conversions == 2:
        lo, hi = lo - hi, hi - lo
    cb = np.array(numerics.plane_weights, dtype=np.float64)
    cs = np.array(numerics.slice_weights, dtype=np.float64)
    gain = np.outer(cb, cs)
    up, down = (np.clip(part, 0, None).sum(axis=0)[None, :, None] for part in (gain, -gain))
    return np.sum(up * lo - down * hi, axis=1), np.sum(up * hi - down * lo, axis=1)
