"""A macro's noise fitted to what was measured on chips: sums, spreads, conductances, converters.

docs/howto-chip-measurements.md says what each table holds and how each number is fitted.
"""

from cimsearch.cost.chip.combine import ChipFit, fit_chip
from cimsearch.cost.chip.fitted import ChipCheck, Point, TableFit, Value
from cimsearch.cost.chip.layouts import Kind
from cimsearch.cost.chip.tables import ChipTable, kind_of, read_chip_table
from cimsearch.cost.chip.templates import template
from cimsearch.cost.chip.write import chip_text

__all__ = [
    "ChipCheck",
    "ChipFit",
    "ChipTable",
    "Kind",
    "Point",
    "TableFit",
    "Value",
    "chip_text",
    "fit_chip",
    "kind_of",
    "read_chip_table",
    "template",
]
