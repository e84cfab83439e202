"""Nodes of a table taken apart, and what is computed of the parts put together again."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from cimsearch.cost.demand import Demand
from cimsearch.cost.groups import Groups
from cimsearch.cost.layers import Layers, Parts
from cimsearch.cost.mapping import Mapping
from cimsearch.cost.namespace import Array


def joined(parts: Parts, quantity: Callable[[Layers], Array]) -> Array:
    """Return a quantity of the parts of a table as one array (n, nodes)."""
    xp = parts[0][1].xp
    wide = [xp.broadcast_to(quantity(layers), layers.table.shape) for _, layers in parts]
    order = np.argsort(np.concatenate([columns for columns, _ in parts]))
    nodes: Array = xp.concat(wide, axis=1)[:, order]
    return nodes


def at_node(layers: Layers, node: int) -> Layers:
    """Return the one node in column ``node``, arrays (n, 1)."""

    def pick(values: Any) -> Any:
        wide = getattr(values, "ndim", 0) == 2 and values.shape[1] > 1
        return values[:, node : node + 1] if wide else values

    def picked(part: Any) -> dict[str, Any]:
        return {field.name: pick(getattr(part, field.name)) for field in fields(part)}

    of_node = picked(layers) | {
        "table": layers.table.map(pick),
        "demand": Demand(**picked(layers.demand)),
        "mapping": Mapping(**picked(layers.mapping)),
        "groups": Groups(**picked(layers.groups)),
    }
    return Layers(**of_node)
