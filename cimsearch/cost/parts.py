"""The nodes of many networks, mapped: those on arrays and the others apart."""

from dataclasses import dataclass
from functools import partial
from operator import itemgetter

import numpy as np

from cimsearch.blueprint import LayerTable
from cimsearch.cost.array_call import check_calls
from cimsearch.cost.demand import Label, demand_of, no_demand
from cimsearch.cost.layers import Columns, Layers
from cimsearch.cost.mapping import Mapping, map_table, unmapped
from cimsearch.cost.namespace import Array, Mask, namespace_of, node_sum, values_of
from cimsearch.cost.schedule import with_copies
from cimsearch.cost.sharing import shelves_of
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics


@dataclass(frozen=True)
class NodeStatistics:
    """Data statistics of every node, as ``Statistics`` has them of a whole network.

    Arrays that broadcast to (n, nodes): measured ones price what a network really does.
    """

    activity_frac: Array
    density_frac: Array
    zero_plane_frac: Array | float = 0.0
    batch: int = 1


def parts_of(
    table: LayerTable, hardware: Hardware, data: Statistics | NodeStatistics, label: Label
) -> list[tuple[Columns, Layers]]:
    """Return the nodes that any network has on arrays, and the others, which map to nothing.

    Most nodes of a network are never on arrays: apart, they skip the equations of those that are.
    """
    on_arrays = (values_of(table.cim) == 1).any(axis=0)
    nothing = 0.0 * table.op[:1, :1]
    chip = _chip(0.0 * table.op[:, :1], hardware)
    found = []
    for columns in (np.flatnonzero(on_arrays), np.flatnonzero(~on_arrays)):
        if not columns.size:
            continue
        part = table.map(itemgetter((slice(None), columns)))
        if on_arrays[columns[0]]:
            demand = demand_of(part, hardware, partial(_of_column, label, columns))
            mapping = map_table(part, demand, hardware.macro)
            chip = _chip(_needed_macros(mapping, hardware)[:, None], hardware)
        else:
            demand, mapping = no_demand(nothing), unmapped(nothing)
        found.append((columns, part, demand, mapping))
    parts = [
        (
            columns,
            Layers(
                table=part,
                demand=demand,
                mapping=mapping,
                hardware=hardware,
                activity=_of_columns(data.activity_frac, part, columns),
                density=_of_columns(data.density_frac, part, columns),
                zero_planes=_of_columns(data.zero_plane_frac, part, columns),
                batch=data.batch,
                resident=chip.resident,
                needed_macros=chip.needed,
                chip_macros=chip.macros,
                copies=nothing + 1.0,
            ),
        )
        for columns, part, demand, mapping in found
    ]
    if not on_arrays.any():
        return parts
    columns, layers = parts[0]
    check_calls(layers, partial(_of_column, label, columns))
    if hardware.system.duplicates == "fill":
        parts[0] = columns, with_copies(parts)
    return parts


@dataclass(frozen=True)
class _Chip:
    """Macros of networks, arrays (n, 1): which have all weights at once, needed, on the chip."""

    resident: Mask
    needed: Array
    macros: Array


def _chip(needed: Array, hardware: Hardware) -> _Chip:
    owned = hardware.system.macros
    if owned == "enough":
        return _Chip(needed >= 0, needed, needed)
    return _Chip(needed <= owned, needed, 0.0 * needed + owned)


def _needed_macros(mapping: Mapping, hardware: Hardware) -> Array:
    """Return the macros (n,) that hold every layer once."""
    if hardware.system.layers_per_array == "many":
        return shelves_of(mapping, hardware).macros
    return node_sum(mapping.arrays)


def _of_columns(values: Array | float, part: LayerTable, columns: Columns) -> Array:
    """Return data statistics, of a network or of each node, for the nodes of a part."""
    given = np.atleast_2d(np.asarray(values, dtype=np.float64))
    chosen = given[:, columns] if given.shape[1] > 1 else given
    like: Array = namespace_of(part.op).asarray(chosen)
    return like


def _of_column(label: Label, columns: Columns, n: int, node: int) -> str:
    return label(n, int(columns[node]))
