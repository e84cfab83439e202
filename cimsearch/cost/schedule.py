"""When layers run: copies in spare macros, and how nodes' times make those of a network.

Layer by layer, the times of nodes add up. Pipelined, every node works at another inference: the
next inference follows after the longest node, or after the unit that all share is done with all of
them. Of one inference, a node starts when the node before it has made what its first window needs,
and is done no sooner than that one: the pipeline of ISAAC (A. Shafiee et al., ISCA 2016) with the
waiting told by the height of each window. Branches are counted as if in line, but for the parts of
a layer: both start on the same input, and what joins them follows when both have begun.

Fused, groups of layers whose arrays fit the macros together run one after another, each pipelined
and for the whole batch that its weights are loaded for.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add, attrgetter

import numpy as np

from cimsearch.cost.columns import joined
from cimsearch.cost.copies import Workload, least_longest, least_sum
from cimsearch.cost.groups import closes, within
from cimsearch.cost.layers import Layers, Parts
from cimsearch.cost.namespace import Array, Mask, namespace_of, node_sum, values_of
from cimsearch.cost.timing import (
    SHARED,
    after_loading,
    arrays_ns,
    fetching_ns,
    first_share,
    writing_ns,
)


@dataclass(frozen=True)
class GroupTimes:
    """Times of groups of nodes, arrays (n, nodes), ns: up to each node of its group.

    Those of a whole group are at its last node.

    Attributes:
        opens: Which nodes are the first of a group, but for that of the first group.
        fits: Which nodes are of a group whose layers are in the macros together.
        loading_ns: Of all weights of the group, once a batch; 0 for networks that fit.
        latency_ns: Of one inference in the loaded group, alone.
        interval_ns: From one inference to the next in it.
        batch_ns: Of loading and a whole batch.
    """

    opens: Mask
    fits: Mask
    loading_ns: Array
    latency_ns: Array
    interval_ns: Array
    batch_ns: Array


@dataclass(frozen=True)
class NetworkTimes:
    """Times of networks, arrays (n,), ns.

    Attributes:
        latency_ns: From an inference's input to its output.
        interval_ns: From one inference to the next in steady state.
        groups: Those of the groups of nodes that run at once; None where nodes are not fused.
    """

    latency_ns: Array
    interval_ns: Array
    groups: GroupTimes | None = None


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
    if layers.hardware.system.execution != "layer_by_layer":
        # What the longest layer leaves makes the others faster, and so an inference.
        copies = least_sum(work, least_longest(work, values_of(shared_ns(parts)[:, -1])))
    else:
        copies = least_sum(work)
    like = layers.xp.asarray(np.where(values_of(layers.resident), copies, 1.0))
    return replace(layers, copies=like)


def network_times(parts: Parts, node_ns: Array, running_ns: Array) -> NetworkTimes:
    """Return the times of networks.

    A network that does not fit runs layer by layer, or group by group where layers are fused: its
    macros are needed one after another, for the whole batch that their weights are loaded for.

    Args:
        parts: The nodes.
        node_ns: Time that a node takes by itself (n, nodes).
        running_ns: The same but for loading its weights.
    """
    total, layers = node_sum(node_ns), parts[0][1]
    if layers.hardware.system.execution == "fused":
        return _fused_times(parts, running_ns)
    xp, fits = layers.xp, layers.resident[:, 0]
    whole_batch = xp.where(fits, total, total * float(layers.batch))
    if layers.hardware.system.execution == "layer_by_layer":
        return NetworkTimes(whole_batch, total)
    interval = xp.maximum(xp.max(stage_ns(parts, node_ns), axis=1), shared_ns(parts)[:, -1])
    latency = xp.maximum(through_ns(parts, node_ns)[:, -1], interval)
    return NetworkTimes(xp.where(fits, latency, whole_batch), xp.where(fits, interval, total))


def _fused_times(parts: Parts, running_ns: Array) -> NetworkTimes:
    """Return the times of networks of which one group after another is loaded and runs."""
    groups, layers = group_times(parts, running_ns), parts[0][1]
    whole_batch = node_sum(closes(groups.opens) * groups.batch_ns)
    fits, where = layers.resident[:, 0], layers.xp.where
    return NetworkTimes(
        where(fits, groups.latency_ns[:, -1], whole_batch),
        where(fits, groups.interval_ns[:, -1], whole_batch / float(layers.batch)),
        groups,
    )


def group_times(parts: Parts, running_ns: Array) -> GroupTimes:
    """Return the times of the groups of nodes, which take ``running_ns`` (n, nodes) themselves.

    All arrays of a group are written at once, from one memory. A layer that does not fit alone is
    loaded, and runs with the nodes behind it, as it does layer by layer.
    """
    layers, xp = parts[0][1], parts[0][1].xp
    opens, fits = (joined(parts, attrgetter(f"groups.{name}")) for name in ("opens", "fits"))
    so_far = partial(within, opens=opens)
    interval = so_far(stage_ns(parts, running_ns), together=xp.maximum)
    interval = xp.maximum(interval, shared_ns(parts))
    latency = xp.maximum(through_ns(parts, running_ns), interval)
    in_turn = so_far(running_ns, together=add)
    latency, interval = (xp.where(fits, each, in_turn) for each in (latency, interval))

    fetching, writing = (joined(parts, partial(_real_ns, of)) for of in (fetching_ns, writing_ns))
    at_once = xp.maximum(so_far(fetching, together=add), so_far(writing, together=xp.maximum))
    loading = so_far(xp.maximum(fetching, writing), together=add)
    loading = ~layers.resident * xp.where(fits, at_once, loading)
    batch = latency + interval * float(layers.batch - 1)
    batch = after_loading(batch, loading, layers.hardware)
    return GroupTimes(opens, fits, loading, latency, interval, batch)


def stage_ns(parts: Parts, node_ns: Array) -> Array:
    """Return how long every node is at work on an inference (n, nodes).

    Nodes take ``node_ns`` (n, nodes), but for the second part of a layer: where it shares arrays
    with the first, that is the time beyond the first part's, and it is at work for both.
    """
    before = namespace_of(node_ns).concat([0.0 * node_ns[:, :1], node_ns[:, :-1]], axis=1)
    stages: Array = node_ns + joined(parts, _is_second) * before
    return stages


def through_ns(parts: Parts, node_ns: Array) -> Array:
    """Return when every node is done with an inference (n, nodes), nodes taking ``node_ns``.

    Times are from the start of a node's group. The second part of a layer starts with the first,
    which is the node before it.
    """
    share, stages = joined(parts, first_share), stage_ns(parts, node_ns)
    opens, xp = joined(parts, attrgetter("groups.opens")), namespace_of(node_ns)
    borders, ends = values_of(opens), []
    start = end = 0.0 * node_ns[:, 0]
    for node in range(node_ns.shape[1]):
        if borders[:, node].any():
            start, end = (xp.where(opens[:, node], 0.0, time) for time in (start, end))
        start = start + share[:, node] * (end - start)
        end = xp.maximum(start + stages[:, node], end)
        ends.append(end)
    through: Array = xp.stack(ends, axis=1)
    return through


def _is_second(layers: Layers) -> Array:
    return 1.0 * layers.second


def shared_ns(parts: Parts) -> Array:
    """Return the time of the busiest unit that all nodes share, up to each node of its group.

    Nodes (n, nodes) are added up in their order, not part by part: the same in a batch and alone.
    """
    opens = joined(parts, attrgetter("groups.opens"))
    units = [joined(parts, partial(_real_ns, unit_ns)) for unit_ns in SHARED]
    longest: Array = reduce(parts[0][1].xp.maximum, (within(unit, opens, add) for unit in units))
    return longest


def _real_ns(unit_ns: Callable[[Layers], Array], layers: Layers) -> Array:
    return layers.real * unit_ns(layers)
