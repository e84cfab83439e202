"""When layers run: copies in spare macros, and how nodes' times make those of a network.

Layer by layer, the times of nodes add up. Pipelined, every node works at another inference: the
next inference follows after the longest node, or after the unit that all share is done with all of
them. Of one inference, a node starts when the node before it has made what its first window needs,
and is done no sooner than that one: the pipeline of ISAAC (A. Shafiee et al., ISCA 2016) with the
waiting told by the height of each window. Branches are counted as if in line, but for the parts of
a layer: both start on the same input, and what joins them follows when both have begun.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from cimsearch.cost.columns import joined
from cimsearch.cost.copies import Workload, least_longest, least_sum
from cimsearch.cost.layers import Columns, Layers
from cimsearch.cost.namespace import Array, namespace_of, node_sum, values_of
from cimsearch.cost.timing import SHARED, arrays_ns, first_share

Parts = list[tuple[Columns, Layers]]


@dataclass(frozen=True)
class NetworkTimes:
    """Times of networks, arrays (n,), ns.

    Attributes:
        latency_ns: From an inference's input to its output.
        interval_ns: From one inference to the next in steady state.
    """

    latency_ns: Array
    interval_ns: Array


def with_copies(parts: Parts) -> Layers:
    """Return nodes on arrays with the copies that the chip's spare macros hold.

    A network that does not fit has none.

    Args:
        parts: Nodes on arrays, one copy each; then the other nodes of the same networks, which
            share digital unit, buffer and bus.
    """
    layers = parts[0][1]
    times = [values_of(unit_ns(layers)) for unit_ns in SHARED]
    mapping = layers.mapping
    work = Workload(
        arrays_ns=values_of(layers.real * arrays_ns(layers)),
        other_ns=np.maximum.reduce(times),
        arrays=values_of(mapping.arrays),
        vectors=values_of(mapping.vectors),
        spare=values_of(layers.chip_macros - layers.needed_macros)[:, 0],
    )
    if layers.hardware.system.execution == "pipelined":
        # What the longest layer leaves makes the others faster, and so an inference.
        copies = least_sum(work, least_longest(work, values_of(_shared_ns(parts))))
    else:
        copies = least_sum(work)
    like = layers.xp.asarray(np.where(values_of(layers.resident), copies, 1.0))
    return replace(layers, copies=like)


def network_times(parts: Parts, node_ns: Array) -> NetworkTimes:
    """Return the times of networks whose nodes take ``node_ns`` (n, nodes) by themselves.

    A network that does not fit runs layer by layer: its macros are needed one after another, each
    layer for the whole batch that its weights are loaded for.
    """
    total, layers = node_sum(node_ns), parts[0][1]
    xp, fits = layers.xp, layers.resident[:, 0]
    whole_batch = xp.where(fits, total, total * float(layers.batch))
    if layers.hardware.system.execution == "layer_by_layer":
        return NetworkTimes(whole_batch, total)
    interval = xp.maximum(xp.max(stage_ns(parts, node_ns), axis=1), _shared_ns(parts))
    latency = xp.maximum(through_ns(parts, node_ns), interval)
    return NetworkTimes(xp.where(fits, latency, whole_batch), xp.where(fits, interval, total))


def stage_ns(parts: Parts, node_ns: Array) -> Array:
    """Return how long every node is at work on an inference (n, nodes).

    Nodes take ``node_ns`` (n, nodes), but for the second part of a layer: where it shares arrays
    with the first, that is the time beyond the first part's, and it is at work for both.
    """
    before = namespace_of(node_ns).concat([0.0 * node_ns[:, :1], node_ns[:, :-1]], axis=1)
    stages: Array = node_ns + joined(parts, _is_second) * before
    return stages


def through_ns(parts: Parts, node_ns: Array) -> Array:
    """Return when the last node is done with an inference (n,), nodes taking ``node_ns``.

    The second part of a layer starts with the first, which is the node before it.
    """
    share, stages = joined(parts, first_share), stage_ns(parts, node_ns)
    start = end = 0.0 * node_ns[:, 0]
    for node in range(node_ns.shape[1]):
        start = start + share[:, node] * (end - start)
        end = namespace_of(end).maximum(start + stages[:, node], end)
    return end


def _is_second(layers: Layers) -> Array:
    return 1.0 * layers.second


def _shared_ns(parts: Parts) -> Array:
    """Return the time (n,) of the busiest unit that all nodes share, over a whole inference.

    Nodes are added up in their order, not part by part: the same in a batch and alone.
    """
    busy = [node_sum(joined(parts, partial(_real_ns, unit_ns))) for unit_ns in SHARED]
    xp = parts[0][1].xp
    longest: Array = xp.max(xp.stack(busy), axis=0)
    return longest


def _real_ns(unit_ns: Callable[[Layers], Array], layers: Layers) -> Array:
    return layers.real * unit_ns(layers)
