"""The nodes of many networks, mapped: those on arrays and the others apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter

import numpy as np

from cimsearch.blueprint import OPS
from cimsearch.cost.array_call import check_calls
from cimsearch.cost.at_once import run_at_once
from cimsearch.cost.converting import by_converters
from cimsearch.cost.demand import Label, demand_of, no_demand
from cimsearch.cost.given import check_statistics
from cimsearch.cost.groups import Groups
from cimsearch.cost.layers import FLOAT_BITS, Columns, Layers, Parts
from cimsearch.cost.map_table import map_table, unmapped
from cimsearch.cost.mapping import Mapping
from cimsearch.cost.namespace import Array, Mask, namespace_of, node_sum, values_of
from cimsearch.cost.schedule import with_copies
from cimsearch.cost.sharing import shelves_of
from cimsearch.layer_table import LayerTable
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.statistics import SHARES
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

    def map(self, change: Callable[[Array], Array]) -> "NodeStatistics":
        """Return them with ``change`` applied to each share, an array (n or 1, nodes or 1)."""
        activity, density, zero_planes = (
            change(np.atleast_2d(getattr(self, name))) for name in SHARES
        )
        return NodeStatistics(activity, density, zero_planes, self.batch)

    def of_networks(self, chosen: slice) -> "NodeStatistics":
        """Return those of some networks only."""
        return self.map(lambda share: share[chosen] if len(share) > 1 else share)


def named_statistics(
    data: Statistics | NodeStatistics | None, names: Sequence[str]
) -> Statistics | NodeStatistics | None:
    """Return ``data`` for the nodes called ``names``.

    What is declared of single layers becomes arrays (1, nodes); all else stays as it is.
    """
    if not isinstance(data, Statistics) or not data.layers:
        return data
    layers = [data.of_layer(name) for name in names]
    activity, density, zero_planes = (
        np.array([[getattr(layer, name) for layer in layers]]) for name in SHARES
    )
    return NodeStatistics(activity, density, zero_planes, data.batch)


def parts_of(
    table: LayerTable, hardware: Hardware, data: Statistics | NodeStatistics, label: Label
) -> Parts:
    """Return the nodes that any network has on arrays, and the others, which map to nothing.

    Most nodes of a network are never on arrays: apart, they skip the equations of those that are.

    Raises:
        UsageError: Statistics are declared of layers by name, which a table does not have.
        HardwareError: A node asks what the macro cannot do.
    """
    check_statistics(data)
    if not parts_share_arrays(hardware):
        table = replace(table, beside_channels=0 * table.beside_channels)
    on_arrays = (values_of(table.cim) == 1).any(axis=0)
    nothing = 0.0 * table.op[:1, :1]
    chip = _chip(0.0 * table.op[:, :1], hardware)
    found, converted = [], nothing > 0
    for columns in (np.flatnonzero(on_arrays), np.flatnonzero(~on_arrays)):
        if not columns.size:
            continue
        part = table.map(itemgetter((slice(None), columns)))
        if on_arrays[columns[0]]:
            demand = demand_of(part, hardware, partial(_of_column, label, columns))
            mapping = map_table(part, demand, hardware.macro)
            chip = _chip(_needed_macros(mapping, hardware)[:, None], hardware)
            if hardware.macro.adc is not None and hardware.macro.adc.activation:
                computed = by_converters(table, columns, (demand, mapping), hardware.macro)
                converted = namespace_of(table.op).asarray(computed)
        else:
            demand, mapping = no_demand(nothing), unmapped(nothing)
        found.append((columns, part, demand, mapping))
    digital_bits = _digital_bits(table)
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
                digital_bits=digital_bits,
                groups=Groups.one(chip.resident, at_once=False, live_bits=nothing),
                pooled_rows=nothing + 1.0,
                by_converters=converted[:, columns] if converted.shape[1] > 1 else converted,
            ),
        )
        for columns, part, demand, mapping in found
    ]
    if hardware.system.execution != "layer_by_layer":
        parts = run_at_once(parts)
    if not on_arrays.any():
        return parts
    columns, layers = parts[0]
    check_calls(layers, partial(_of_column, label, columns))
    if hardware.system.duplicates == "fill":
        parts[0] = columns, with_copies(parts)
    return parts


def parts_share_arrays(hardware: Hardware) -> bool:
    """Return whether the parts of a layer of different weight bits lie beside each other.

    Where several layers share an array, or layers have copies, each part is a layer by itself.
    """
    system = hardware.system
    return system.layers_per_array == "one" and system.duplicates != "fill"


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


def _digital_bits(table: LayerTable) -> Array:
    """Return the weights (n, 1) of all layers of the digital unit, bits."""
    weighted = (table.op == OPS.index("conv")) | (table.op == OPS.index("linear"))
    fan_in = table.kernel_height * table.kernel_width * (table.in_channels / table.groups)
    bits = table.w_bits + FLOAT_BITS * (table.w_bits == 0)
    weights = (weighted & (table.cim != 1)) * (fan_in * table.out_channels * bits)
    return node_sum(weights)[:, None]


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
