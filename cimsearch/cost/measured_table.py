"""A table of measured operating points of one macro, as a CSV file: ``TEMPLATE`` shows it.

Nothing here knows the macro; ``cimsearch.cost.measured`` turns rows into calibration points.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from cimsearch.cost.csv_cells import CsvFile, complete, nearest, read_csv
from cimsearch.errors import SpecError

ENERGIES = ("tops_per_w", "fj_per_mac", "call_energy_pj")
"""Columns of which a table has exactly one."""

TIMES = ("frequency_mhz", "call_ns")
"""Columns of which a table has at most one."""

NEEDED = ("weight_bits", "activation_bits", "adc_bits", "activity_frac", "density_frac")
COLUMNS = (*NEEDED, "supply_v", *TIMES, *ENERGIES)

TEMPLATE = """\
# A row is one measured operating point of a macro with all its active rows and columns in use.
# weight_bits, activation_bits: precision of the operands; OPS are counted at it, 1 MAC = 2 OPS.
# adc_bits: 0 for a digital macro.
# supply_v: may be left out; then the point is at the macro's own supply.
# frequency_mhz (array calls a microsecond) or call_ns (time of one array call): may be left out.
# activity_frac: share of input bits that are 1; density_frac: share of stored bits that are 1.
# One of tops_per_w, fj_per_mac, call_energy_pj: at the precision of the row, of macro parts alone.
# call_energy_pj covers as many array calls as apply all activation bits.
# The numbers below are an example.
weight_bits,activation_bits,adc_bits,supply_v,frequency_mhz,activity_frac,density_frac,tops_per_w
2,1,1,0.45,200,0.5,0.5,245
2,1,3,0.45,28.6,0.5,0.5,35.2
2,1,5,0.45,6.45,0.5,0.5,7.9
2,1,5,0.6,9.1,0.5,0.5,4.6
"""
"""An example table, with what its columns mean as comments."""


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """One row of a table as it stands there.

    ``energy`` is in the unit of the table's energy column; ``call_ns`` is one array call;
    None is an empty cell or a missing column.
    """

    line: int
    weight_bits: int
    activation_bits: int
    adc_bits: int
    activity_frac: float
    density_frac: float
    supply_v: float | None
    call_ns: float | None
    energy: float


@dataclass(frozen=True)
class MeasuredTable:
    """A table: its file, its energy column, its rows."""

    file: CsvFile
    energy_column: str
    rows: tuple[MeasuredRow, ...]

    @property
    def path(self) -> Path:
        """The file."""
        return self.file.path

    @property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes."""
        return self.file.sha256

    def problem(self, line: int, column: str, message: str) -> str:
        """Return one line that points at a cell."""
        return self.file.problem(line, column, message)


@dataclass(frozen=True)
class _Cells:
    """The cells of one line by column, and the problems found in the whole file so far."""

    file: CsvFile
    line: int
    texts: Mapping[str, str]
    problems: list[str]

    def refuse(self, column: str, message: str) -> None:
        """Note a problem."""
        self.problems.append(self.file.problem(self.line, column, message))

    def number(self, column: str, allowed: str, accept: Callable[[float], bool]) -> float | None:
        """Return a number, or None if the cell is empty or not there; note a bad one."""
        text = self.texts.get(column, "")
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if isfinite(value) and accept(value):
            return value
        self.refuse(column, f"found {text!r}; allowed is {allowed}")
        return None

    def positive(self, column: str) -> float | None:
        """Return a number above 0, or None."""
        return self.number(column, "a number above 0", lambda value: value > 0)

    def needed(self, column: str, allowed: str, accept: Callable[[float], bool]) -> float:
        """Return a number that must be there; note a missing one."""
        if not self.texts.get(column, ""):
            self.refuse(column, f"found nothing; allowed is {allowed}")
        value = self.number(column, allowed, accept)
        return float("nan") if value is None else value

    def bits(self, column: str, least: int) -> int:
        """Return a whole number of bits; 0 for a bad one, which is noted."""
        value = self.needed(
            column,
            f"a whole number from {least} to 16",
            lambda found: found.is_integer() and least <= found <= 16,
        )
        return int(value) if isfinite(value) else 0

    def fraction(self, column: str) -> float:
        """Return a share from 0 to 1."""
        return self.needed(column, "a number from 0 to 1", lambda found: 0 <= found <= 1)


def read_table(path: Path) -> MeasuredTable:
    """Return the table in the CSV file ``path``: UTF-8, commas, a header line, ``#`` comments.

    Raises:
        UsageError: The file cannot be read.
        SpecError: It is not as ``TEMPLATE`` says; all problems at once, each with its line and
            column.
    """
    file = read_csv(path)
    lines = ((line, cells) for line, cells in file.rows() if not cells[0].startswith("#"))
    header_line, header = next(lines, (1, []))
    if not header:
        raise SpecError(file.problem(1, "file", "found no header line"))
    file = replace(file, header=tuple(header))
    _check_header(file, header_line)
    energy_column = next(name for name in ENERGIES if name in header)
    problems: list[str] = []
    rows = tuple(
        _row(_Cells(file, line, dict(zip(header, texts, strict=False)), problems), energy_column)
        for line, texts in lines
        if complete(file, line, texts, problems)
    )
    if problems:
        raise SpecError("\n".join(problems))
    if not rows:
        found = file.problem(header_line, "file", "found no rows; allowed is one or more")
        raise SpecError(found)
    return MeasuredTable(file, energy_column, rows)


def _check_header(file: CsvFile, line: int) -> None:
    """Check that the columns are known, there once, and enough."""
    header = file.header
    problems = [
        (name or "header", f"unknown column; {nearest(name, COLUMNS)}")
        for name in header
        if name not in COLUMNS
    ]
    if not problems:
        problems = [
            (name, f"found {header.count(name)} columns of this name; allowed is 1")
            for name in COLUMNS
            if header.count(name) > 1
        ]
        problems += [
            (name, "missing; this column is needed") for name in set(NEEDED) - set(header)
        ]
        for names, least in ((ENERGIES, 1), (TIMES, 0)):
            found = [name for name in names if name in header]
            if not least <= len(found) <= 1:
                wanted = "exactly" if least else "at most"
                told = f"found {', '.join(found) or 'none'}; allowed is {wanted} one of "
                problems.append(("header", told + ", ".join(names)))
    if problems:
        raise SpecError(
            "\n".join(file.problem(line, *problem) for problem in sorted(problems)),
            "cimsearch hardware import --template prints an example",
        )


def _row(cells: _Cells, energy_column: str) -> MeasuredRow:
    frequency_mhz = cells.positive("frequency_mhz")
    return MeasuredRow(
        line=cells.line,
        weight_bits=cells.bits("weight_bits", 1),
        activation_bits=cells.bits("activation_bits", 1),
        adc_bits=cells.bits("adc_bits", 0),
        activity_frac=cells.fraction("activity_frac"),
        density_frac=cells.fraction("density_frac"),
        supply_v=cells.positive("supply_v"),
        call_ns=1e3 / frequency_mhz if frequency_mhz else cells.positive("call_ns"),
        energy=cells.needed(energy_column, "a number above 0", lambda found: found > 0),
    )
