"""Columns of a tile that stand out, by what a chip's codes are beside the expected ones.

A column stands out by one of two rules:

- It is stuck: its code does not follow the expected one. Over expected codes that differ by
  ``STUCK_CODES`` or more its own gain (least squares) is below ``STUCK_GAIN``, by two standard
  errors. Or its code is always the same, ``STUCK_CODES`` or more beside what is expected, although
  that changes. And it is wrong by more than ``LEAST_CODES``. This takes no other column, so it
  also holds where most are dead.
- It is unlike the others: the root mean square of what the tile's fit leaves of it is more than
  ``FAR`` robust standard deviations (1.4826 times the median absolute deviation) above the median
  of the columns that are not stuck, and more than ``LEAST_CODES`` above it.

Those that stand out are left out of a second fit, which is the one that is told.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimsearch.export.code_fit import Codes, Floats, Ints, Line, fitted

FAR = 5.0
LEAST_CODES = 0.5
STUCK_CODES = 2
STUCK_GAIN = 0.25
_ROBUST = 1.4826
_FITS = 2
_ERRORS = 2
_LEAST_VARIED = 1e-12
_ROUNDING = 1 / 12
"""Mean square of what rounding a code takes, in codes squared."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Columns:
    """What a tile's fit leaves of each column that was read.

    Attributes:
        columns: Of the array, (columns,).
        index: Which of them each read is of, (reads,).
        mean: Mean error in codes, (columns,).
        rms: Root mean square of it.
        stuck: Whether its code does not follow the expected one.
        far: Whether it stands out; those that are stuck do.
    """

    columns: Ints
    index: Ints
    mean: Floats
    rms: Floats
    stuck: Flags
    far: Flags

    @classmethod
    def of(cls, column: Ints, codes: Codes) -> "Columns":
        """Return the columns of a tile's reads; its fit is without those that stand out.

        Args:
            column: Of the array, (reads,).
            codes: The reads.
        """
        columns, index = np.unique(column, return_inverse=True)
        found = cls._by(columns, index, codes, Line())
        # Before there is a fit, nothing is known of what columns have in common.
        left_out = found.stuck
        for _ in range(_FITS):
            _, line = fitted(codes.of(~left_out[index]))
            found = cls._by(columns, index, codes, line)
            left_out = found.far
        return found

    @classmethod
    def _by(cls, columns: Ints, index: Ints, codes: Codes, line: Line) -> "Columns":
        """Return the columns beside what a line expects of them."""
        left, counts = codes.left(line), np.bincount(index)
        mean = np.bincount(index, left) / counts
        rms = np.sqrt(np.bincount(index, left**2) / counts)
        stuck = _stuck(index, codes, line, mean) & (rms > LEAST_CODES)
        return cls(columns, index, mean, rms, stuck, stuck | _unlike(rms, stuck))


def _stuck(index: Ints, codes: Codes, line: Line, mean: Floats) -> Flags:
    """Return which columns' codes do not follow the expected ones.

    Args:
        index: Column of each read, (reads,).
        codes: The reads.
        line: What is expected of them.
        mean: Mean error of each column, (columns,).
    """
    top = int(codes.top.max())
    differs = _span(index, codes.expected) >= min(STUCK_CODES, top)
    same = _span(index, codes.measured) == 0
    changes = _span(index, np.rint(codes.on(line))) > 0
    elsewhere = same & changes & (np.abs(mean) >= STUCK_CODES)
    stuck: Flags = (differs & (_most_gain(index, codes) < STUCK_GAIN)) | elsewhere
    return stuck


def _most_gain(index: Ints, codes: Codes) -> Floats:
    """Return what the gain of each column is at most: its own and two standard errors."""
    counts = np.bincount(index)

    def without_mean(values: Ints) -> Floats:
        return values - (np.bincount(index, values) / counts)[index]

    expected, measured = without_mean(codes.expected), without_mean(codes.measured)
    varied = np.maximum(np.bincount(index, expected**2), _LEAST_VARIED)
    gain = np.bincount(index, expected * measured) / varied
    left = np.bincount(index, (measured - gain[index] * expected) ** 2)
    noise = np.maximum(left / np.maximum(counts - 2, 1), _ROUNDING)
    most: Floats = gain + _ERRORS * np.sqrt(noise / varied)
    return most


def _span(index: Ints, values: Floats | Ints) -> Floats:
    """Return the largest less the smallest value of each column."""
    count = int(index.max()) + 1
    most, least = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(most, index, values)
    np.minimum.at(least, index, values)
    span: Floats = most - least
    return span


def _unlike(rms: Floats, stuck: Flags) -> Flags:
    """Return which columns' errors are far above those of the others."""
    others = rms[~stuck]
    if not len(others):
        return stuck
    median = float(np.median(others))
    spread = _ROBUST * float(np.median(np.abs(others - median)))
    return rms - median > max(FAR * spread, LEAST_CODES)
