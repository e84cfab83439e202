"""The closed-form cost model: many networks at once, every node, every component."""

from dataclasses import dataclass

from cimsearch.blueprint import LayerTable
from cimsearch.cost.area import array_um2, shared_um2
from cimsearch.cost.demand import Label, demand_of
from cimsearch.cost.layers import Layers
from cimsearch.cost.macro_energy import adc_fj, adder_tree_fj, cells_fj, drivers_fj, shift_add_fj
from cimsearch.cost.mapping import Mapping, map_table
from cimsearch.cost.namespace import Array, Ints, node_sum, summed, xp
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

_UM2_PER_MM2 = 1e6
_PJ_PER_UW_NS = 1e-3


@dataclass(frozen=True)
class NodeStatistics:
    """Data statistics of every node, as ``Statistics`` has them of a whole network.

    Arrays that broadcast to (n, nodes): measured ones price what a network really does.
    """

    activity_frac: Array
    density_frac: Array


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
    arrays: Ints
    macs: Ints
    call_ns: Array
    components: dict[str, Array]


@dataclass(frozen=True)
class CostArrays:
    """Costs of many networks, per inference: arrays (n,), and those of their nodes.

    Attributes:
        energy_pj: Sum over nodes and over components.
        latency_ns: Sum over nodes.
        area_um2: Arrays (all that the system has, or as many as needed), buffers, digital unit.
        utilization: Used cells as a share of the cells of the arrays touched; 0 if there are none.
        macros: Macros that hold all weights at once, whether the system has them or not.
        components: Energy in pJ by component.
        nodes: The same for every node.
        mapping: The integers they come from.
    """

    energy_pj: Array
    latency_ns: Array
    area_um2: Array
    utilization: Array
    macros: Ints
    components: dict[str, Array]
    nodes: NodeCosts
    mapping: Mapping


def estimate_table(
    table: LayerTable,
    hardware: Hardware,
    statistics: Statistics | NodeStatistics | None = None,
    *,
    label: Label = "network {}, node {}".format,
) -> CostArrays:
    """Return the costs of all networks of ``table`` (n, nodes).

    Args:
        table: The networks.
        hardware: What to price on.
        statistics: Data statistics; the defaults if left out.
        label: Names the node at (network, node) in an error.

    Raises:
        HardwareError: A node asks what the macro cannot do.
    """
    data = statistics or Statistics()
    demand = demand_of(table, hardware, label)
    layers = Layers(
        table=table,
        demand=demand,
        mapping=map_table(table, demand, hardware.macro),
        hardware=hardware,
        activity=xp.broadcast_to(xp.asarray(data.activity_frac), table.shape),
        density=xp.broadcast_to(xp.asarray(data.density_frac), table.shape),
    )
    mapping = layers.mapping
    macros = xp.sum(mapping.arrays, axis=1)
    area = _area_um2(macros, hardware)
    latency = latency_ns(layers)
    components = _components_pj(layers, area, latency)
    nodes = NodeCosts(
        energy_pj=summed(components.values()),
        latency_ns=latency,
        area_um2=mapping.arrays * array_um2(hardware.macro),
        utilization=mapping.utilization,
        arrays=mapping.arrays,
        macs=layers.macs,
        call_ns=call_ns(layers),
        components=components,
    )
    _check_priced(layers, nodes, label)
    cells = xp.sum(mapping.cells, axis=1)
    return CostArrays(
        energy_pj=node_sum(nodes.energy_pj),
        latency_ns=node_sum(latency),
        area_um2=area,
        utilization=xp.sum(mapping.used_cells, axis=1) / xp.maximum(cells, 1),
        macros=macros,
        components={name: node_sum(part) for name, part in components.items()},
        nodes=nodes,
        mapping=mapping,
    )


def _area_um2(macros: Ints, hardware: Hardware) -> Array:
    """Return the area (n,) of the system around networks that need ``macros``."""
    owned = hardware.system.macros
    count = macros if owned == "enough" else xp.full_like(macros, owned)
    return count * array_um2(hardware.macro) + shared_um2(hardware)


def _components_pj(layers: Layers, area: Array, latency: Array) -> dict[str, Array]:
    """Return the energy of every component, arrays (n, nodes).

    Control is a share of the dynamic energy of each node; the whole system leaks while a node
    runs. Weight loading is neither.
    """
    macro = layers.hardware.macro
    parts = {name: energy_fj(layers) / FJ_PER_PJ for name, energy_fj in _DYNAMIC.items()}
    control = summed(parts.values()) * macro.control_frac
    leaking_uw = macro.technology.leakage_uw_per_mm2 * (area / _UM2_PER_MM2)
    parts["weight_memory"] = weight_memory_fj(layers) / FJ_PER_PJ
    parts["control"] = control
    parts["leakage"] = leaking_uw[:, None] * latency * _PJ_PER_UW_NS
    return {name: xp.where(layers.real, part, 0.0) for name, part in parts.items()}


def _check_priced(layers: Layers, nodes: NodeCosts, label: Label) -> None:
    """Check that every node has a price: an operation that the equations forget is an error."""
    priced = (nodes.components["digital"] > 0) & (nodes.latency_ns > 0)
    missing = xp.argwhere(layers.real & ~priced)
    if len(missing):
        n, node = (int(index) for index in missing[0])
        raise HardwareError(f"{label(n, node)}: has no price on {layers.hardware.name}")
