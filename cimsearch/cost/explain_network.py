"""What the other layers of a network decide of one: times that overlap, copies, shared arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

from cimsearch.cost.explain_expression import Term, applied
from cimsearch.cost.explain_terms import Count, number
from cimsearch.cost.layers import Layers, joined
from cimsearch.cost.model import CostArrays
from cimsearch.cost.namespace import node_sum
from cimsearch.cost.schedule import Parts, through_ns
from cimsearch.cost.sharing import shelves_of
from cimsearch.cost.timing import SHARED

_UNITS = ("digital unit", "buffer", "bus", "memory off the chip")
"""The units that all layers share, in the order of ``SHARED``."""


@dataclass(frozen=True)
class NetworkTerms:
    """The times of the whole network, ns.

    Attributes:
        layers_ns: Sum of the times of all layers.
        latency: From input to output, where layers are pipelined; else None.
        interval: From one inference to the next, where layers are pipelined; else None.
    """

    layers_ns: Term
    latency: Term | None = None
    interval: Term | None = None


def network_terms(parts: Parts, costs: CostArrays, names: Sequence[str]) -> NetworkTerms:
    """Return the times of one network, whose nodes are ``parts`` and called ``names``."""
    times, layers = costs.nodes.latency_ns, parts[0][1]
    all_layers = Term("sum of layers", float(node_sum(times)[0]), "ns")
    resident = bool(number(1.0 * layers.resident))
    if layers.hardware.system.execution == "layer_by_layer" or not resident:
        return NetworkTerms(all_layers)
    slowest = names[int(times[0].argmax())]
    longest = Term("longest layer", float(times.max()), "ns", how=slowest)
    busy = [
        Term(name, float(joined(parts, unit_ns).sum()), "ns", how="over all layers")
        for name, unit_ns in zip(_UNITS, SHARED, strict=True)
    ]
    interval = applied("max", longest, *busy).named("interval", "ns")
    through = Term("last layer's end", float(through_ns(parts, times)[0]), "ns", how=_THROUGH)
    latency = applied("max", through, interval).named("network latency", "ns")
    return NetworkTerms(all_layers, latency, interval)


_THROUGH = (
    "in order, start = start + min(kernel height / input height, 1) x (end - start) of the layer "
    "before, end = max(start + latency, end of the layer before)"
)


def copies_of(layers: Layers) -> tuple[Count, ...]:
    """Return how often a layer is on arrays; nothing where the chip has no copies."""
    system = layers.hardware.system
    if system.duplicates == "none":
        return ()
    copies, vectors = int(number(layers.copies)), int(number(layers.mapping.vectors))
    needed, owned = (int(number(macros)) for macros in (layers.needed_macros, layers.chip_macros))
    goal = "longest layer" if system.execution == "pipelined" else "sum of times"
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
