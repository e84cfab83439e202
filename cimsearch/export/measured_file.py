"""The codes that a chip gave for golden vectors, as a CSV file.

One row a conversion, in any order and as often as it was read: UTF-8, commas, a header line, ``#``
comments. All are whole numbers from 0::

    tile       number of the tile in mapping.json
    vector     which of the tile's golden vectors
    row_group  which of the tile's row groups
    plane      input plane, from the least significant
    column     column of the array; of a pair that is read as one the first
    code       what the converter gave
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.csv_cells import CsvFile, complete, nearest, read_csv
from cimsearch.errors import SpecError

COLUMNS = ("tile", "vector", "row_group", "plane", "column", "code")

_MOST_PROBLEMS = 20
_MOST_DIGITS = 9

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Reads:
    """Conversions of a chip.

    Attributes:
        file: Where they are from.
        lines: Line in the file of each, (reads,).
        values: Of each column of the file, (reads,).
    """

    file: CsvFile
    lines: Ints
    values: Mapping[str, Ints]

    def of(self, chosen: NDArray[np.bool_]) -> "Reads":
        """Return some of the reads."""
        return Reads(self.file, self.lines[chosen], {n: v[chosen] for n, v in self.values.items()})

    def refuse(self, name: str, wrong: NDArray[np.bool_], allowed: str) -> None:
        """Raise where reads have a value that is not allowed.

        Raises:
            SpecError: Some have; says which lines.
        """
        raise_all(
            [
                self.file.problem(int(line), name, f"found {value}; allowed is {allowed}")
                for line, value in zip(self.lines[wrong], self.values[name][wrong], strict=True)
            ]
        )


def read_codes(path: Path) -> Reads:
    """Return the reads in a CSV file.

    Raises:
        UsageError: It cannot be read.
        SpecError: It is not as it should be; each problem with its line and column.
    """
    file = read_csv(path)
    rows = [(line, texts) for line, texts in file.rows() if not texts[0].startswith("#")]
    if not rows:
        raise SpecError(file.problem(1, "file", f"is empty; wanted is {', '.join(COLUMNS)}"))
    header_line, header = rows[0]
    file = CsvFile(file.path, file.sha256, file.lines, tuple(header))
    _check_header(file, header_line)
    problems: list[str] = []
    kept = [(line, texts) for line, texts in rows[1:] if complete(file, line, texts, problems)]
    numbers = [
        [_number(file, line, texts, name, problems) for name in COLUMNS] for line, texts in kept
    ]
    raise_all(problems)
    if not kept:
        raise SpecError(file.problem(header_line, "file", "found no rows; allowed is one or more"))
    table = np.array(numbers, dtype=np.int64)
    lines = np.array([line for line, _ in kept])
    return Reads(file, lines, dict(zip(COLUMNS, table.T, strict=True)))


def raise_all(problems: Sequence[str]) -> None:
    """Raise if there are problems.

    Raises:
        SpecError: There are: a line for each, up to a screenful.
    """
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        lines = [*problems[:_MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
        raise SpecError("\n".join(lines))


def _check_header(file: CsvFile, line: int) -> None:
    if not any(map(str.isalpha, "".join(file.header))):
        wanted = f"found no header line; wanted is {','.join(COLUMNS)}"
        raise SpecError(file.problem(line, "header", wanted))
    problems = [
        file.problem(line, name, f"unknown column; {nearest(name, COLUMNS)}")
        for name in file.header
        if name not in COLUMNS
    ]
    missing = [name for name in COLUMNS if name not in file.header]
    if missing:
        problems.append(file.problem(line, "header", f"found no column {', '.join(missing)}"))
    if len(set(file.header)) < len(file.header):
        problems.append(file.problem(line, "header", "found a column twice; allowed is once"))
    raise_all(problems)


def _number(file: CsvFile, line: int, texts: Sequence[str], name: str, problems: list[str]) -> int:
    """Return the whole number of a cell; note it if it is none."""
    text = texts[file.header.index(name)]
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    problems.append(
        file.problem(line, name, f"found {text or 'nothing'!r}; allowed is a whole number from 0")
    )
    return 0
