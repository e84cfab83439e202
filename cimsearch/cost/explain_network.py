"""What the other layers of a network decide of one: times that overlap, copies, shared arrays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cimsearch.cost.columns import joined
from cimsearch.cost.explain_expression import Operand, Term, applied, total
from cimsearch.cost.explain_terms import Count, number
from cimsearch.cost.group_costs import GroupCost, group_costs
from cimsearch.cost.layers import Layers, Parts
from cimsearch.cost.model import CostArrays
from cimsearch.cost.namespace import Array, node_sum
from cimsearch.cost.schedule import stage_ns, through_ns
from cimsearch.cost.sharing import shelves_of
from cimsearch.cost.timing import SHARED, buffer_ns, bus_ns, digital_ns, off_chip_ns

_UNITS: Mapping[Callable[[Layers], Array], str] = {
    digital_ns: "digital unit",
    buffer_ns: "buffer",
    bus_ns: "bus",
    off_chip_ns: "memory off the chip",
}
"""The units that all layers share."""


@dataclass(frozen=True)
class NetworkTerms:
    """The times of the whole network, ns.

    Attributes:
        layers_ns: Sum of the times of all layers.
        latency: From input to output, where layers are pipelined or fused; else None.
        interval: From one inference to the next, where layers are pipelined or fused; else None.
        note: Why layers are not pipelined on a chip that could; empty if they are.
        group: Which group the layer runs in, where layers are fused; else empty.
    """

    layers_ns: Term
    latency: Term | None = None
    interval: Term | None = None
    note: str = ""
    group: str = ""


def network_terms(
    parts: Parts, costs: CostArrays, names: Sequence[str], layer: str
) -> NetworkTerms:
    """Return the times of one network, whose nodes are ``parts`` and called ``names``.

    Of the groups of fused layers, that of ``layer`` is told in full.
    """
    times, layers = costs.nodes.latency_ns, parts[0][1]
    all_layers = Term("sum of layers", float(node_sum(times)[0]), "ns")
    if layers.hardware.system.execution == "layer_by_layer":
        return NetworkTerms(all_layers)
    groups = group_costs(costs, names)
    own = next((at for at, group in enumerate(groups) if layer in group.layers), 0)
    told = _told(groups, own) if groups else ""
    if groups and not number(1.0 * layers.resident):
        return _fused_terms(layers, groups, own, NetworkTerms(all_layers, group=told))
    if not number(1.0 * layers.resident):
        needed, owned = number(layers.needed_macros), number(layers.chip_macros)
        why = f"the network needs {needed:.0f} macros and the chip has {owned:.0f}"
        each = f", each for a batch of {layers.batch}" if layers.batch > 1 else ""
        return NetworkTerms(all_layers, note=f"{why}, so its layers run one after another{each}")
    stages = stage_ns(parts, times)
    slowest = names[int(stages[0].argmax())]
    longest = Term("longest layer", float(stages.max()), "ns", how=slowest)
    busy = [_busy(parts, unit_ns) for unit_ns in SHARED]
    interval = applied("max", longest, *busy).named("interval", "ns")
    through = Term("last layer's end", float(through_ns(parts, times)[0, -1]), "ns", how=_THROUGH)
    latency = applied("max", through, interval).named("network latency", "ns")
    return NetworkTerms(all_layers, latency, interval, group=told)


def _told(groups: Sequence[GroupCost], own: int) -> str:
    """Return which of the groups a layer is in, from which node to which."""
    group = groups[own]
    ends = " to ".join(dict.fromkeys((group.layers[0], group.layers[-1])))
    rounds = "" if group.fits else ", loaded in rounds"
    return f"group {own + 1} of {len(groups)} ({ends}, {group.macros} macros{rounds})"


def _fused_terms(
    layers: Layers, groups: Sequence[GroupCost], own: int, told: NetworkTerms
) -> NetworkTerms:
    """Return the times of a network that runs group after group, each for a whole batch."""
    batch, group = Term("batch", float(layers.batch), how="from the data statistics"), groups[own]
    how = (_LOADED, _FIRST, _BETWEEN) if group.fits else (_IN_ROUNDS, _IN_TURN, _IN_TURN)
    loading, first, between = (
        Term(name, value, "ns", how=text)
        for name, value, text in zip(
            GROUP_TIMES,
            (group.loading_ns, group.latency_ns, group.interval_ns),
            how,
            strict=True,
        )
    )
    runs: Operand = first + (batch - 1) * between
    if layers.hardware.system.off_chip.ping_pong:
        batched = applied("max", loading, runs)
    else:
        batched = loading + runs
    terms = [
        batched.named(f"group {at + 1}", "ns", how="the whole batch")
        if at == own
        else Term(f"group {at + 1}", each.batch_ns, "ns", how="the whole batch")
        for at, each in enumerate(groups)
    ]
    latency = total(*terms).named("network latency", "ns", how="the whole batch")
    return replace(told, latency=latency, interval=(latency / batch).named("interval", "ns"))


GROUP_TIMES = ("group loading", "group latency", "group interval")
"""The times of the group that a layer is fused in, by the names of their terms."""

_LOADED = "once a batch: the longer of fetching all weights of the group and of writing most rows"
_FIRST = "the longer of its last layer's end and of the group interval"
_BETWEEN = "the longer of its longest layer and of a shared unit's time for all its layers"
_IN_ROUNDS = "once a batch: its one layer with weights does not fit"
_IN_TURN = "its layers one after another"


def _busy(parts: Parts, unit_ns: Callable[[Layers], Array]) -> Term:
    """Return the time of a unit that all layers share, over a whole inference."""
    busy = joined(parts, unit_ns)
    bus, name, how = parts[0][1].hardware.system.interconnect, _UNITS[unit_ns], "over all layers"
    if unit_ns is bus_ns and bus.mesh is not None and bus.mesh.link_gbps < bus.bandwidth_gbps:
        on_bus = joined(parts, lambda part: part.traffic.bus / bus.bandwidth_gbps)
        link = float(busy[busy > on_bus].sum() / busy.sum())
        name, how = (
            "bus or mesh link",
            f"{how}, of each the slower; {100 * link:.1f} % of it is the link",
        )
    return Term(name, float(busy.sum()), "ns", how=how)


_THROUGH = (
    "in order, start = start + min(rows of the window / input height, 1) x (end - start) of the "
    "layer before, end = max(start + latency, end of the layer before); the rows are those of the "
    "kernel, with a pooling in the stream behind it all that a window of that needs; such a "
    "pooling waits for the positions of its first window alone; the second part of a layer starts "
    "with the first, and its latency is that of both"
)


def copies_of(layers: Layers) -> tuple[Count, ...]:
    """Return how often a layer is on arrays; nothing where the chip has no copies."""
    system = layers.hardware.system
    if system.duplicates == "none":
        return ()
    copies, vectors = int(number(layers.copies)), int(number(layers.mapping.vectors))
    needed, owned = (int(number(macros)) for macros in (layers.needed_macros, layers.chip_macros))
    goal = "sum of times"
    if system.execution != "layer_by_layer":
        goal = f"longest layer, then the shortest {goal}"
    spare = max(owned - needed, 0)
    return (
        Count("spare_macros", spare, "macros - needed", f"max({owned} - {needed}, 0)"),
        Count("copies", copies, f"chosen with all layers for the shortest {goal}", f"{copies}"),
        Count(
            "vectors_of_copy",
            -(-vectors // copies),
            "ceil(vectors / copies)",
            f"ceil({vectors} / {copies})",
        ),
    )


def shared_arrays_of(part: Layers, node: int) -> tuple[Count, ...]:
    """Return the arrays that a layer has to itself, and those that others are in too.

    Args:
        part: All nodes on arrays of one network.
        node: The column of the layer.
    """
    if part.hardware.system.layers_per_array == "one":
        return ()
    shelves, mapping = shelves_of(part.mapping, part.hardware), part.mapping
    arrays, whole, parts, column = (
        int(values[0, node])
        for values in (mapping.arrays, shelves.whole, shelves.parts, shelves.column)
    )
    return (
        Count("whole_arrays", whole, "arrays - shared_arrays", f"{arrays} - {parts}"),
        Count("shared_arrays", parts, "those of its last columns, if not full", f"{parts}"),
        Count("first_column", column, "where its last columns start in them", f"{column}"),
    )
