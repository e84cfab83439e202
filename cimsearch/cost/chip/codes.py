"""From codes of a macro's converters to partial sums, in cell levels times input steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, log2

import numpy as np

from cimsearch.cost.chip.tables import ChipTable, Floats
from cimsearch.cost.layer_integers import full_scale
from cimsearch.spec.hardware import Macro


@dataclass(frozen=True)
class Scale:
    """The sums that a macro's active rows can give, and its converter's fixed range of them.

    Attributes:
        full_scale: Width of the sums.
        lowest: The smallest.
        bits: Of the converter.
    """

    full_scale: int
    lowest: int
    bits: int

    @property
    def highest(self) -> int:
        """The largest sum."""
        return self.lowest + self.full_scale

    @property
    def top(self) -> int:
        """The largest code."""
        return int(2**self.bits) - 1

    @property
    def lsb(self) -> float:
        """The smallest power of two whose codes span the sums."""
        return float(2.0 ** (ceil(log2(self.full_scale)) - self.bits))

    @property
    def lo(self) -> float:
        """The sum of code 0."""
        return floor(self.lowest / self.lsb) * self.lsb


def scale_of(macro: Macro) -> Scale:
    """Return the scale of the sums of a macro that has converters."""
    signed = macro.weights.encoding == "differential"
    span = full_scale(
        macro.array.active_rows, macro.input.dac_bits, macro.array.cell_bits, signed=signed
    )
    return Scale(span, -span // 2 if signed else 0, macro.adc_bits)


Problem = tuple[int, str, str]
"""Row, column, message."""


def off_ideals(ideal: Floats, scale: Scale, column: str) -> Iterator[Problem]:
    """Yield the ideal sums that the macro's active rows cannot give."""
    outside = (ideal < scale.lowest - 1e-9) | (ideal > scale.highest + 1e-9)
    unit = scale.full_scale if column.endswith("_frac") else 1
    low, high = scale.lowest / unit, scale.highest / unit
    for row in np.flatnonzero(outside):
        yield (
            int(row),
            column,
            f"found {ideal[row] / unit:g}; allowed on this macro is {low:g} to {high:g}, the sums "
            "of its active rows",
        )


def off_codes(table: ChipTable, scale: Scale) -> Iterator[Problem]:
    """Yield the codes that the macro's converters do not have."""
    codes = table.numbers["code"]
    for row in np.flatnonzero(codes > scale.top):
        yield (
            int(row),
            "code",
            f"found {codes[row]:g}; allowed is 0 to {scale.top}, the codes of the macro's "
            f"{scale.bits} bit converter",
        )
