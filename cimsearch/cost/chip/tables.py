"""Tables of what was measured on chips, as CSV files: what they hold, and how they are read.

Nothing here knows the macro. ``cimsearch.cost.chip.templates`` shows an example of each.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.chip.layouts import LAYOUTS, Column, Kind
from cimsearch.cost.csv_cells import CsvFile, complete, nearest, read_csv
from cimsearch.cost.measured_table import COLUMNS as OPERATING_COLUMNS
from cimsearch.errors import SpecError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
_MOST_PROBLEMS = 20
_SURE, _LIKELY = 1.0, 0.6


_TOGETHER = (("lsb", "lo"),)
_ONE_OF = (("inl_lsb", "dnl_lsb"), ("offset_mv", "offset_lsb"))


@dataclass(frozen=True)
class ChipTable:
    """One kind of measurement, of one file or of several.

    Attributes:
        kind: What was measured.
        files: Where the rows are from.
        numbers: Of each column of numbers, (rows,); NaN where a file has none.
        labels: Of each column of names, (rows,); empty where a file has none.
        file: Index into ``files`` of each row.
        line: Line in its file of each row.
    """

    kind: Kind
    files: tuple[CsvFile, ...]
    numbers: Mapping[str, Floats]
    labels: Mapping[str, NDArray[np.str_]]
    file: Ints
    line: Ints

    def __len__(self) -> int:
        return len(self.line)

    @property
    def chips(self) -> list[str]:
        """The chips, in the order of their names."""
        return [str(chip) for chip in np.unique(self.labels["chip"])]

    def has(self, column: str) -> bool:
        """Return whether any row has a number in ``column``."""
        return bool(np.isfinite(self.numbers[column]).any())

    def where(self, rows: Flags) -> "ChipTable":
        """Return the table of some rows."""
        return replace(
            self,
            numbers={name: values[rows] for name, values in self.numbers.items()},
            labels={name: values[rows] for name, values in self.labels.items()},
            file=self.file[rows],
            line=self.line[rows],
        )

    def problem(self, row: int, column: str, message: str) -> str:
        """Return one line that points at a cell."""
        file: CsvFile = self.files[int(self.file[row])]
        return file.problem(int(self.line[row]), column, message)

    def refuse(self, problems: Iterable[tuple[int, str, str]], hint: str = "") -> None:
        """Raise where there are problems (row, column, message), all at once, by row.

        Raises:
            SpecError: There are.
        """
        if told := [self.problem(*problem) for problem in sorted(problems)]:
            raise SpecError(_joined(told), hint)

    def too_few(self, message: str) -> SpecError:
        """Return the error of a table that has too few rows to fit."""
        names = ", ".join(str(file.path) for file in self.files)
        return SpecError(f"{names}: {message}")


def kind_of(path: Path) -> Kind:
    """Return what a CSV file holds, by its header.

    Raises:
        UsageError: It cannot be read.
        SpecError: It has no header, or one that is like none that is known.
    """
    file, line, header, _ = _opened(path)
    known = [*LAYOUTS, ("operating", tuple(map(Column, OPERATING_COLUMNS)))]
    kind, columns = max(known, key=lambda layout: _likeness(header, layout[1]))
    if not _likeness(header, columns):
        raise SpecError(
            file.problem(line, "header", f"found {', '.join(header)}; no kind of table has these"),
            "cimsearch hardware import --template KIND prints an example of a table: "
            "operating, sums, spread, conductance or converter",
        )
    return kind


def read_chip_table(path: Path) -> ChipTable:
    """Return the table in a CSV file: UTF-8, commas, a header line, ``#`` comments.

    Raises:
        UsageError: The file cannot be read.
        SpecError: It is not as its template says; all problems at once, each with its line and
            column.
    """
    file, header_line, header, lines = _opened(path)
    kind, columns = max(LAYOUTS, key=lambda layout: _likeness(header, layout[1]))
    _check_header(file, header_line, kind, columns)
    problems: list[str] = []
    kept = [(line, texts) for line, texts in lines if complete(file, line, texts, problems)]
    cells = {name: [texts[at] for _, texts in kept] for at, name in enumerate(header)}
    at_line = [line for line, _ in kept]
    numbers, labels = {}, {}
    for column in columns:
        texts = cells.get(column.name, [""] * len(kept))
        needed = column.needed or (column.name in header and column.label)
        if column.label:
            labels[column.name] = np.array(texts, dtype=np.str_)
        else:
            numbers[column.name] = np.array([_number(text, column) for text in texts])
        problems += _bad_cells(file, at_line, column, texts, needed=needed)
    if problems:
        raise SpecError(_joined(problems))
    if not kept:
        raise SpecError(file.problem(header_line, "file", "found no rows; allowed is one or more"))
    for other in (c for k, layout in LAYOUTS if k == kind for c in layout):
        if not other.label:
            numbers.setdefault(other.name, np.full(len(kept), np.nan))
    return ChipTable(kind, (file,), numbers, labels, np.zeros(len(kept), int), np.array(at_line))


def merged(tables: Sequence[ChipTable]) -> ChipTable:
    """Return the rows of several tables of one kind as one table."""
    first = tables[0]
    return ChipTable(
        first.kind,
        tuple(file for table in tables for file in table.files),
        {name: np.concatenate([t.numbers[name] for t in tables]) for name in first.numbers},
        {name: np.concatenate([t.labels[name] for t in tables]) for name in first.labels},
        np.concatenate([table.file + index for index, table in enumerate(tables)]),
        np.concatenate([table.line for table in tables]),
    )


def _opened(path: Path) -> tuple[CsvFile, int, list[str], list[tuple[int, list[str]]]]:
    """Return a file with its header, the header's line, and the lines below."""
    file = read_csv(path)
    lines = [(line, cells) for line, cells in file.rows() if not cells[0].startswith("#")]
    if not lines:
        raise SpecError(file.problem(1, "file", "found no header line"))
    (line, header), *rest = lines
    return replace(file, header=tuple(header)), line, header, rest


