"""Tables of published chips: one row is one measured operating point of one chip."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cimsearch.cost.csv_cells import CsvFile, read_csv
from cimsearch.errors import SpecError

_COLUMNS = (
    "id",
    "chip",
    "type",
    "source",
    "tech_nm",
    "vdd_V",
    "rows",
    "cols",
    "activated_rows",
    "cell_bits",
    "weight_bits",
    "input_bits",
    "adc_bits",
    "dac_bits",
    "dot_product_len",
    "cycle_ns",
    "is_full_processor",
    "meas_energy_fJ_per_MAC",
)
_ZERO_IS_NONE = ("dac_bits", "adc_bits")
_EMPTY = ("", "-", "na", "n/a", "nan", "none")
_YES = {"Y": True, "y": True, "1": True, "N": False, "n": False, "0": False, "": False}


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One operating point of a published chip; None or empty text where the table is empty.

    ``chip`` names the silicon: points of one chip share it, whatever their source.
    ``dot_length`` is the products summed in one conversion, ``measured_fj`` the energy of one
    multiply-accumulate at ``input_bits`` x ``weight_bits``. ``cols_per_adc`` columns share one of
    the ``adc_count`` converters of an array, ``arrays`` are on the chip; ``array_mm2`` is the area
    of one with its periphery.
    """

    id: str
    chip: str
    technology: str
    node_nm: float | None
    supply_v: float | None
    weight_bits: float | None
    input_bits: float | None
    measured_fj: float | None
    source: str = ""
    rows: float | None = None
    cols: float | None = None
    activated_rows: float | None = None
    cell_bits: float | None = None
    adc_bits: float | None = None
    dac_bits: float | None = None
    dot_length: float | None = None
    cycle_ns: float | None = None
    processor: bool = False
    compute_model: str = ""
    cell: str = ""
    cols_per_adc: float | None = None
    adc_count: float | None = None
    arrays: float | None = None
    array_mm2: float | None = None


def read_chips(path: Path | str) -> tuple[Chip, ...]:
    """Read a table of operating points.

    Args:
        path: A CSV file with a header; docs/validation.md lists its columns.

    Raises:
        UsageError: The file cannot be read.
        SpecError: It has no rows, lacks columns, repeats an id or holds a bad value (an empty one
            is none); the message names file, line and column.
    """
    file = read_csv(Path(path))
    rows = file.rows()
    header_line, header = next(rows, (1, []))
    _require_columns(file, header_line, header)
    file = replace(file, header=tuple(header))
    chips: dict[str, Chip] = {}
    for line, cells in rows:
        chip = _chip(file, line, dict(zip(header, cells, strict=False)))
        if chip.id in chips:
            raise SpecError(
                file.problem(line, "id", f"found {chip.id!r} again; allowed is once"),
                "give each row its own id",
            )
        chips[chip.id] = chip
    if not chips:
        raise SpecError(file.problem(header_line, "file", "found no rows; allowed is one or more"))
    return tuple(chips.values())


def table_hash(path: Path | str) -> str:
    """Return the SHA-256 of a table, which names the data of a fit."""
    return read_csv(Path(path)).sha256


def _require_columns(file: CsvFile, line: int, header: list[str]) -> None:
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise SpecError(file.problem(line, "header", f"missing columns: {', '.join(missing)}"))


def _chip(file: CsvFile, line: int, row: Mapping[str, str]) -> Chip:
    def text(column: str) -> str:
        found = row.get(column, "")
        return "" if found.lower() in _EMPTY else found

    def number(column: str) -> float | None:
        found = text(column)
        value = _number(found, zero_is_none=column in _ZERO_IS_NONE)
        if value is not None and math.isnan(value):
            message = f"found {found!r}; allowed is a number above 0, or nothing"
            raise SpecError(file.problem(line, column, message))
        return value

    flag = text("is_full_processor")
    if flag not in _YES:
        message = f"found {flag!r}; allowed is Y, N or nothing"
        raise SpecError(file.problem(line, "is_full_processor", message))
    return Chip(
        id=text("id") or f"line {line}",
        chip=text("chip"),
        technology=text("type"),
        source=text("source"),
        node_nm=number("tech_nm"),
        supply_v=number("vdd_V"),
        rows=number("rows"),
        cols=number("cols"),
        activated_rows=number("activated_rows"),
        cell_bits=number("cell_bits"),
        weight_bits=number("weight_bits"),
        input_bits=number("input_bits"),
        adc_bits=number("adc_bits"),
        dac_bits=number("dac_bits"),
        dot_length=number("dot_product_len"),
        cycle_ns=number("cycle_ns"),
        measured_fj=number("meas_energy_fJ_per_MAC"),
        processor=_YES[flag],
        compute_model=text("compute_model"),
        cell=text("cell"),
        cols_per_adc=number("cols_per_adc"),
        adc_count=number("adc_count"),
        arrays=number("macros"),
        array_mm2=_array_mm2(
            *map(number, ("gops_per_core_1b", "tops_per_mm2_1b", "area_mm2", "macros"))
        ),
    )


def _array_mm2(
    gops: float | None, tops_per_mm2: float | None, mm2: float | None, arrays: float | None
) -> float | None:
    """Return the area of one array: as stated, or from what its rate and rate per area imply.

    Sources disagree on whose area that is where a chip has several arrays, so then it has none.
    """
    if (arrays or 1.0) > 1.0:
        return None
    return mm2 or (gops / tops_per_mm2 / 1e3 if gops and tops_per_mm2 else None)


def _number(text: str, *, zero_is_none: bool) -> float | None:
    """Return a number above 0, None if there is none, or a NaN for what is not allowed."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        return math.nan
    if zero_is_none and value == 0:
        return None
    return value if math.isfinite(value) and value > 0 else math.nan
