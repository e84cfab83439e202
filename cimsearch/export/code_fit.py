"""Measured codes fitted to expected ones: the gain, offset and noise of a chip's converters.

The model is a converter that is read with noise: a read's code is
``clip(rint(gain * e + offset + part * r + noise), 0, top)``. ``e`` is the expected code and ``r``
what rounding the ideal sum to it left. A real converter sees the sum, ``e + r``; without ``r`` its
gain would seem too small where codes are few. ``noise`` is normal.

Parameters are those of the greatest likelihood: a code in between says that the sum was read
within half a code of it, one at an end of the range that it was read there or beyond (the model
of Tobin, "Estimation of relationships for limited dependent variables", Econometrica 26, 1958,
for codes). So reads at the ends count, and few-bit gains are not too small. Reads whose ideal sum
is beyond the range are left out: how far beyond is not in their expected code.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_ndtr

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAST_SIGMA = 1e-2
"""Noise, in codes, below which none can be told: no read is another code for it."""

_LOWEST_SIGMA = 1e-3
"""Where the search for the most likely noise ends."""

_MOST_SIGMA = 1e4
_HALF = 0.5 + 1e-9
_LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class Fit:
    """What reads are of the expected codes.

    Attributes:
        reads: How many there are.
        fitted: How many of them the fit is of: those whose ideal sum is within the range.
        gain: Measured codes for an expected one; None where too few differ.
        offset_codes: What is added, in codes; without a gain the mean difference; None without
            reads.
        sigma_codes: Standard deviation of the noise, in codes, before the chip rounds; 0 where it
            is less than ``LEAST_SIGMA``; without a gain that of the differences; None for too
            few reads.
    """

    reads: int
    fitted: int
    gain: float | None
    offset_codes: float | None
    sigma_codes: float | None


@dataclass(frozen=True)
class Line:
    """What is expected of a read once a chip's gain and offset are known.

    Attributes:
        gain: Codes for a code.
        offset: In codes.
        of_rest: Codes for a code that the rounding of the ideal sum left.
    """

    gain: float = 1.0
    offset: float = 0.0
    of_rest: float = 0.0


@dataclass(frozen=True)
class Codes:
    """Reads, (reads,) each.

    Attributes:
        expected: Codes.
        rest: The ideal sum less the expected code, in codes: at most a half, unless the sum is
            beyond the range.
        measured: Codes.
        top: The largest code there is.
    """

    expected: Ints
    rest: Floats
    measured: Ints
    top: Ints

    def of(self, chosen: NDArray[np.bool_]) -> "Codes":
        """Return some of the reads."""
        return Codes(
            self.expected[chosen], self.rest[chosen], self.measured[chosen], self.top[chosen]
        )

    @property
    def within(self) -> NDArray[np.bool_]:
        """Reads whose ideal sum is within the range."""
        within: NDArray[np.bool_] = np.abs(self.rest) <= _HALF
        return within

    def on(self, line: Line) -> Floats:
        """Return the code that each read should have, not rounded."""
        rest = np.where(self.within, self.rest, 0.0)
        codes = line.gain * self.expected + line.of_rest * rest + line.offset
        on: Floats = np.clip(codes, 0, self.top)
        return on

    def left(self, line: Line) -> Floats:
        """Return what a read is beside the code that it should have.

        Where the ideal sum is beyond an end of the range, a code nearer to that end is right too.
        """
        left = self.measured - self.on(line)
        left = np.where(self.rest < -_HALF, np.maximum(left, 0.0), left)
        beside: Floats = np.where(self.rest > _HALF, np.minimum(left, 0.0), left)
        return beside


def fitted(codes: Codes) -> tuple[Fit, Line]:
    """Return the gain, offset and noise of reads, and what they say of other ones.

    Where they say no gain, what is expected stays as it is: an offset alone may be that of columns
    that are dead.
    """
    used = codes.of(codes.within)
    between = used.expected[(used.measured > 0) & (used.measured < used.top)]
    if len(np.unique(between)) > 1:
        line, sigma = _most_likely(used)
        sigma = sigma if sigma is None or sigma >= LEAST_SIGMA else 0.0
        return Fit(len(codes.expected), len(used.expected), line.gain, line.offset, sigma), line
    basis = used if len(used.expected) else codes
    beside = basis.measured - basis.expected
    offset = float(beside.mean()) if len(beside) else None
    spread = float(beside.std(ddof=1)) if len(beside) > 1 else None
    return Fit(len(codes.expected), len(used.expected), None, offset, spread), Line()


def _most_likely(codes: Codes) -> tuple[Line, float | None]:
    """Return the line of the greatest likelihood, and the noise about it in codes."""
    columns = [codes.expected - codes.expected.mean(), codes.rest - codes.rest.mean()]
    # Parts of one size, so that a step means as much in each; a part that never varies has none.
    scales = [float(column.std()) for column in columns]
    kept = [at for at, scale in enumerate(scales) if scale > _LOWEST_SIGMA]
    scaled = [columns[at] / scales[at] for at in kept]
    design = np.stack([np.ones(len(codes.expected)), *scaled], axis=1)
    found = _maximised(codes, design)
    slopes = [0.0, 0.0]
    for at, value in zip(kept, found[1:-1], strict=True):
        slopes[at] = float(value / scales[at])
    gain, of_rest = slopes
    offset = float(found[0] - gain * codes.expected.mean() - of_rest * codes.rest.mean())
    count, free = len(design), len(design) - design.shape[1]
    sigma = float(np.exp(found[-1]) * np.sqrt(count / free)) if free > 0 else None
    return Line(gain, offset, of_rest), sigma


def _maximised(codes: Codes, design: Floats) -> Floats:
    """Return the weights of a design's columns (reads, columns) and the noise's logarithm."""
    between = (codes.measured > 0) & (codes.measured < codes.top)
    start, *_ = np.linalg.lstsq(design[between], codes.measured[between], rcond=None)
    left = codes.measured[between] - design[between] @ start
    sigma = max(float(np.sqrt(np.mean(left**2))), _LOWEST_SIGMA)
    limits = [(None, None)] * len(start) + [(np.log(_LOWEST_SIGMA), np.log(_MOST_SIGMA))]
    found = minimize(
        _unlikelihood,
        np.append(start, np.log(sigma)),
        args=(
            design,
            np.where(codes.measured > 0, codes.measured - 0.5, -np.inf),
            np.where(codes.measured < codes.top, codes.measured + 0.5, np.inf),
        ),
        jac=True,
        method="L-BFGS-B",
        bounds=limits,
    )
    best: Floats = found.x
    return best


def _unlikelihood(
    parameters: Floats, design: Floats, low: Floats, high: Floats
) -> tuple[float, Floats]:
    """Return the mean negative logarithm of the reads' likelihood, and its gradient.

    Args:
        parameters: Weights of the design's columns, and the logarithm of the noise.
        design: (reads, columns).
        low: Above what each read was, (reads,).
        high: Below what it was.
    """
    sigma = np.exp(parameters[-1])
    mean = design @ parameters[:-1]
    start, stop = (low - mean) / sigma, (high - mean) / sigma
    # Of two tails the lower one is told to more digits.
    upper = start > 0
    start, stop = np.where(upper, -stop, start), np.where(upper, -start, stop)
    below = log_ndtr(stop)
    log = below + np.log1p(-np.exp(log_ndtr(start) - below))
    at_start, at_stop = (np.exp(-0.5 * at**2 - _LOG_ROOT_2PI - log) for at in (start, stop))
    by_mean = np.where(upper, -1.0, 1.0) * (at_stop - at_start) / sigma
    by_sigma = sum(
        each * np.where(np.isfinite(at), at, 0.0) * sign
        for each, at, sign in ((at_stop, stop, 1.0), (at_start, start, -1.0))
    )
    gradient = np.append(design.T @ by_mean, np.sum(by_sigma)) / len(design)
    return -float(log.mean()), gradient