def _likeness(header: Sequence[str], columns: Sequence[Column]) -> float:
    names = [column.name for column in columns]
    return sum(
        _SURE if name in names else _LIKELY if difflib.get_close_matches(name, names) else 0.0
        for name in header
    )


def _check_header(file: CsvFile, line: int, kind: Kind, columns: Sequence[Column]) -> None:
    """Check that the columns are known, there once, and enough."""
    header, names = file.header, [column.name for column in columns]
    problems = [
        (name or "header", f"unknown column; {nearest(name, names)}")
        for name in header
        if name not in names
    ]
    problems += [
        (name, f"found {header.count(name)} columns of this name; allowed is 1")
        for name in names
        if header.count(name) > 1
    ]
    problems += [
        (column.name, "missing; this column is needed")
        for column in columns
        if column.needed and column.name not in header
    ]
    for pair in _TOGETHER:
        if len(found := [name for name in pair if name in header]) == 1:
            problems.append((found[0], f"found it alone; allowed is {' and '.join(pair)}"))
    for pair in _ONE_OF:
        if all(name in header for name in pair):
            problems.append((pair[1], f"found it beside {pair[0]}; allowed is one of them"))
    if problems:
        raise SpecError(
            "\n".join(file.problem(line, *problem) for problem in problems),
            f"cimsearch hardware import --template {kind} prints an example",
        )


def _number(text: str, column: Column) -> float:
    """Return a number that the column takes; NaN for anything else."""
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    return value if isfinite(value) and column.accept(value) else float("nan")


def _bad_cells(
    file: CsvFile, lines: Sequence[int], column: Column, texts: Sequence[str], *, needed: bool
) -> list[str]:
    """Return what is wrong in one column."""
    told = []
    for line, text in zip(lines, texts, strict=True):
        bad = needed if not text else not column.label and np.isnan(_number(text, column))
        if bad:
            found = repr(text) if text else "nothing"
            told.append(
                file.problem(line, column.name, f"found {found}; allowed is {column.allowed}")
            )
    return told


def _joined(problems: Sequence[str]) -> str:
    """Return problems a line each, those of the first lines alone where they are many."""
    more = len(problems) - _MOST_PROBLEMS
    told = [*problems[:_MOST_PROBLEMS], *([f"and {more} more like these"] if more > 0 else [])]
    return "\n".join(told)
