"""Groups of nodes that run at once, one group after another, of many networks.

Fused layers (M. Alwani et al., MICRO 2016) pass their data on through windows of lines, and only
what is between two groups is stored whole. Here a border is where the macros are full: the arrays
of a group's layers are in the macros together, and are loaded together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.namespace import Array, Mask, namespace_of, values_of

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Groups:
    """Groups of nodes, arrays that broadcast to (n, nodes).

    Attributes:
        opens: Which nodes are the first of a group, but for that of the first group.
        fits: Which nodes are of a group whose layers are in the macros together.
        streamed: Which nodes read through a window what others make at the same time.
        live_bits: What the windows of a node's group hold at once.
        beside_bits: What windows hold beside a tensor that a node reads and that is stored whole.
    """

    opens: Mask
    fits: Mask
    streamed: Mask
    live_bits: Array
    beside_bits: Array

    @classmethod
    def one(cls, fits: Mask, *, at_once: bool, live_bits: Array) -> "Groups":
        """Return all nodes of networks as one group.

        Args:
            fits: Which networks (n, 1) have all layers in the macros together.
            at_once: Whether the nodes of those run at once, or one after another.
            live_bits: What the windows of all nodes hold, (n, 1).
        """
        never = fits & ~fits
        return cls(never, fits, fits if at_once else never, live_bits, 0.0 * live_bits)


def opened(arrays: Floats, second: Masks, capacity: Floats) -> tuple[Masks, Masks]:
    """Return which nodes open a group, and which are of one that fits, (n, nodes).

    In the order of nodes, a layer that does not fit beside those of the open group opens the next.
    Nodes without arrays stay with the layer before them, and the second part of a layer, whose
    arrays are counted with the first's, with that.

    Args:
        arrays: Arrays (n, nodes) of layers, 0 of other nodes.
        second: Which nodes (n, nodes) are the second part of the layer before them.
        capacity: Macros (n,) that a group may fill.
    """
    wanted = np.where(second, 0.0, arrays)
    wanted[:, :-1] += (second * arrays)[:, 1:]
    opens, fits = np.zeros(arrays.shape, dtype=bool), np.zeros(arrays.shape, dtype=bool)
    used, fitting = wanted[:, 0], wanted[:, 0] <= capacity
    fits[:, 0] = fitting
    for node in range(1, arrays.shape[1]):
        own = wanted[:, node]
        opens[:, node] = new = (own > 0) & (used + own > capacity)
        used = np.where(new, own, used + own)
        fits[:, node] = fitting = np.where(new, own <= capacity, fitting)
    return opens, fits


def within(values: Array, opens: Mask, together: Callable[[Array, Array], Array]) -> Array:
    """Return ``values`` (n, nodes) put ``together`` from the first node of a group to each node.

    Args:
        values: What is put together, in the order of nodes; none is negative.
        opens: Which nodes (n, nodes) are the first of a group.
        together: Their sum or their maximum.
    """
    xp, borders = namespace_of(values), values_of(opens)
    so_far, found = 0.0 * values[:, 0], []
    for node in range(values.shape[1]):
        if borders[:, node].any():
            so_far = xp.where(opens[:, node], 0.0, so_far)
        so_far = together(so_far, values[:, node])
        found.append(so_far)
    whole: Array = xp.stack(found, axis=1)
    return whole


def of_group(so_far: Array, opens: Mask) -> Array:
    """Return for every node (n, nodes) what ``so_far`` is at the last node of its group."""
    nodes = so_far.shape[1]
    last = np.full(so_far.shape, nodes - 1)
    borders = values_of(opens)
    for node in range(nodes - 2, -1, -1):
        last[:, node] = np.where(borders[:, node + 1], node, last[:, node + 1])
    whole: Array = so_far[np.arange(len(last))[:, None], last]
    return whole


def closes(opens: Mask) -> Mask:
    """Return which nodes (n, nodes) are the last of a group."""
    xp = namespace_of(opens)
    last: Mask = xp.concat([opens[:, 1:], xp.ones_like(opens[:, :1])], axis=1)
    return last
