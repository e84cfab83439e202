"""The closed-form cost model: many networks at once, every node, every component."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np

from cimsearch.cost.area import UM2_PER_MM2, array_um2, shared_um2
from cimsearch.cost.array_call import array_call_fj
from cimsearch.cost.columns import joined
from cimsearch.cost.demand import Label
from cimsearch.cost.layers import FJ_PER_PJ, Layers, Parts
from cimsearch.cost.logic import leakage_uw_per_mm2
from cimsearch.cost.macro_energy import adc_fj, adder_tree_fj, cells_fj, drivers_fj, shift_add_fj
from cimsearch.cost.mapping import COUNTS, Mapping
from cimsearch.cost.namespace import (
    Array,
    at_least,
    namespace_of,
    node_sum,
    summed,
    values_of,
)
from cimsearch.cost.parts import NodeStatistics, parts_of
from cimsearch.cost.schedule import GroupTimes, NetworkTimes, network_times
from cimsearch.cost.system_energy import (
    buffers_fj,
    digital_fj,
    interconnect_fj,
    off_chip_fj,
)
from cimsearch.cost.timing import after_loading, call_ns, loading_ns, running_ns
from cimsearch.errors import HardwareError
from cimsearch.layer_table import LayerTable
from cimsearch.spec.hardware import Hardware, Macro
from cimsearch.spec.study import Statistics

_DYNAMIC = {
    "array_call": array_call_fj,
    "cells": cells_fj,
    "drivers": drivers_fj,
    "adc": adc_fj,
    "adder_tree": adder_tree_fj,
    "shift_add": shift_add_fj,
    "buffers": buffers_fj,
    "interconnect": interconnect_fj,
    "digital": digital_fj,
}

COMPONENTS = (*_DYNAMIC, "off_chip", "control", "leakage")
"""What the energy is split into, in order."""

PIECE = 1024
"""Networks priced at a time where only totals are wanted."""

_LABEL = "network {}, node {}".format
_PJ_PER_UW_NS = 1e-3


@dataclass(frozen=True)
class NodeCosts:
    """Costs of every node, arrays (n, nodes); 0 where a shorter network is padded.

    ``area_um2`` is that of the arrays one copy of the node touches, which it may share with other
    nodes; buffers and digital unit are shared. ``call_ns`` is the time of one array call.
    ``copies`` is how often a layer is on arrays.
    """

    energy_pj: Array
    latency_ns: Array
    area_um2: Array
    utilization: Array
    arrays: Array
    macs: Array
    call_ns: Array
    copies: Array
    components: dict[str, Array]


@dataclass(frozen=True)
class Totals:
    """Costs of many networks, per inference: arrays (n,).

    Attributes:
        energy_pj: Sum over nodes and over components.
        latency_ns: From input to output: the sum over nodes, less where they are pipelined, and
            that of a whole batch where a network does not fit and is loaded once a batch.
        interval_ns: From one inference to the next in steady state: the latency, less where
            nodes are pipelined. The chip leaks for so long.
        area_um2: Arrays (all that the system has, or as many as needed), buffers, digital unit.
        utilization: Used cells as a share of the cells of the arrays touched; 0 if there are none.
        macros: Macros that hold all weights once, whether the system has them or not.
        components: Energy in pJ by component.
    """

    energy_pj: Array
    latency_ns: Array
    interval_ns: Array
    area_um2: Array
    utilization: Array
    macros: Array
    components: dict[str, Array]


@dataclass(frozen=True)
class CostArrays(Totals):
    """The same with the costs of every node, and the mapping that they come from.

    ``groups`` has the times of the groups of nodes that run at once, where layers are fused.
    """

    nodes: NodeCosts
    mapping: Mapping
    groups: GroupTimes | None


def estimate_totals(
    table: LayerTable,
    hardware: Hardware,
    statistics: Statistics | NodeStatistics | None = None,
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
        chosen = slice(start, start + PIECE)
        data = statistics
        if isinstance(data, NodeStatistics):
            data = data.of_networks(chosen)
        at = partial(_at, label, start)
        pieces.append(_price(table.map(itemgetter(chosen)), hardware, data, at).totals)
    xp = namespace_of(pieces[0].energy_pj)

    def in_order(parts: list[Array]) -> Array:
        whole: Array = parts[0] if len(parts) == 1 else xp.concat(parts)
        return whole

    simple = {
        field.name: in_order([getattr(piece, field.name) for piece in pieces])
        for field in fields(Totals)
        if field.name != "components"
    }
    components = {n: in_order([piece.components[n] for piece in pieces]) for n in COMPONENTS}
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
        copies=price.of_nodes(lambda part: part.demand.cim * part.copies),
        components=price.components,
    )
    parts = {field.name: getattr(price.totals, field.name) for field in fields(Totals)}
    return CostArrays(**parts, nodes=nodes, mapping=mapping, groups=price.times.groups)


@dataclass(frozen=True)
class _Price:
    """The price of all nodes (n, nodes), and the parts of the table it was computed in."""

    parts: Parts
    energy_pj: Array
    latency_ns: Array
    components: dict[str, Array]
    times: NetworkTimes
    totals: Totals

    def of_nodes(self, quantity: Callable[[Layers], Array]) -> Array:
        """Return a quantity of the parts, put together (n, nodes)."""
        return joined(self.parts, quantity)


def _price(
    table: LayerTable,
    hardware: Hardware,
    statistics: Statistics | NodeStatistics | None,
    label: Label,
) -> _Price:
    network, macro = table.map(_floating), hardware.macro
    parts = parts_of(network, hardware, statistics or Statistics(), label)
    layers = [part for _, part in parts]
    needed = layers[0].needed_macros[:, 0]
    used_cells = summed(node_sum(part.mapping.used_cells) for part in layers)
    area = layers[0].chip_macros[:, 0] * array_um2(macro) + shared_um2(hardware)
    running = joined(parts, running_ns)
    latency = after_loading(running, joined(parts, loading_ns), hardware)
    times = network_times(parts, latency, running)
    dynamic = {
        name: joined(parts, partial(_real_pj, price)) for name, price in _equations(macro).items()
    }
    # The whole system leaks from one inference to the next: nodes share that by their times.
    leaking_uw = leakage_uw_per_mm2(macro) * (area / UM2_PER_MM2)
    leaking_uw = leaking_uw * (times.interval_ns / node_sum(latency))
    components = dynamic | {
        "off_chip": joined(parts, partial(_real_pj, off_chip_fj)),
        # A share of the dynamic energy of each node; what comes from off the chip is not counted.
        "control": summed(dynamic.values()) * macro.control_frac,
        "leakage": leaking_uw[:, None] * latency * _PJ_PER_UW_NS,
    }
    energy = summed(components.values())
    _check_priced(network, components["digital"], latency, hardware, label)
    totals = Totals(
        energy_pj=node_sum(energy),
        latency_ns=times.latency_ns,
        interval_ns=times.interval_ns,
        area_um2=area,
        utilization=used_cells / at_least(needed * _cells_per_array(hardware), 1),
        macros=needed,
        components={name: node_sum(part) for name, part in components.items()},
    )
    return _Price(parts, energy, latency, components, times, totals)


def _equations(macro: Macro) -> dict[str, Callable[[Layers], Array]]:
    """Return what prices each dynamic component: nothing what a table of array calls covers.

    Drivers and shift-and-add have parts that no such table covers, and see to it themselves.
    """
    simulated = macro.simulated - {"drivers", "shift_add"}
    return {name: _nothing if name in simulated else price for name, price in _DYNAMIC.items()}


def _nothing(layers: Layers) -> Array:
    return 0.0 * layers.mapping.rows


def _at(label: Label, start: int, n: int, node: int) -> str:
    return label(start + n, node)


def _real_pj(price_fj: Callable[[Layers], Array], layers: Layers) -> Array:
    return layers.real * price_fj(layers) / FJ_PER_PJ


def _floating(column: Any) -> Any:
    return column.astype(np.float64) if isinstance(column, np.ndarray) else column.double()


def _cells_per_array(hardware: Hardware) -> int:
    return hardware.macro.array.rows * hardware.macro.array.cols


def _check_priced(
    table: LayerTable, digital_pj: Array, latency: Array, hardware: Hardware, label: Label
) -> None:
    """Check that every node has a price: an operation that the equations forget is an error.

    The second part of a layer may take no time beyond that of the first.
    """
    timed = (values_of(latency) > 0) | (values_of(table.beside_channels) > 0)
    priced = (values_of(digital_pj) > 0) & timed
    missing = (values_of(table.op) >= 0) & ~priced
    if missing.any():
        n, node = (int(index) for index in np.argwhere(missing)[0])
        raise HardwareError(f"{label(n, node)}: has no price on {hardware.name}")
