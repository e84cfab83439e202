"""Reading a CSV file so that an error can point at the line and column of a cell."""

import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cimsearch.errors import SpecError, UsageError


@dataclass(frozen=True)
class CsvFile:
    """A CSV file as it was read: its lines with their ends, and its first row once known."""

    path: Path
    sha256: str = ""
    lines: tuple[str, ...] = field(default=(), repr=False)
    header: tuple[str, ...] = ()

    def place(self, line: int, name: str) -> str:
        """Return where the cell of column ``name`` is; where its line is if there is none."""
        column = 1
        if name in self.header and 1 <= line <= len(self.lines):
            starts = cell_columns(self.lines[line - 1])
            column = dict(zip(self.header, starts, strict=False)).get(name, 1)
        return f"{self.path}:{line}:{column}: {name}"

    def problem(self, line: int, name: str, message: str) -> str:
        """Return one line that points at a cell and says what is wrong there."""
        return f"{self.place(line, name)}: {message}"

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line number, stripped cells) of the lines that are not empty.

        Raises:
            SpecError: The file is not valid CSV; names the line.
        """
        reader = csv.reader(self.lines, strict=True)
        try:
            for texts in reader:
                cells = [text.strip() for text in texts]
                if any(cells):
                    yield reader.line_num, cells
        except csv.Error as error:
            where = self.problem(reader.line_num, "file", f"not valid CSV: {error}")
            raise SpecError(where) from error


def read_csv(path: Path) -> CsvFile:
    """Return a CSV file, UTF-8.

    Raises:
        UsageError: It cannot be read.
        SpecError: It is not UTF-8; names the line and column.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].split(b"\n")
        place = f"{path}:{len(before)}:{len(before[-1]) + 1}"
        raise SpecError(f"{place}: file: found a byte that is not UTF-8") from error
    lines = tuple(io.StringIO(text, newline=""))
    return CsvFile(path, sha256(content).hexdigest(), lines)


def cell_columns(line: str) -> tuple[int, ...]:
    """Return the columns, from 1, at which the cells of a line begin, spaces before them skipped.

    A comma within quotes ends no cell.
    """
    starts, quoted = [0], False
    for index, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            starts.append(index + 1)
    rests = (line[start:] for start in starts)
    return tuple(
        start + len(rest) - len(rest.lstrip(" \t")) + 1
        for start, rest in zip(starts, rests, strict=True)
    )


def nearest(name: str, names: Sequence[str]) -> str:
    """Return what to say of an unknown column: the one that may be meant, or all there are."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"allowed are {', '.join(names)}"


def complete(file: CsvFile, line: int, texts: Sequence[str], problems: list[str]) -> bool:
    """Return whether a line has a cell for every column; note it if not."""
    columns = len(file.header)
    if len(texts) == columns:
        return True
    message = f"found {len(texts)} cells; allowed is one for each of {columns} columns"
    problems.append(file.problem(line, "row", message))
    return False
