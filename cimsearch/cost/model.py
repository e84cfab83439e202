"""The closed-form cost model: many networks at once, every node, every component."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import LayerTable
from cimsearch.cost.area import array_um2, shared_um2
from cimsearch.cost.demand import Label, demand_of, no_demand
from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import leakage_uw_per_mm2
from cimsearch.cost.macro_energy import adc_fj, adder_tree_fj, cells_fj, drivers_fj, shift_add_fj
from cimsearch.cost.mapping import COUNTS, Mapping, map_table, unmapped
from cimsearch.cost.namespace import (
    Array,
    Mask,
    at_least,
    namespace_of,
    node_sum,
    summed,
    values_of,
)
from cimsearch.cost.system_energy import (
    FJ_PER_PJ,
    buffers_fj,
    digital_fj,
    interconnect_fj,
    weight_memory_fj,
)
from cimsearch.cost.timing import call_ns, latency_ns
from cimsearch.errors import HardwareError
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics

_DYNAMIC = {
    "cells": cells_fj,
    "drivers": drivers_fj,
    "adc": adc_fj,
    "adder_tree": adder_tree_fj,
    "shift_add": shift_add_fj,
    "buffers": buffers_fj,
    "interconnect": interconnect_fj,
    "digital": digital_fj,
}

COMPONENTS = (*_DYNAMIC, "weight_memory", "control", "leakage")
"""What the energy is split into, in order."""

UNVALIDATED = ("buffers", "interconnect", "digital", "weight_memory", "control", "leakage")
"""Components that no chip has validated."""

PIECE = 1024
"""Networks priced at a time where only totals are wanted."""

Columns = NDArray[np.intp]

_LABEL = "network {}, node {}".format
_UM2_PER_MM2 = 1e6
_PJ_PER_UW_NS = 1e-3


@dataclass(frozen=True)
class NodeStatistics:
    """Data statistics of every node, as ``Statistics`` has them of a whole network.

    Arrays that broadcast to (n, nodes): measured ones price what a network really does.
    """

    activity_frac: Array
    density_frac: Array
    batch: int = 1


@dataclass(frozen=True)
class NodeCosts:
    """Costs of every node, arrays (n, nodes); 0 where a shorter network is padded.

    ``area_um2`` is that of the arrays the node touches; buffers and digital unit are shared.
    ``call_ns`` is the time of one array call.
    """

    energy_pj: Array
    latency_ns: Array
    area_um2: Array
    utilization: Array
    arrays: Array
    macs: Array
    call_ns: Array
    components: dict[str, Array]


@dataclass(frozen=True)
class Totals:
    """Costs of many networks, per inference: arrays (n,).

    Attributes:
        energy_pj: Sum over nodes and over components.
        latency_ns: Sum over nodes.
        area_um2: Arrays (all that the system has, or as many as needed), buffers, digital unit.
        utilization: Used cells as a share of the cells of the arrays touched; 0 if there are none.
        macros: Macros that hold all weights at once, whether the system has them or not.
        components: Energy in pJ by component.
    """

    energy_pj: Array
    latency_ns: Array
    area_um2: Array
    utilization: Array
    macros: Array
    components: dict[str, Array]


@dataclass(frozen=True)
class CostArrays(Totals):
    """The same with the costs of every node, and the mapping that they come from."""

    nodes: NodeCosts
    mapping: Mapping


def estimate_totals(
    table: LayerTable,
    hardware: Hardware,
    statistics: Statistics | None = None,
    *,
    label: Label = _LABEL,
) -> Totals:
    """Return the costs of all networks of ``table`` (n, nodes), without those of their nodes.

    Works through the table in pieces that stay in the processor's cache.

    Raises:
        HardwareError: A node asks what the macro cannot do.
    """
    pieces = []
    for start in range(0, max(table.shape[0], 1), PIECE):
        piece = table.map(itemgetter(slice(start, start + PIECE)))
        at = partial(_at, label, start)
        pieces.append(_price(piece, hardware, statistics, at).totals)
    xp = namespace_of(pieces[0].energy_pj)

    def joined(parts: list[Array]) -> Array:
        whole: Array = parts[0] if len(parts) == 1 else xp.concat(parts)
        return whole

    simple = {
        field.name: joined([getattr(piece, field.name) for piece in pieces])
        for field in fields(Totals)
        if field.name != "components"
    }
    components = {n: joined([piece.components[n] for piece in pieces]) for n in COMPONENTS}
    return Totals(**simple, components=components)


def estimate_table(
    table: LayerTable,
    hardware: Hardware,
    statistics: Statistics | NodeStatistics | None = None,
    *,
    label: Label = _LABEL,
) -> CostArrays:
    """Return the costs of all networks of ``table`` (n, nodes), and of each of their nodes.

    Columns of the table may be floating tensors that require gradients: prices then carry them,
    rounding passed straight through.

    Args:
        table: The networks.
        hardware: What to price on.
        statistics: Data statistics; the defaults if left out.
        label: Names the node at (network, node) in an error.

    Raises:
        HardwareError: A node asks what the macro cannot do.
    """
    price = _price(table, hardware, statistics, label)
    integers = {name: price.of_nodes(attrgetter(f"mapping.{name}")) for name in COUNTS}
    mapping = Mapping(
        **integers,
        array_rows=hardware.macro.array.rows,
        cells_per_array=_cells_per_array(hardware),
    )
    nodes = NodeCosts(
        energy_pj=price.energy_pj,
        latency_ns=price.latency_ns,
        area_um2=mapping.arrays * array_um2(hardware.macro),
        utilization=mapping.utilization,
        arrays=mapping.arrays,
        macs=price.of_nodes(lambda part: part.macs),
        call_ns=price.of_nodes(call_ns),
        components=price.components,
    )
    parts = {field.name: getattr(price.totals, field.name) for field in fields(Totals)}
    return CostArrays(**parts, nodes=nodes, mapping=mapping)


@dataclass(frozen=True)
class _Price:
    """The price of all nodes (n, nodes), and the parts of the table it was computed in."""

    parts: list[tuple[Columns, Layers]]
    shape: tuple[int, int]
    energy_pj: Array
    latency_ns: Array
    components: dict[str, Array]
    totals: Totals

    def of_nodes(self, quantity: Callable[[Layers], Array]) -> Array:
        """Return a quantity of the parts, put together (n, nodes)."""
        return _joined(self.parts, self.shape, quantity)


def _price(
    table: LayerTable,
    hardware: Hardware,
    statistics: Statistics | NodeStatistics | None,
    label: Label,
) -> _Price:
    network, macro = table.map(_floating), hardware.macro
    parts = _parts(network, hardware, statistics or Statistics(), label)
    shape = network.shape
    on_arrays = [layers.mapping for _, layers in parts]
    macros = summed(node_sum(mapping.arrays) for mapping in on_arrays)
    used_cells = summed(node_sum(mapping.used_cells) for mapping in on_arrays)
    area = _area_um2(macros, hardware)
    latency = _joined(parts, shape, latency_ns)
    dynamic = {
        name: _joined(parts, shape, partial(_real_pj, price)) for name, price in _DYNAMIC.items()
    }
    leaking_uw = leakage_uw_per_mm2(macro) * (area / _UM2_PER_MM2)
    components = dynamic | {
        "weight_memory": _joined(parts, shape, partial(_real_pj, weight_memory_fj)),
        # A share of the dynamic energy of each node; the loading of weights is not counted.
        "control": summed(dynamic.values()) * macro.control_frac,
        # The whole system leaks while a node runs.
        "leakage": leaking_uw[:, None] * latency * _PJ_PER_UW_NS,
    }
    energy = summed(components.values())
    _check_priced(network, components["digital"], latency, hardware, label)
    totals = Totals(
        energy_pj=node_sum(energy),
        latency_ns=node_sum(latency),
        area_um2=area,
        utilization=used_cells / at_least(macros * _cells_per_array(hardware), 1),
        macros=macros,
        components={name: node_sum(part) for name, part in components.items()},
    )
    return _Price(parts, shape, energy, latency, components, totals)


def _at(label: Label, start: int, n: int, node: int) -> str:
    return label(start + n, node)


def _of_column(label: Label, columns: Columns, n: int, node: int) -> str:
    return label(n, int(columns[node]))


def _real_pj(price_fj: Callable[[Layers], Array], layers: Layers) -> Array:
    return layers.real * price_fj(layers) / FJ_PER_PJ


def _floating(column: Any) -> Any:
    return column.astype(np.float64) if isinstance(column, np.ndarray) else column.double()


def _parts(
    table: LayerTable, hardware: Hardware, data: Statistics | NodeStatistics, label: Label
) -> list[tuple[Columns, Layers]]:
    """Return the nodes that any network has on arrays, and the others, which map to nothing.

    Most nodes of a network are never on arrays: apart, they skip the equations of those that are.
    """
    on_arrays = (values_of(table.cim) == 1).any(axis=0)
    parts = []
    resident: Mask = np.ones((1, 1), dtype=np.bool_)
    for columns in (np.flatnonzero(on_arrays), np.flatnonzero(~on_arrays)):
        if not columns.size:
            continue
        part = table.map(itemgetter((slice(None), columns)))
        if on_arrays[columns[0]]:
            demand = demand_of(part, hardware, partial(_of_column, label, columns))
            mapping = map_table(part, demand, hardware.macro)
            resident = _resident(mapping, hardware)
        else:
            nothing = 0.0 * part.op[:1, :1]
            demand, mapping = no_demand(nothing), unmapped(nothing)
        activity, density = (
            _of_columns(values, part, columns)
            for values in (data.activity_frac, data.density_frac)
        )
        layers = Layers(part, demand, mapping, hardware, activity, density, resident, data.batch)
        parts.append((columns, layers))
    return parts


def _of_columns(values: Array | float, part: LayerTable, columns: Columns) -> Array:
    """Return data statistics, of a network or of each node, for the nodes of a part."""
    given = np.atleast_2d(np.asarray(values, dtype=np.float64))
    chosen = given[:, columns] if given.shape[1] > 1 else given
    like: Array = namespace_of(part.op).asarray(chosen)
    return like


def _resident(mapping: Mapping, hardware: Hardware) -> Mask:
    """Return which networks (n, 1) have all their weights in the macros at once."""
    macros = hardware.system.macros
    needed = node_sum(mapping.arrays)[:, None]
    fits: Mask = needed >= 0 if macros == "enough" else needed <= macros
    return fits


def _joined(
    parts: list[tuple[Columns, Layers]],
    shape: tuple[int, int],
    quantity: Callable[[Layers], Array],
) -> Array:
    """Return a quantity of the parts of a table as one array (n, nodes)."""
    found = [quantity(layers) for _, layers in parts]
    xp = namespace_of(found[0])
    wide = [
        xp.broadcast_to(part, (shape[0], len(columns)))
        for part, (columns, _) in zip(found, parts, strict=True)
    ]
    order = np.argsort(np.concatenate([columns for columns, _ in parts]))
    nodes: Array = xp.concat(wide, axis=1)[:, order]
    return nodes


def _cells_per_array(hardware: Hardware) -> int:
    return hardware.macro.array.rows * hardware.macro.array.cols


def _area_um2(macros: Array, hardware: Hardware) -> Array:
    """Return the area (n,) of the system around networks that need ``macros``."""
    owned = hardware.system.macros
    count = macros if owned == "enough" else 0.0 * macros + owned
    return count * array_um2(hardware.macro) + shared_um2(hardware)


def _check_priced(
    table: LayerTable, digital_pj: Array, latency: Array, hardware: Hardware, label: Label
) -> None:
    """Check that every node has a price: an operation that the equations forget is an error."""
    priced = (values_of(digital_pj) > 0) & (values_of(latency) > 0)
    missing = (values_of(table.op) >= 0) & ~priced
    if missing.any():
        n, node = (int(index) for index in np.argwhere(missing)[0])
        raise HardwareError(f"{label(n, node)}: has no price on {hardware.name}")
