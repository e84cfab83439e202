"""The energy and time of array calls from a table of simulated ones, with their numbers.

Term by term what ``cimsearch.cost.array_call`` computes; tests hold the two equal.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Literal

from cimsearch.cost.explain_expression import Operand, Term, applied, total
from cimsearch.cost.explain_logic import adc_bits, executed_of, weight_bits
from cimsearch.cost.explain_terms import (
    Equation,
    Product,
    constant,
    count,
    data_term,
    number,
    why_nothing,
)
from cimsearch.cost.layers import Layers
from cimsearch.spec.array_call import AXES, ArrayCall, place_of

Quantity = Literal["energy_pj", "delay_ns"]


def explain_array_call(layers: Layers) -> Equation:
    """Explain the energy of a layer's array calls."""
    macro, table = layers.hardware.macro, layers.hardware.macro.array_call
    if table is None:
        return Equation("array_call", (), why_zero="the macro has no table of simulated calls")
    if why := why_nothing(layers, "array_call"):
        return Equation("array_call", (), why_zero=why)
    calls: Product = tuple(count(layers, name) for name in ("vectors", "planes", "groups"))
    if "columns" in macro.array.gating:
        used = count(layers, "outputs") * count(layers, "columns_per_output")
        arrays = (used / constant(layers.hardware, "macro.array.cols")).named("arrays a group")
    else:
        arrays = count(layers, "column_tiles")
    looked_up = partial(_looked_up, layers, table, quantity="energy_pj")
    energies: list[Operand] = [
        Term(f"groups of {rows} rows", float(groups)) * looked_up(rows)
        for rows, groups in row_group_counts(layers)
    ]
    energy = total(*energies).named("E_calls", "pJ", how="over the row groups of an output")
    product: Product = (*calls, *executed_of(layers), arrays, energy)
    return Equation("array_call", (product,), per_pj=1.0)


def call_delay(layers: Layers, table: ArrayCall) -> Term:
    """Return the time of a call of the layer's fullest row group, ns; a skipped one counts too."""
    rows = min(int(number(getattr(layers.mapping, name))) for name in ("rows", "tile_rows"))
    rows = min(rows, layers.hardware.macro.array.active_rows)
    return _looked_up(layers, table, rows, quantity="delay_ns")


def row_group_counts(layers: Layers) -> list[tuple[int, int]]:
    """Return the rows of the layer's row groups, and how many of a group have so many."""
    counts: Counter[int] = Counter()
    for rows, groups in layers.mapping.row_group_sizes(layers.hardware.macro.array.active_rows):
        counts[int(number(rows))] += int(number(groups))
    return sorted((rows, groups) for rows, groups in counts.items() if groups)


def _looked_up(layers: Layers, table: ArrayCall, rows: int, *, quantity: Quantity) -> Term:
    """Return a quantity of a call: linear along each axis between two points of the table."""
    digital = layers.hardware.macro.adc is None
    bits = weight_bits(layers) if digital else adc_bits(layers)
    at = (bits, Term(f"{rows} rows", float(rows), how="driven at once"), _activity(layers))
    unit = "pJ" if quantity == "energy_pj" else "ns"
    value = _between(table, quantity, at, ()).expression
    return value.named(f"{quantity} at {rows} rows", unit, how="linear between points")


def _activity(layers: Layers) -> Term:
    """Return the activity of the planes that are carried out: those skipped had no ones."""
    activity, executed = data_term(layers, "activity"), executed_of(layers)
    if not executed or not executed[0].value:
        return activity
    return applied("min", activity / executed[0], 1).named("activity of planes carried out")


def _between(
    table: ArrayCall, quantity: Quantity, at: Sequence[Term], corner: tuple[float, ...]
) -> Operand:
    """Return the value at ``at``, of whose axes the first are at the values of ``corner``."""
    if len(corner) == len(AXES):
        return _point(table, quantity, corner)
    axis, asked = table.axes()[len(corner)], at[len(corner)]
    low = min(max(bisect_right(axis, asked.value) - 1, 0), len(axis) - 1)
    below = _between(table, quantity, at, (*corner, axis[low]))
    if axis[low] == asked.value or len(axis) == 1:
        return below
    share = (asked - axis[low]) / (axis[low + 1] - axis[low])
    of_way = share.named(f"share of {asked.symbol}", how="of the way to the next point")
    above = _between(table, quantity, at, (*corner, axis[low + 1]))
    return below * (1 - of_way) + above * of_way


def _point(table: ArrayCall, quantity: Quantity, place: tuple[float, ...]) -> Term:
    bits, rows, activity = place
    point = next(point for point in table.points if place_of(point) == place)
    symbol = f"{quantity} at {bits:g} bits, {rows:g} rows, activity {activity:g}"
    unit = "pJ" if quantity == "energy_pj" else "ns"
    return Term(symbol, getattr(point, quantity), unit, f"macro.array_call.points.{quantity}")
