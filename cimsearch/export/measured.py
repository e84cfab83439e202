"""A chip's codes beside the expected ones: gain, offset, noise, and columns that stand out.

Codes are fitted as ``code_fit`` says; which columns stand out, and are left out, ``columns`` says.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cimsearch.errors import SpecError
from cimsearch.export.code_fit import Codes, Fit, Ints, fitted
from cimsearch.export.columns import Columns
from cimsearch.export.mapping import first_copies
from cimsearch.export.measured_file import Reads
from cimsearch.export.stored import Stored
from cimsearch.export.tiles import line_ranges, lines_of


@dataclass(frozen=True)
class ColumnError:
    """A column that stands out.

    Attributes:
        column: Of the array.
        output: Output of the layer that it is of.
        slice: Bit slice, from the least significant.
        mean_codes: Mean of what is left after the tile's fit, in codes.
        rms_codes: Root mean square of it, in codes.
        stuck: Whether its code does not follow the expected one.
    """

    column: int
    output: int
    slice: int
    mean_codes: float
    rms_codes: float
    stuck: bool


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

    @property
    def has_stuck(self) -> bool:
        """Whether a column's code does not follow the expected one."""
        return any(column.stuck for tile in self.tiles for column in tile.outliers)


def compared(reads: Reads, stored: Stored) -> ChipCodes:
    """Return a chip's codes beside the expected ones.

    Args:
        reads: Of the chip.
        stored: An export whose golden vectors are as they should be.

    Raises:
        SpecError: A read is of something that the export does not have; with line and column.
    """
    first = first_copies(stored.plan)
    golden = [stored.golden.get(f"{own}/codes") for own in first]
    # A tile whose row groups are all skipped has none.
    with_codes = [tile for tile, own in enumerate(golden) if own is not None and own.numel()]
    if not with_codes:
        raise SpecError(
            f"{reads.file.path}: this network has no converters to compare codes of",
            "the macro is digital: compare its sums with golden.safetensors instead",
        )
    tiles = reads.values["tile"]
    reads.refuse("tile", ~np.isin(tiles, with_codes), f"0 to {len(first) - 1}")
    found: list[TileCodes] = []
    parts: list[Codes] = []
    for tile in np.unique(tiles).tolist():
        own = reads.of(tiles == tile)
        codes = _codes(own, stored, tile, first[tile])
        columns = Columns.of(own.values["column"], codes)
        parts.append(codes.of(~columns.far[columns.index]))
        found.append(_of_tile(tile, stored, parts[-1], columns))
    unread = sorted(set(with_codes) - set(tiles.tolist()))
    return ChipCodes(fitted(_together(parts))[0], tuple(found), tuple(unread))


def _together(parts: Sequence[Codes]) -> Codes:
    return Codes(
        np.concatenate([part.expected for part in parts]),
        np.concatenate([part.rest for part in parts]),
        np.concatenate([part.measured for part in parts]),
        np.concatenate([part.top for part in parts]),
    )


def _codes(own: Reads, stored: Stored, tile: int, first: int) -> Codes:
    """Return the reads of a tile beside what is expected.

    Args:
        own: Its reads.
        stored: The export.
        tile: Its number.
        first: The number of the tile in the first copy, which golden vectors are of.

    Raises:
        SpecError: A read is of something that the tile does not have.
    """
    place, codes = stored.plan[tile], stored.golden[f"{first}/codes"].numpy()
    layer = stored.layers[place.layer]
    vectors, groups, planes, _ = codes.shape
    values = own.values
    for name, count in (("vector", vectors), ("row_group", groups), ("plane", planes)):
        own.refuse(name, values[name] >= count, f"0 to {count - 1} in tile {tile}")
    top = 2**layer.numerics.adc_bits - 1
    own.refuse("code", values["code"] > top, f"0 to {top} in tile {tile}")
    line = _lines(own, lines_of(place, layer.numerics).columns, tile)
    at = values["vector"], values["row_group"], values["plane"], line
    lo, lsb = line_ranges(place, layer)
    group = values["row_group"], line
    sums = stored.golden[f"{first}/partial_sums"].numpy()[at]
    expected = codes[at].astype(np.int64)
    rest = (sums - lo[group]) / lsb[group] - expected
    return Codes(expected, rest, values["code"], np.full(len(expected), top))


def _lines(own: Reads, columns: Ints, tile: int) -> Ints:
    """Return which line of a tile each read is of, the lines' columns being ``columns``.

    Raises:
        SpecError: A read is of none.
    """
    read = own.values["column"]
    line = np.searchsorted(columns, read).clip(max=len(columns) - 1)
    step = f" in steps of {columns[1] - columns[0]}" if len(columns) > 1 else ""
    own.refuse(
        "column",
        columns[line] != read,
        f"{columns[0]} to {columns[-1]}{step} in tile {tile}",
    )
    return line


def _of_tile(tile: int, stored: Stored, part: Codes, read: Columns) -> TileCodes:
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
        fit=fitted(part)[0],
        outliers=tuple(
            ColumnError(
                column=int(read.columns[at]),
                output=int(outputs[at]),
                slice=int(lines.slices[line[at]]),
                mean_codes=float(read.mean[at]),
                rms_codes=float(read.rms[at]),
                stuck=bool(read.stuck[at]),
            )
            for at in far
        ),
    )
