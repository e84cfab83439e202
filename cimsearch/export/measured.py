"""A chip's codes beside the expected ones: gain, offset, spread, and columns that stand out.

A tile's codes m are fitted to the expected ones e by least squares, ``m = gain * e + offset``,
over reads in which neither is at an end of the converter's range. ``sigma`` is the standard
deviation of what is left, in codes; it holds the rounding of both. A column stands out if the root
mean square of what is left of it, with the fit clipped to the range, is more than ``FAR`` robust
standard deviations (1.4826 times the median absolute deviation) above the median of its tile's
columns, and more than ``LEAST_CODES``. Those that stand out are left out of a second fit, which
is the one that is told.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cimsearch.cost.plan import Placement
from cimsearch.errors import SpecError
from cimsearch.export.mapping import first_copies
from cimsearch.export.measured_file import Ints, Reads
from cimsearch.export.stored import Stored
from cimsearch.export.tiles import lines_of

FAR = 5.0
LEAST_CODES = 0.5
_ROBUST = 1.4826
_FITS = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """What reads are of the expected codes.

    Attributes:
        reads: How many there are.
        fitted: How many of them are away from the ends of the range, measured and expected.
        gain: Measured codes for an expected one; None where too few differ.
        offset_codes: What is added, in codes; without a gain the mean difference.
        sigma_codes: Standard deviation of what is left, in codes; None for fewer than three reads.
    """

    reads: int
    fitted: int
    gain: float | None
    offset_codes: float
    sigma_codes: float | None


@dataclass(frozen=True)
class ColumnError:
    """A column that stands out.

    Attributes:
        column: Of the array.
        output: Output of the layer that it is of.
        slice: Bit slice, from the least significant.
        mean_codes: Mean of what is left after the tile's fit, in codes.
        rms_codes: Root mean square of it, in codes.
    """

    column: int
    output: int
    slice: int
    mean_codes: float
    rms_codes: float


@dataclass(frozen=True)
class TileCodes:
    """A tile's codes beside the expected ones.

    Attributes:
        tile: Number of the tile in the mapping plan.
        layer: Its layer.
        lines: Columns that were read, of those of the tile.
        of_lines: Columns of the tile that are read.
        fit: Of those that do not stand out.
        outliers: Those that do, the worst first.
    """

    tile: int
    layer: str
    lines: int
    of_lines: int
    fit: Fit
    outliers: tuple[ColumnError, ...]


@dataclass(frozen=True)
class ChipCodes:
    """A chip's codes beside the expected ones.

    Attributes:
        overall: The fit of all tiles together, without columns that stand out.
        tiles: Those that were read, in order of their number.
        unread: Numbers of tiles that were not.
    """

    overall: Fit
    tiles: tuple[TileCodes, ...]
    unread: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def compared(reads: Reads, stored: Stored) -> ChipCodes:
    """Return a chip's codes beside the expected ones.

    Args:
        reads: Of the chip.
        stored: An export whose golden vectors are as they should be.

    Raises:
        SpecError: A read is of something that the export does not have; with line and column.
    """
    first = first_copies(stored.plan)
    with_codes = [tile for tile, own in enumerate(first) if f"{own}/codes" in stored.golden]
    if not with_codes:
        raise SpecError(
            f"{reads.file.path}: this network has no converters to compare codes of",
            "the macro is digital: compare its sums with golden.safetensors instead",
        )
    tiles = reads.values["tile"]
    reads.refuse("tile", ~np.isin(tiles, with_codes), f"0 to {len(first) - 1}")
    found: list[TileCodes] = []
    parts: list[_Part] = []
    for tile in np.unique(tiles).tolist():
        own, place = reads.of(tiles == tile), stored.plan[tile]
        layer = stored.layers[place.layer]
        expected = _expected(own, place, stored, stored.golden[f"{first[tile]}/codes"])
        part = _Part(expected, own.values["code"], 2**layer.numerics.adc_bits - 1)
        columns = _Columns.of(own.values["column"], part)
        parts.append(part.of(~columns.far[columns.index]))
        found.append(_of_tile(tile, stored, parts[-1], columns))
    unread = sorted(set(with_codes) - set(tiles.tolist()))
    return ChipCodes(_fit(_together(parts)), tuple(found), tuple(unread))


@dataclass(frozen=True)
class _Part:
    """Expected and measured codes (reads,), and the largest code there is."""

    expected: Ints
    measured: Ints
    top: Ints | int

    def of(self, chosen: NDArray[np.bool_]) -> "_Part":
        """Return some of the reads."""
        return _Part(self.expected[chosen], self.measured[chosen], self.top)

    def left(self, fit: Fit) -> Floats:
        """Return what a fit, clipped to the range, leaves of each read."""
        gain = 1.0 if fit.gain is None else fit.gain
        left: Floats = self.measured - np.clip(
            gain * self.expected + fit.offset_codes, 0, self.top
        )
        return left

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Reads in which neither code is at an end of the range."""
        inside: NDArray[np.bool_] = np.logical_and.reduce(
            [(codes > 0) & (codes < self.top) for codes in (self.expected, self.measured)]
        )
        return inside


