"""The price of one layer, explained: every equation with its numbers and where they come from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from cimsearch.blueprint import Blueprint
from cimsearch.cost.columns import at_node
from cimsearch.cost.converting import told
from cimsearch.cost.credibility import Trust, is_calibrated, trust_in, validated_components
from cimsearch.cost.explain_area import explain_leakage
from cimsearch.cost.explain_call import explain_array_call
from cimsearch.cost.explain_expression import Term
from cimsearch.cost.explain_latency import LatencyEquation, explain_latency
from cimsearch.cost.explain_macro import (
    explain_adc,
    explain_adder_tree,
    explain_cells,
    explain_drivers,
    explain_shift_add,
)
from cimsearch.cost.explain_mapping import explain_mapping
from cimsearch.cost.explain_network import (
    NetworkTerms,
    copies_of,
    network_terms,
    shared_arrays_of,
)
from cimsearch.cost.explain_system import (
    explain_buffers,
    explain_control,
    explain_digital,
    explain_interconnect,
    explain_off_chip,
)
from cimsearch.cost.explain_terms import (
    Count,
    Equation,
    is_on_arrays,
    number,
    unit_of,
    value_at,
    with_inner,
)
from cimsearch.cost.layers import Layers, Parts
from cimsearch.cost.model import COMPONENTS, estimate_table
from cimsearch.cost.parts import named_statistics, parts_of
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.provenance import Origin
from cimsearch.spec.study import Statistics

_DYNAMIC = (
    explain_array_call,
    explain_cells,
    explain_drivers,
    explain_adc,
    explain_adder_tree,
    explain_shift_add,
    explain_buffers,
    explain_interconnect,
    explain_digital,
)


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
        converters: Who computes its activation, and why, on a macro whose converters may.
        copies: How often the layer is on arrays; 0 if it is not on any.
        equations: One for each component of the model, in its order.
        latency: The equation of the latency.
        network: Latency and interval of the whole network, where layers are pipelined or fused.
        not_pipelined: Why they are not on a chip that could; empty if they are, or it could not.
        group: Which group of fused layers this one runs in; empty if layers are not fused.
        energies_pj: Energy by component, as the model has it.
        latency_ns: Latency, as the model has it.
        constants: Every constant that the equations read, by path.
        statistics: The data statistics of the layer.
        calibrated: Whether the model meets the measured points of this macro.
        trust: How far the energy of the macros' own components can be trusted.
        validated: The components that measurements of chips stand behind.
    """

    layer: str
    op: str
    placement: str
    hardware: str
    mapping: tuple[Count, ...]
    converters: str
    copies: int
    equations: tuple[Equation, ...]
    latency: LatencyEquation
    network: tuple[Term, ...]
    not_pipelined: str
    group: str
    energies_pj: Mapping[str, float]
    latency_ns: float
    constants: Mapping[str, Constant] = field(repr=False)
    statistics: Statistics
    calibrated: bool
    trust: Trust
    validated: frozenset[str]

    @property
    def terms(self) -> tuple[Term, ...]:
        """Every term of the equations and, after it, of its own formula; each once."""
        factors = (term for equation in self.equations for term in equation.terms)
        return tuple(dict.fromkeys(with_inner([*factors, *self.latency.terms, *self.network])))

    @property
    def energy_pj(self) -> float:
        """Energy of the layer, pJ."""
        return sum(self.energies_pj.values())

    @property
    def validated_frac(self) -> float:
        """Share of the energy in components that chips have validated."""
        energies = self.energies_pj.items()
        return sum(each for name, each in energies if name in self.validated) / self.energy_pj


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
    table = layer_table([network])
    named = named_statistics(data, names) or data
    costs = estimate_table(table, hardware, named, label=lambda _, node: names[node])
    floating = table.map(lambda column: column.astype(np.float64))
    parts = parts_of(floating, hardware, named, lambda _, node: names[node])
    layers, mapping = _layer(parts, index)
    latency_ns = float(costs.nodes.latency_ns[0, index])
    times = network_terms(parts, costs, names, layer)
    equations = _equations(layers, latency_ns, times)
    latency = explain_latency(layers)
    calibrated, node = is_calibrated(hardware), network.nodes[index]
    network_times = tuple(term for term in (times.latency, times.interval) if term is not None)
    factors = [term for equation in equations for term in equation.terms]
    return Explanation(
        layer=layer,
        op=node.op,
        placement=node.placement,
        hardware=hardware.name,
        mapping=mapping,
        converters=told(network, index, parts[0], hardware.macro),
        copies=int(number(layers.copies)) if is_on_arrays(layers) else 0,
        equations=equations,
        latency=latency,
        network=network_times,
        not_pipelined=times.note,
        group=times.group,
        energies_pj={name: float(costs.nodes.components[name][0, index]) for name in COMPONENTS},
        latency_ns=latency_ns,
        constants=_constants([*factors, *latency.terms, *network_times], hardware, origins),
        statistics=data.of_layer(layer),
        calibrated=calibrated,
        trust=trust_in(hardware.macro, calibrated=calibrated),
        validated=validated_components(hardware.macro, calibrated=calibrated),
    )


def _equations(layers: Layers, latency_ns: float, network: NetworkTerms) -> tuple[Equation, ...]:
    dynamic = [explained(layers) for explained in _DYNAMIC]
    return (
        *dynamic,
        explain_off_chip(layers),
        explain_control(layers, dynamic),
        explain_leakage(layers, latency_ns, network),
    )


def _layer(parts: Parts, index: int) -> tuple[Layers, tuple[Count, ...]]:
    """Return what the equations of one node read, arrays (1, 1), and the integers of it."""
    columns, part = next(found for found in parts if index in found[0])
    column = int(np.flatnonzero(columns == index)[0])
    layers = at_node(part, column)
    if not is_on_arrays(layers):
        return layers, ()
    placed = (*shared_arrays_of(part, column), *copies_of(layers))
    return layers, (*explain_mapping(layers), *placed)


def _constants(
    terms: Iterable[Term], hardware: Hardware, origins: Mapping[str, Origin]
) -> dict[str, Constant]:
    paths = dict.fromkeys(term.path for term in with_inner(terms) if term.path)
    return {
        path: Constant(path, value_at(hardware, path), unit_of(path), origins.get(path))
        for path in paths
    }
