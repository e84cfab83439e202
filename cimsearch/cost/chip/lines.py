"""A line through each column's sums at each supply and temperature, and the rows it rests on."""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.chip.codes import Scale, off_codes, off_ideals
from cimsearch.cost.chip.statistics import Line, groups_of, robust_line
from cimsearch.cost.chip.tables import ChipTable, Flags, Floats, Ints
from cimsearch.spec.hardware import Macro

LEAST_SUMS = 3


@dataclass(frozen=True)
class Reads:
    """Reads within the converters' range; arrays are (reads,).

    Attributes:
        chip: Name.
        ideal: Ideal partial sum.
        read: The sum that the code says.
        supply: Supply over the macro's own, less 1.
        warmth: Temperature over 25 C, C.
        line: Index of its column's line at its condition.
        column: Index of its column.
        bent: What its line leaves: read less line.
        step: Step of the converter.
        phase: How far its line is above code 0, in steps.
    """

    chip: NDArray[np.str_]
    ideal: Floats
    read: Floats
    supply: Floats
    warmth: Floats
    line: Ints
    column: Ints
    bent: Floats
    step: Floats
    phase: Floats

    def where(self, rows: Flags) -> "Reads":
        """Return some of the reads."""
        return replace(self, **{name: value[rows] for name, value in vars(self).items()})


@dataclass(frozen=True)
class Lines:
    """The reads of a table and the line of each column and condition; arrays are (lines,)."""

    reads: Reads
    chip: NDArray[np.str_]
    column: Ints
    supply: Floats
    warmth: Floats
    gain: Floats
    offset: Floats
    gain_error: Floats
    offset_error: Floats

    def where(self, lines: Flags) -> "Lines":
        """Return some of the lines, with their reads."""
        own = {name: value for name, value in vars(self).items() if name != "reads"}
        kept = {name: value[lines] for name, value in own.items()}
        reads = self.reads.where(lines[self.reads.line])
        numbers = np.cumsum(lines) - 1
        return replace(self, reads=replace(reads, line=numbers[reads.line]), **kept)

    @property
    def columns(self) -> int:
        """How many columns there are, of all chips."""
        return len(np.unique(self.column))


def lines_of(table: ChipTable, macro: Macro, scale: Scale) -> Lines:
    """Fit a line to each column at each supply and temperature, by robust least squares.

    Used are reads whose line stays within the converter's range by three standard deviations:
    which codes were read does not decide it, as that would cut their spread.

    Raises:
        SpecError: Sums or codes that the macro cannot have, or columns with too few sums.
    """
    ideals = off_ideals(table.numbers["ideal_sum"], scale, "ideal_sum")
    table.refuse([*ideals, *off_codes(table, scale)])
    step = _filled(table.numbers["lsb"], scale.lsb)
    lo = _filled(table.numbers["lo"], scale.lo)
    ideal, read = table.numbers["ideal_sum"], lo + step * table.numbers["code"]
    supply = _filled(table.numbers["supply_v"], macro.supply_v)
    warmth = _filled(table.numbers["temperature_c"], macro.temperature_c)
    column, _ = groups_of(table.labels["chip"], table.labels["column"])
    line, count = groups_of(column.astype(float), supply, warmth)
    inside = (table.numbers["code"] > 0) & (table.numbers["code"] < scale.top)
    _check_enough(table, line, ideal, inside, scale)
    used, bent, phase = np.zeros(len(table), bool), np.zeros(len(table)), np.zeros(len(table))
    fits: list[Line] = []
    firsts = np.zeros(count, dtype=np.int64)
    for index, rows in enumerate(_rows_of(line, count)):
        fit, kept = _line(ideal[rows], read[rows], inside[rows], lo[rows], step[rows], scale.top)
        fits.append(fit)
        firsts[index] = rows[0]
        used[rows[kept]] = True
        on_line = fit.offset + fit.gain * ideal[rows]
        bent[rows] = read[rows] - on_line
        phase[rows] = (on_line - lo[rows]) / step[rows]
    away = supply / macro.supply_v - 1
    reads = Reads(
        table.labels["chip"], ideal, read, away, warmth - 25, line, column, bent, step, phase
    )
    return Lines(
        reads.where(used),
        table.labels["chip"][firsts],
        column[firsts],
        away[firsts],
        warmth[firsts] - 25,
        gain=np.array([fit.gain for fit in fits]),
        offset=np.array([fit.offset for fit in fits]),
        gain_error=np.array([fit.gain_error for fit in fits]),
        offset_error=np.array([fit.offset_error for fit in fits]),
    )


def _filled(values: Floats, default: float) -> Floats:
    return np.where(np.isnan(values), default, values)


def _rows_of(index: Ints, count: int) -> list[Ints]:
    """Return the rows of each group."""
    order = np.argsort(index, kind="stable")
    return np.split(order, np.cumsum(np.bincount(index, minlength=count))[:-1])


def _check_enough(
    table: ChipTable, line: Ints, ideal: Floats, inside: Flags, scale: Scale
) -> None:
    """Check that each line has enough different sums within the converter's range."""
    pairs = np.unique(np.stack([line[inside], ideal[inside]], axis=1), axis=0)
    sums = np.bincount(pairs[:, 0].astype(int), minlength=int(line.max()) + 1)
    _, firsts = np.unique(line, return_index=True)
    table.refuse(
        (
            int(row),
            "column",
            f"found {found} ideal sums with codes from 1 to {scale.top - 1} for this column; "
            f"needed are {LEAST_SUMS} or more at each supply and temperature",
        )
        for row, found in zip(firsts, sums, strict=True)
        if found < LEAST_SUMS
    )


def _line(
    ideal: Floats, read: Floats, inside: Flags, lo: Floats, step: Floats, top: int
) -> tuple[Line, Flags]:
    """Return the line through one column's reads, and which reads it rests on."""
    least = float(np.median(step)) / sqrt(12)
    first = robust_line(ideal[inside], read[inside], least)
    expected = first.offset + first.gain * ideal
    room = 3 * first.residual
    within = (expected - room > lo - step / 2) & (expected + room < lo + step * (top + 0.5))
    if len(np.unique(ideal[within])) < LEAST_SUMS:
        return first, inside
    return robust_line(ideal[within], read[within], least), within
