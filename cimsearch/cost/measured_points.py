"""From the rows of a measured table to calibration points of a macro.

A calibration point is the energy of a full array: ``active_rows`` inputs times as many outputs as
the columns hold, in as many array calls as apply all bits of an activation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cimsearch.cost.layer_integers import columns_of_output, input_planes
from cimsearch.cost.measured_table import MeasuredRow, MeasuredTable
from cimsearch.errors import SpecError
from cimsearch.spec.hardware import CalibrationPoint, ConfigurableField, Macro


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """A row as a calibration point, at its supply and with its data."""

    line: int
    point: CalibrationPoint
    supply_v: float
    activity_frac: float
    density_frac: float


def call_macs(macro: Macro, weight_bits: int) -> int:
    """Return the MACs of a full array: active rows x outputs that the columns hold."""
    return macro.array.active_rows * (macro.array.cols // _columns(macro, weight_bits))


def product_ns(macro: Macro, activation_bits: int, call_ns: float) -> float:
    """Return the time of all array calls that apply an activation, from that of one call."""
    return input_planes(activation_bits, macro.input.dac_bits) * call_ns


def tops_per_w(energy_column: str, energy: float) -> float:
    """Return TOPS/W from an energy that needs no macro: 1 MAC = 2 OPS."""
    return energy if energy_column == "tops_per_w" else 2e3 / energy


def measured_points(table: MeasuredTable, macro: Macro) -> tuple[MeasuredPoint, ...]:
    """Return the rows of ``table`` as points of ``macro``.

    Raises:
        SpecError: Rows ask settings that the macro does not have; all of them, a line each.
    """
    problems = [problem for row in table.rows for problem in _refusals(table, row, macro)]
    if problems:
        raise SpecError("\n".join(problems))
    return tuple(_point(table.energy_column, row, macro) for row in table.rows)


def _refusals(table: MeasuredTable, row: MeasuredRow, macro: Macro) -> list[str]:
    asked: dict[ConfigurableField, int] = {
        "weight_bits": row.weight_bits,
        "activation_bits": row.activation_bits,
        "adc_bits": row.adc_bits,
    }
    refused = [
        (field, f"found {value}; allowed on this macro: {_listed(macro.choices(field))}")
        for field, value in asked.items()
        if value not in macro.choices(field)
    ]
    columns = _columns(macro, row.weight_bits)
    if not refused and not 1 <= columns <= macro.array.cols:
        text = f"found {row.weight_bits}, which takes {columns} columns; allowed are 1 to "
        refused.append(("weight_bits", f"{text}{macro.array.cols} columns"))
    return [table.problem(row.line, field, text) for field, text in refused]


def _columns(macro: Macro, weight_bits: int) -> int:
    return columns_of_output(weight_bits, macro.array.cell_bits, macro.weights.encoding)


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))


def _point(energy_column: str, row: MeasuredRow, macro: Macro) -> MeasuredPoint:
    energy_pj = row.energy
    if energy_column != "call_energy_pj":
        energy_pj = 2 * call_macs(macro, row.weight_bits) / tops_per_w(energy_column, row.energy)
    return MeasuredPoint(
        line=row.line,
        point=CalibrationPoint(
            weight_bits=row.weight_bits,
            activation_bits=row.activation_bits,
            adc_bits=row.adc_bits,
            call_energy_pj=energy_pj,
            call_ns=row.call_ns,
        ),
        supply_v=macro.supply_v if row.supply_v is None else row.supply_v,
        activity_frac=row.activity_frac,
        density_frac=row.density_frac,
    )
