"""The groups that the nodes of one network run in, told by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cimsearch.cost.model import CostArrays
from cimsearch.cost.namespace import node_sum, values_of, whole


@dataclass(frozen=True)
class GroupCost:
    """A group of nodes of a network whose layers are fused.

    Attributes:
        layers: Names of its nodes.
        macros: Macros that its layers need together.
        fits: Whether they are there: if not, its one layer with weights is loaded in rounds, and
            its nodes run one after another.
        loading_ns: Of its weights, once a batch; 0 where the whole network stays in the macros.
        latency_ns: Of one inference in the loaded group, alone.
        interval_ns: From one inference to the next in it.
        batch_ns: Of loading and a whole batch.
    """

    layers: tuple[str, ...]
    macros: int
    fits: bool
    loading_ns: float
    latency_ns: float
    interval_ns: float
    batch_ns: float


def group_costs(costs: CostArrays, names: Sequence[str]) -> tuple[GroupCost, ...]:
    """Return the groups of the one network of ``costs``, whose nodes are called ``names``.

    There are none where layers are not fused.
    """
    times = costs.groups
    if times is None:
        return ()
    starts = [0, *np.flatnonzero(values_of(times.opens)[0]).tolist(), len(names)]
    loading, latency, interval, batch = (
        values_of(each)[0]
        for each in (times.loading_ns, times.latency_ns, times.interval_ns, times.batch_ns)
    )
    return tuple(
        GroupCost(
            layers=tuple(names[start:stop]),
            macros=int(whole(node_sum(costs.mapping.arrays[:, start:stop]))[0]),
            fits=bool(values_of(times.fits)[0, start]),
            loading_ns=float(loading[stop - 1]),
            latency_ns=float(latency[stop - 1]),
            interval_ns=float(interval[stop - 1]),
            batch_ns=float(batch[stop - 1]),
        )
        for start, stop in pairwise(starts)
    )
