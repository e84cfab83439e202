"""The cost of one network as a report: totals, components, layers, and how far to trust them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost.credibility import is_calibrated, trust_in, validated_components
from cimsearch.cost.fidelity import LayerFidelity, layer_fidelities
from cimsearch.cost.group_costs import GroupCost, group_costs
from cimsearch.cost.model import CostArrays, estimate_table
from cimsearch.cost.namespace import Array
from cimsearch.cost.parts import NodeStatistics, named_statistics
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics


@dataclass(frozen=True)
class LayerCost:
    """The cost of one node of a network, per inference.

    ``area_um2`` is that of the ``arrays`` that one of its ``copies`` touches; ``components``
    splits its energy, pJ by name. ``fidelity`` is what the hardware does to its output before any
    training, to uniform codes if no data statistics are given; None for a node without weights.
    """

    name: str
    op: str
    energy_pj: float
    latency_ns: float
    area_um2: float
    utilization: float
    macs: int
    arrays: int
    copies: int
    components: dict[str, float]
    fidelity: LayerFidelity | None = None


@dataclass(frozen=True)
class CostReport:
    """The cost of one network on one hardware, per inference.

    Attributes:
        energy_pj: Sum over layers, and over components.
        latency_ns: From input to output: the sum over layers, less where they are pipelined, and
            that of a whole batch where a network does not fit and is loaded once a batch.
        interval_ns: From one inference to the next in steady state.
        programming_pj: Energy of writing all weights and their copies into cells once, before
            the first inference.
        area_um2: Of macros, buffers and digital unit.
        utilization: Used cells as a share of the cells of the arrays touched; 0 if there are none.
        macros: Macros that hold all weights once.
        components: Energy in pJ by component.
        layers: The same for every node.
        precision: Bits of weights x activations of the layers on arrays, or ``mixed``.
        calibrated: Whether the model meets the measured points of this macro.
        band_factor: The true macro energy lies within the modelled one times or divided by this,
            for 80 % of chips.
        band_achieved_frac: Share of chips, each left out of the fit, for which such a band held;
            None if that was not measured.
        band_basis: What the band rests on.
        unvalidated_frac: Share of the energy in components that no chip has validated.
        groups: The groups that run one after another, where layers are fused; else none.
    """

    energy_pj: float
    latency_ns: float
    interval_ns: float
    programming_pj: float
    area_um2: float
    utilization: float
    macros: int
    components: dict[str, float]
    layers: tuple[LayerCost, ...]
    precision: str
    calibrated: bool
    band_factor: float
    band_achieved_frac: float | None
    band_basis: str
    unvalidated_frac: float
    groups: tuple[GroupCost, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers, on arrays and digital."""
        return sum(layer.macs for layer in self.layers)

    @property
    def tops_per_w(self) -> float:
        """Useful operations per energy of the whole system (1 MAC = 2 OPS), at ``precision``."""
        return 2 * self.macs / self.energy_pj

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, without groups where there are none."""
        plain = asdict(self)
        if not self.groups:
            del plain["groups"]
        return plain


def estimate(
    network: Blueprint | Node,
    hardware: Hardware,
    statistics: Statistics | NodeStatistics | None = None,
    *,
    allow_reload: bool = False,
) -> CostReport:
    """Return the cost of a network, or of a single layer, on ``hardware``.

    Args:
        network: What to price; a layer by itself has a chip, hence leakage, of its own.
        hardware: What to price on.
        statistics: Data statistics of the network, or of each node (arrays that broadcast to
            (1, nodes)); the defaults if left out.
        allow_reload: Price a network that does not fit even where the hardware refuses that it
            is loaded at every inference.

    Raises:
        HardwareError: A node asks what the macro cannot do (the node is named), or the network
            does not fit and may not be loaded at every inference.
    """
    if isinstance(network, Node):
        network = Blueprint(network.in_shape, network.out_shape[0], (network,))
    nodes = network.nodes
    table = layer_table([network])
    data = named_statistics(statistics, [node.name for node in nodes])
    costs = estimate_table(table, hardware, data, label=lambda _, i: nodes[i].name)
    if not allow_reload:
        _check_fits(int(costs.macros[0]), hardware)
    components = {name: float(part[0]) for name, part in costs.components.items()}
    energy_pj = float(costs.energy_pj[0])
    calibrated = is_calibrated(hardware)
    trust = trust_in(hardware.macro, calibrated=calibrated)
    signals = layer_fidelities(network, hardware, data)
    validated = validated_components(hardware.macro, calibrated=calibrated)
    return CostReport(
        energy_pj=energy_pj,
        latency_ns=float(costs.latency_ns[0]),
        interval_ns=float(costs.interval_ns[0]),
        programming_pj=_programming_pj(costs, hardware),
        area_um2=float(costs.area_um2[0]),
        utilization=float(costs.utilization[0]),
        macros=int(costs.macros[0]),
        components=components,
        layers=tuple(
            _layer(costs, node, index, signals.get(index)) for index, node in enumerate(nodes)
        ),
        precision=_precision(network),
        calibrated=calibrated,
        band_factor=trust.factor,
        band_achieved_frac=trust.achieved_coverage,
        band_basis=trust.basis,
        unvalidated_frac=sum(
            energy for name, energy in components.items() if name not in validated
        )
        / energy_pj,
        groups=group_costs(costs, [node.name for node in nodes]),
    )


def _check_fits(needed: int, hardware: Hardware) -> None:
    owned = hardware.system.macros
    if owned != "enough" and needed > owned and (reason := hardware.reload_refused):
        raise HardwareError(
            f"the network needs {needed} macros; {hardware.name} has {owned}: {reason}"
        )


def _programming_pj(costs: CostArrays, hardware: Hardware) -> float:
    cells = costs.mapping.used_cells * costs.nodes.copies
    return float(cells.sum()) * hardware.macro.array.write_pj_per_cell


def _layer(costs: CostArrays, node: Node, index: int, fidelity: LayerFidelity | None) -> LayerCost:
    parts = costs.nodes
    return LayerCost(
        name=node.name,
        op=node.op,
        energy_pj=float(parts.energy_pj[0, index]),
        latency_ns=float(parts.latency_ns[0, index]),
        area_um2=float(parts.area_um2[0, index]),
        utilization=float(parts.utilization[0, index]),
        macs=int(parts.macs[0, index]),
        arrays=int(parts.arrays[0, index]),
        copies=int(parts.copies[0, index]),
        components={name: float(part[0, index]) for name, part in parts.components.items()},
        fidelity=fidelity,
    )


def _precision(network: Blueprint) -> str:
    """Return the bits of the layers on arrays (of all layers if none is), such as ``8b x 8b``."""
    weighted = [node for node in network.nodes if node.has_weights]
    placed = [node for node in weighted if node.placement == "cim"] or weighted
    found = {(node.w_bits, node.x_bits) for node in placed}
    if len(found) != 1:
        return "mixed" if found else ""
    ((w_bits, x_bits),) = found
    return f"{w_bits}b x {x_bits}b" if w_bits and x_bits else "float"


def node_statistics(
    network: Blueprint,
    activity_frac: Mapping[str, float],
    density_frac: Mapping[str, float],
    *,
    default: Statistics | None = None,
) -> NodeStatistics:
    """Return measured statistics, by node name, as arrays (1, nodes).

    Elsewhere those that are declared, ``default``, or of single layers in it.
    """
    declared, names = default or Statistics(), [node.name for node in network.nodes]

    def shares(name: str, measured: Mapping[str, float]) -> Array:
        layers = ((layer, declared.of_layer(layer)) for layer in names)
        return np.array([[measured.get(n, getattr(layer, name)) for n, layer in layers]])

    return NodeStatistics(
        shares("activity_frac", activity_frac),
        shares("density_frac", density_frac),
        shares("zero_plane_frac", {}),
        batch=declared.batch,
    )
