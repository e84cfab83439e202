"""How the weights of a table row lie in its array, as the columns of the table tell."""

from dataclasses import dataclass
from math import ceil, floor

from cimsearch.cost.layer_integers import columns_of_output
from cimsearch.cost.silicon.quantities import products
from cimsearch.cost.silicon.table import Chip
from cimsearch.spec.hardware import Encoding

_COLS = 64
"""Stands in for an empty ``cols``: only DACs, which all columns share, depend on it."""
_MOST_CELL_BITS = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """How a row's weights lie in its array.

    ``share`` is how many of the chip's cells are one cell here: an output takes ``columns``.
    """

    rows: int
    active_rows: int
    outputs: int
    columns: int
    cell_bits: int
    encoding: Encoding
    share: float
    columns_per_adc: int


def layout_of(chip: Chip) -> Layout:
    """Return how a row's weights lie in its array.

    A conversion sums ``dot_product_len`` products of the table, so that many rows are active; if
    there are fewer rows, it sums along them. One bit of a weight lies in a column, unless cells
    hold more. Where an analog SRAM has a converter for the columns of one weight, or of several,
    it converts them at once: they are one cell of all their bits. Cells of more than a bit are
    pairs, a sign and a magnitude.
    """
    active = max(1, round(products(chip)))
    rows, cols = max(1, round(chip.rows or active)), max(1, round(chip.cols or _COLS))
    if active > rows:
        rows, cols = max(cols, active), rows
    w_bits = whole(chip.weight_bits)
    digital = chip.technology == "digital SRAM"
    held = 1 if digital else min(whole(chip.cell_bits or w_bits), w_bits)
    slices = ceil(w_bits / held)
    sharing = chip.cols_per_adc or cols / (chip.adc_count or cols)
    if chip.technology == "analog SRAM" and 1 < slices <= sharing and sharing % slices == 0:
        held = w_bits
    pair = held > 1
    encoding: Encoding = "differential" if pair else "twos_complement"
    # Of a weight in one cell, the sign is which of the pair it is in.
    cell_bits = min(held - (pair and held == w_bits), _MOST_CELL_BITS)
    columns = columns_of_output(w_bits, cell_bits, encoding)
    outputs = max(1, cols // slices)
    share = slices / columns
    return Layout(
        rows=rows,
        active_rows=active,
        outputs=outputs,
        columns=columns,
        cell_bits=cell_bits,
        encoding=encoding,
        share=share,
        columns_per_adc=_divisor(outputs * columns, sharing / share, 1 + pair),
    )


def _divisor(total: int, wanted: float, unit: int) -> int:
    """Return the greatest divisor of ``total`` up to ``wanted`` that is whole units, or one."""
    steps = range(unit, max(unit, min(total, floor(wanted))) + 1, unit)
    return max(step for step in steps if total % step == 0)


def whole(bits: float | None) -> int:
    """Return bits rounded up: levels between two powers of two take the wider hardware."""
    return max(1, ceil(bits or 1.0))