@dataclass(frozen=True)
class _Columns:
    """What a tile's fit leaves of each column that was read.

    Attributes:
        columns: Of the array, (columns,).
        index: Which of them each read is of, (reads,).
        mean: Mean error in codes, (columns,).
        rms: Root mean square of it.
        far: Whether it stands out.
    """

    columns: Ints
    index: Ints
    mean: Floats
    rms: Floats
    far: NDArray[np.bool_]

    @classmethod
    def of(cls, column: Ints, part: _Part) -> "_Columns":
        """Return the columns of a tile's reads; its fit is without those that stand out."""
        columns, index = np.unique(column, return_inverse=True)
        far = np.zeros(len(columns), dtype=np.bool_)
        for _ in range(_FITS):
            left, counts = part.left(_fit(part.of(~far[index]))), np.bincount(index)
            mean = np.bincount(index, left) / counts
            rms = np.sqrt(np.bincount(index, left**2) / counts)
            far = _stands_out(rms)
        return cls(columns, index, mean, rms, far)


def _together(parts: Sequence[_Part]) -> _Part:
    return _Part(
        np.concatenate([part.expected for part in parts]),
        np.concatenate([part.measured for part in parts]),
        np.concatenate([np.full(len(part.expected), part.top) for part in parts]),
    )


def _expected(own: Reads, place: Placement, stored: Stored, codes: Tensor) -> Ints:
    """Return the expected code of each read of a tile.

    Raises:
        SpecError: A read is of something that the tile does not have.
    """
    vectors, groups, planes, _ = codes.shape
    values, numerics = own.values, stored.layers[place.layer].numerics
    for name, count in (("vector", vectors), ("row_group", groups), ("plane", planes)):
        own.refuse(name, values[name] >= count, f"0 to {count - 1} in tile {values['tile'][0]}")
    top = 2**numerics.adc_bits - 1
    own.refuse("code", values["code"] > top, f"0 to {top} in tile {values['tile'][0]}")
    columns = lines_of(place, numerics).columns
    line = np.searchsorted(columns, values["column"]).clip(max=len(columns) - 1)
    wrong = columns[line] != values["column"]
    step = f" in steps of {columns[1] - columns[0]}" if len(columns) > 1 else ""
    own.refuse("column", wrong, f"{columns[0]} to {columns[-1]}{step} in tile {values['tile'][0]}")
    expected: Ints = codes.numpy()[values["vector"], values["row_group"], values["plane"], line]
    return expected.astype(np.int64)


def _of_tile(tile: int, stored: Stored, part: _Part, read: _Columns) -> TileCodes:
    layer = stored.layers[stored.plan[tile].layer]
    lines = lines_of(stored.plan[tile], layer.numerics)
    line = np.searchsorted(lines.columns, read.columns)
    outputs = (lines.groups * layer.outputs + lines.outputs)[line]
    far = sorted(np.flatnonzero(read.far).tolist(), key=lambda at: (-read.rms[at], at))
    return TileCodes(
        tile=tile,
        layer=layer.name,
        lines=len(read.columns),
        of_lines=len(lines.columns),
        fit=_fit(part),
        outliers=tuple(
            ColumnError(
                column=int(read.columns[at]),
                output=int(outputs[at]),
                slice=int(lines.slices[line[at]]),
                mean_codes=float(read.mean[at]),
                rms_codes=float(read.rms[at]),
            )
            for at in far
        ),
    )


def _stands_out(rms: Floats) -> NDArray[np.bool_]:
    """Return which columns' errors are far above those of the others."""
    median = float(np.median(rms))
    spread = _ROBUST * float(np.median(np.abs(rms - median)))
    return rms - median > max(FAR * spread, LEAST_CODES)


def _fit(part: _Part) -> Fit:
    inside = part.inside
    expected, measured = (codes[inside] for codes in (part.expected, part.measured))
    gain = None
    if len(np.unique(expected)) > 1:
        deviation = expected - expected.mean()
        gain = float(deviation @ measured / (deviation @ deviation))
    if len(expected):
        offset = float(measured.mean() - (1.0 if gain is None else gain) * expected.mean())
    else:
        offset = float((part.measured - part.expected).mean())
    left = measured - (1.0 if gain is None else gain) * expected - offset
    free = len(left) - (1 if gain is None else 2)
    sigma = float(np.sqrt(left @ left / free)) if free > 0 else None
    return Fit(len(part.expected), len(left), gain, offset, sigma)
