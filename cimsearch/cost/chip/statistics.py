"""Estimators that the fits share: spreads without what the estimates add, quantisation, lines."""

from collections.abc import Callable
from dataclasses import dataclass
from math import erf, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.chip.tables import Floats, Ints

_STEPS = 60
_HARMONICS = np.arange(1.0, 4001.0)
_HUBER = 2.0
_MAD = 1.4826
_PASSES = 8
_DITHERED = 0.8
"""Noise, in steps, from which a quantiser's mean is its input."""


@dataclass(frozen=True)
class Spread:
    """A standard deviation and its standard error."""

    sigma: float
    error: float


@dataclass(frozen=True)
class Line:
    """``offset + gain * x``, with the standard errors of both and what is left."""

    gain: float
    offset: float
    gain_error: float
    offset_error: float
    residual: float


def spread(values: Floats, errors: Floats | float = 0.0, parameters: int = 1) -> Spread:
    """Return the standard deviation of what ``values`` estimate with standard ``errors``.

    What the errors add is taken off: ``sigma**2 = var(values) - mean(errors**2)``, 0 at least.
    """
    freedom = max(len(values) - parameters, 1)
    observed = float(np.sum((values - values.mean()) ** 2)) / freedom
    variance = max(observed - float(np.mean(np.square(errors))), 0.0)
    return from_variance(variance, observed * sqrt(2 / freedom))


def from_variance(variance: float, error: float) -> Spread:
    """Return the spread of a variance with a standard error."""
    sigma = sqrt(max(variance, 0.0))
    return Spread(sigma, error / (2 * sigma) if sigma else sqrt(error))


def between_groups(values: Floats, groups: NDArray[np.str_]) -> tuple[float, float] | None:
    """Return standard deviations (between groups, within a group) if the groups differ.

    One-way analysis of variance: they do if the mean square between groups, over that within
    them, is above 1 by three of its standard errors, were there no difference.
    """
    names, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    n, k = len(values), len(names)
    if k < 2 or n <= k:
        return None
    means = np.bincount(index, values) / counts
    within = float(np.sum((values - means[index]) ** 2)) / (n - k)
    between = float(np.sum(counts * (means - values.mean()) ** 2)) / (k - 1)
    if between <= within * (1 + 3 * sqrt(2 / (k - 1) + 2 / (n - k))):
        return None
    size = (n - float(np.sum(counts**2)) / n) / (k - 1)
    return sqrt((between - within) / size), sqrt(within)


def rounding_bias_power(sigma: float, step: float) -> float:
    """Return the mean square of a quantiser's mean error, for normal noise ``sigma`` before it.

    The signal is uniform over a step: ``step**2 / (2 pi**2) sum_k exp(-(2 pi k s)**2) / k**2``
    with s = sigma / step (B. Widrow and I. Kollar, "Quantization Noise", 2008).
    """
    s = sigma / step
    terms = np.exp(-((2 * pi * s * _HARMONICS) ** 2)) / _HARMONICS**2
    return float(step**2 / (2 * pi**2) * terms.sum())


def read_variance(sigma: float, step: float) -> float:
    """Return the variance of repeated reads of one value, quantised after noise ``sigma``."""
    return sigma**2 + max(step**2 / 12 - rounding_bias_power(sigma, step), 0.0)


def noise_before_rounding(variance: float, step: float) -> float:
    """Return the normal noise that makes repeated reads spread by ``variance``.

    For noise of half a step and more this is ``variance - step**2 / 12``; below it the codes tell
    less, down to nothing where reads do not spread.
    """
    if variance <= 0:
        return 0.0
    low, high = 0.0, sqrt(variance)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if read_variance(middle, step) < variance else (low, middle)
    return (low + high) / 2


_phi: Callable[[Floats], Floats] = np.vectorize(
    lambda z: 0.5 + 0.5 * erf(z / sqrt(2)), otypes=[np.float64]
)


def rounded_mean(steps: Floats, sigma: float) -> Floats:
    """Return the mean of ``rint(steps + noise)``, noise of ``sigma`` steps."""
    if sigma >= _DITHERED:
        return steps
    whole = np.rint(steps)
    if sigma == 0:
        return whole
    edges = np.arange(-8, 8) + 0.5
    above = _phi((steps - whole)[:, None] / sigma - edges / sigma)
    mean: Floats = whole - 8 + above.sum(axis=1)
    return mean


def robust_line(x: Floats, y: Floats, least: float) -> Line:
    """Return the line through points by Huber's weights.

    Args:
        x: Where.
        y: What; two different x and three points at least.
        least: Smallest residual that can count as an outlier, over ``_HUBER``.
    """
    basis = np.stack([np.ones_like(x), x], axis=1)
    weights = np.ones_like(x)
    for _ in range(_PASSES):
        normal = basis.T @ (weights[:, None] * basis)
        offset, gain = np.linalg.solve(normal, basis.T @ (weights * y))
        left = np.abs(y - offset - gain * x)
        limit = _HUBER * max(_MAD * float(np.median(left)), least)
        weights = np.minimum(1.0, limit / np.maximum(left, limit))
    freedom = max(float(weights.sum()) - 2, 1.0)
    residual = sqrt(float(weights @ left**2) / freedom)
    errors = residual * np.sqrt(np.diag(np.linalg.inv(normal)))
    return Line(float(gain), float(offset), float(errors[1]), float(errors[0]), residual)


def knots_of(x: Floats, most: int) -> Floats:
    """Return up to ``most`` of the different values of ``x``, its ends among them."""
    values = np.unique(x)
    places = np.rint(np.linspace(0, len(values) - 1, min(most, len(values)))).astype(int)
    return np.asarray(values[places], dtype=np.float64)


def hats(x: Floats, knots: Floats) -> Floats:
    """Return how much each knot counts at ``x`` in linear interpolation, (x, knots)."""
    return np.stack([np.interp(x, knots, row) for row in np.eye(len(knots))], axis=1)


def groups_of(*keys: NDArray[np.str_] | Floats) -> tuple[Ints, int]:
    """Return the number of the group of each row, and how many groups there are."""
    index = np.zeros(len(keys[0]), dtype=np.int64)
    for key in keys:
        _, part = np.unique(key, return_inverse=True)
        index = index * (int(part.max()) + 1) + part
    names, index = np.unique(index, return_inverse=True)
    return index, len(names)
