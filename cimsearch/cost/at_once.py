"""What nodes that run at once read through, and which do: their windows and their groups."""

from dataclasses import replace
from operator import add, attrgetter

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.columns import joined
from cimsearch.cost.groups import Floats, Groups, of_group, opened, within
from cimsearch.cost.layers import Columns, Layers, Parts
from cimsearch.cost.namespace import Array, node_sum, values_of
from cimsearch.cost.timing import macros_at_once
from cimsearch.cost.traffic import window_bits


def run_at_once(parts: Parts) -> Parts:
    """Return the nodes of networks with their windows, and with the groups that run at once."""
    if parts[0][1].hardware.system.digital.pooling == "in_stream":
        rows = _pooled_rows(parts)
        parts = [(c, replace(part, pooled_rows=rows[:, c])) for c, part in parts]
    if parts[0][1].hardware.system.execution == "fused":
        return _in_groups(parts)
    live = node_sum(joined(parts, window_bits))[:, None]
    groups = Groups.one(parts[0][1].resident, at_once=True, live_bits=live)
    return [(columns, replace(part, groups=groups)) for columns, part in parts]


def _pooled_rows(parts: Parts) -> Array:
    """Return how many rows of its output every node (n, nodes) makes at once.

    Those that one row of the windows of a pooling in the stream behind it reads. Where these span
    the width, one row after another is the order of their positions.
    """
    xp = parts[0][1].xp
    pools, passes, reads = (
        joined(parts, of) for of in (_pools_side_by_side, _passes_on, _reads_rows)
    )
    sides, steps = (
        joined(parts, attrgetter(f"table.{name}")) for name in ("kernel_height", "stride_height")
    )
    behind, found = 1.0 + 0.0 * sides[:, 0], []
    for node in range(sides.shape[1] - 1, -1, -1):
        found.append(xp.where(reads[:, node], behind, 1.0))
        pooled = (behind - 1) * steps[:, node] + sides[:, node]
        behind = xp.where(passes[:, node], behind, xp.where(pools[:, node], pooled, 1.0))
    rows: Array = xp.stack(found[::-1], axis=1)
    return rows


def _pools_side_by_side(layers: Layers) -> Array:
    return layers.pooled_in_stream & (layers.table.out_width > 1)


def _passes_on(layers: Layers) -> Array:
    """Return which nodes are one pass with the node before them, and change no rows."""
    return layers.is_op("batchnorm", "relu", "hard_sigmoid", "add", "concat") | layers.with_first


def _reads_rows(layers: Layers) -> Array:
    return layers.weighted | layers.pooled_from_buffer


def _in_groups(parts: Parts) -> Parts:
    """Return nodes with the groups that their layers' arrays form, and what their windows hold.

    What crosses a border between groups is stored whole, as is what a group reads whose only layer
    does not fit.
    """
    xp = parts[0][1].xp
    arrays, second, reach = (
        values_of(joined(parts, of))
        for of in map(attrgetter, ("mapping.arrays", "with_first", "table.reach"))
    )
    opens, fits = opened(arrays, second, _capacity(parts[0][1]))
    number, made = np.cumsum(opens, axis=1), np.arange(opens.shape[1]) - reach.astype(np.intp)
    networks = np.arange(len(opens))[:, None]
    streamed = xp.asarray(fits & (number[networks, made] == number))
    opens, fits = xp.asarray(opens), xp.asarray(fits)
    windows = streamed * joined(parts, window_bits)
    live = of_group(within(windows, opens, add), opens)
    beside = xp.maximum(live, live[networks, made]) * ~streamed
    groups = Groups(opens, fits, streamed, live, beside)
    return [(c, replace(part, groups=_of_columns(groups, c))) for c, part in parts]


def _capacity(layers: Layers) -> Floats:
    """Return the macros (n,) that a group may fill: no bound for networks that fit whole."""
    macros, resident = macros_at_once(layers), values_of(layers.resident)[:, 0]
    capacity: NDArray[np.float64] = np.where(resident, np.inf, macros or 0)
    return capacity


def _of_columns(groups: Groups, columns: Columns) -> Groups:
    return Groups(*(getattr(groups, name)[:, columns] for name in Groups.__dataclass_fields__))
