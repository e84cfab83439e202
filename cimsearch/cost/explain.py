"""The price of one layer, explained: every equation with its numbers and where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import numpy as np

from cimsearch.blueprint import Blueprint, layer_table
from cimsearch.cost.credibility import Trust, is_calibrated, trust_in
from cimsearch.cost.demand import demand_of, no_demand
from cimsearch.cost.explain_macro import (
    explain_adc,
    explain_adder_tree,
    explain_cells,
    explain_drivers,
    explain_shift_add,
)
from cimsearch.cost.explain_mapping import explain_mapping
from cimsearch.cost.explain_system import (
    LatencyEquation,
    explain_buffers,
    explain_control,
    explain_digital,
    explain_interconnect,
    explain_latency,
    explain_leakage,
    explain_weight_memory,
)
from cimsearch.cost.explain_terms import Count, Equation, Term, unit_of, value_at
from cimsearch.cost.layers import Layers
from cimsearch.cost.mapping import map_table, unmapped
from cimsearch.cost.model import COMPONENTS, UNVALIDATED, CostArrays, estimate_table
from cimsearch.errors import HardwareError
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.provenance import Origin
from cimsearch.spec.study import Statistics

_MACRO = (explain_cells, explain_drivers, explain_adc, explain_adder_tree, explain_shift_add)
_SYSTEM = (explain_buffers, explain_interconnect, explain_digital)


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant that an equation reads, with its origin if its file is known."""

    path: str
    value: Any
    unit: str
    origin: Origin | None


@dataclass(frozen=True)
class Explanation:
    """The price of one layer, per inference.

    Attributes:
        layer: Name of the node.
        op: What it does.
        placement: ``cim`` or ``digital``.
        hardware: Name of the hardware.
        mapping: The integers of the mapping; none off the arrays.
        equations: One for each component of the model, in its order.
        latency: The equation of the latency.
        energies_pj: Energy by component, as the model has it.
        latency_ns: Latency, as the model has it.
        constants: Every constant that the equations read, by path.
        statistics: The data statistics.
        calibrated: Whether the model meets the measured points of this macro.
        trust: How far the energy of the macros' own components can be trusted.
    """

    layer: str
    op: str
    placement: str
    hardware: str
    mapping: tuple[Count, ...]
    equations: tuple[Equation, ...]
    latency: LatencyEquation
    energies_pj: Mapping[str, float]
    latency_ns: float
    constants: Mapping[str, Constant] = field(repr=False)
    statistics: Statistics
    calibrated: bool
    trust: Trust

    @property
    def energy_pj(self) -> float:
        """Energy of the layer, pJ."""
        return sum(self.energies_pj.values())

    @property
    def validated_frac(self) -> float:
        """Share of the energy in components that chips have validated."""
        unvalidated = sum(self.energies_pj[name] for name in UNVALIDATED)
        return 1 - unvalidated / self.energy_pj


def explain(
    network: Blueprint,
    hardware: Hardware,
    layer: str,
    statistics: Statistics | None = None,
    *,
    origins: Mapping[str, Origin] = MappingProxyType({}),
) -> Explanation:
    """Explain the price of one layer of ``network`` on ``hardware``.

    Args:
        network: The whole network: its other layers decide what stays in the macros, and leak.
        hardware: What it is priced on.
        layer: Name of the node.
        statistics: Data statistics; the defaults if left out.
        origins: Origin of each constant by path, from ``load_basis``.

    Raises:
        HardwareError: No node has that name, or a node asks what the macro cannot do.
    """
    names = [node.name for node in network.nodes]
    if layer not in names:
        raise HardwareError(f"no layer {layer!r}", f"known are {', '.join(names)}")
    index, data = names.index(layer), statistics or Statistics()
    costs = estimate_table(
        layer_table([network]), hardware, data, label=lambda _, node: names[node]
    )
    layers = _layer(network, hardware, index, data, costs)
    latency_ns = float(costs.nodes.latency_ns[0, index])
    equations = _equations(layers, float(costs.area_um2[0]), latency_ns)
    latency = explain_latency(layers)
    calibrated, node = is_calibrated(hardware), network.nodes[index]
    return Explanation(
        layer=layer,
        op=node.op,
        placement=node.placement,
        hardware=hardware.name,
        mapping=explain_mapping(layers),
        equations=equations,
        latency=latency,
        energies_pj={name: float(costs.nodes.components[name][0, index]) for name in COMPONENTS},
        latency_ns=latency_ns,
        constants=_constants(_terms(equations, latency), hardware, origins),
        statistics=data,
        calibrated=calibrated,
        trust=trust_in(hardware.macro, calibrated=calibrated),
    )


def _equations(layers: Layers, area_um2: float, latency_ns: float) -> tuple[Equation, ...]:
    dynamic = tuple(explained(layers) for explained in (*_MACRO, *_SYSTEM))
    return (
        *dynamic,
        explain_weight_memory(layers),
        explain_control(layers, sum(equation.value_pj for equation in dynamic)),
        explain_leakage(layers, area_um2, latency_ns),
    )


def _layer(
    network: Blueprint, hardware: Hardware, index: int, data: Statistics, costs: CostArrays
) -> Layers:
    """Return what the equations of one node read, arrays (1, 1)."""
    columns = itemgetter((slice(None), np.array([index])))
    table = layer_table([network]).map(columns).map(lambda column: column.astype(np.float64))
    nothing = np.zeros((1, 1))
    if network.nodes[index].placement == "cim":
        demand = demand_of(table, hardware, lambda *_: network.nodes[index].name)
        mapping = map_table(table, demand, hardware.macro)
    else:
        demand, mapping = no_demand(nothing), unmapped(nothing)
    owned = hardware.system.macros
    resident = np.array([[owned == "enough" or costs.macros[0] <= owned]])
    activity, density = nothing + data.activity_frac, nothing + data.density_frac
    return Layers(table, demand, mapping, hardware, activity, density, resident, data.batch)


def _terms(equations: tuple[Equation, ...], latency: LatencyEquation) -> tuple[Term, ...]:
    timed = [*latency.parts.values(), *([latency.loading] if latency.loading else [])]
    return (
        *(term for equation in equations for term in equation.terms),
        *(term for product in timed for term in product),
    )


def _constants(
    terms: tuple[Term, ...], hardware: Hardware, origins: Mapping[str, Origin]
) -> dict[str, Constant]:
    paths = dict.fromkeys(path for term in terms for path in term.paths)
    return {
        path: Constant(path, value_at(hardware, path), unit_of(path), origins.get(path))
        for path in paths
    }
