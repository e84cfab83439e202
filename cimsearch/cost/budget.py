"""Arrays as a budget: the bitlines, macros or cells that a network may take, and what it uses."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import Blueprint
from cimsearch.cost.demand import Label
from cimsearch.cost.layers import Columns, Layers
from cimsearch.cost.namespace import node_sum, summed, whole
from cimsearch.cost.parts import parts_of
from cimsearch.errors import UsageError
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics

Unit = Literal["bitlines", "macros", "cells"]
Ints = NDArray[np.int64]

_LABEL = "network {}, node {}".format


@dataclass(frozen=True)
class ArrayUse:
    """What networks take of arrays, one copy of each layer: whole numbers (n,).

    Attributes:
        bitlines: Columns that hold weights; one in another row tile counts again.
        macros: Macros that hold all weights once.
        cells: Cells that hold weights.
    """

    bitlines: Ints
    macros: Ints
    cells: Ints


def array_use(table: LayerTable, hardware: Hardware, *, label: Label = _LABEL) -> ArrayUse:
    """Return what the networks of ``table`` (n, nodes) take of arrays.

    Args:
        table: The networks.
        hardware: What they run on.
        label: Names the node at (network, node) in an error.

    Raises:
        HardwareError: A node asks what the macro cannot do.
    """
    parts = [part for _, part in _parts(table, hardware, label)]
    bitlines = summed(node_sum(part.mapping.bitlines) for part in parts)
    cells = summed(node_sum(part.mapping.used_cells) for part in parts)
    return ArrayUse(whole(bitlines), whole(parts[0].needed_macros[:, 0]), whole(cells))


def _parts(table: LayerTable, hardware: Hardware, label: Label) -> list[tuple[Columns, Layers]]:
    """Return the nodes that any network has on arrays, and the others."""
    floats = table.map(partial(np.asarray, dtype=np.float64))
    return parts_of(floats, hardware, Statistics(), label)


def bitlines_of(blueprint: Blueprint, hardware: Hardware) -> int:
    """Return the columns of arrays that hold weights of a network.

    Raises:
        HardwareError: A node asks what the macro cannot do; the node is named.
    """
    return int(_use(blueprint, hardware).bitlines[0])


@dataclass(frozen=True)
class ArrayBudget:
    """What a network may take of the arrays of a chip.

    Args:
        limit: How many units.
        hardware: The chip; what it has itself is not looked at.
        unit: What is counted.

    Raises:
        UsageError: The limit is not positive.
    """

    limit: int
    hardware: Hardware
    unit: Unit = "bitlines"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise UsageError(f"budget: found {self}; allowed is 1 or more")

    def __str__(self) -> str:
        return f"{self.limit} {self.unit}"

    @property
    def cells(self) -> int:
        """Cells that the budget has."""
        array = self.hardware.macro.array
        of_unit = {"bitlines": array.rows, "macros": array.rows * array.cols, "cells": 1}
        return self.limit * of_unit[self.unit]

    def measure(self, table: LayerTable) -> tuple[Ints, Ints]:
        """Return the units that the networks of ``table`` take and their cells in use, (n,) each.

        Raises:
            HardwareError: A node asks what the macro cannot do.
        """
        use = array_use(table, self.hardware)
        return getattr(use, self.unit), use.cells

    @property
    def by_layer(self) -> bool:
        """Whether a network takes what its layers take: not where they share macros."""
        return self.unit != "macros" or self.hardware.system.layers_per_array == "one"

    def measure_layers(self, table: LayerTable) -> tuple[Ints, Ints]:
        """Return units and cells (n, nodes) that each node takes by itself.

        Nodes may be of different networks. None is a part of a layer.

        Raises:
            HardwareError: A node asks what the macro cannot do.
        """
        units, cells = np.zeros((2, *table.shape), dtype=np.int64)
        for columns, part in _parts(table, self.hardware, _LABEL):
            mapping = part.mapping
            taken = {
                "bitlines": mapping.bitlines,
                "macros": mapping.arrays,
                "cells": mapping.used_cells,
            }
            units[:, columns] = whole(taken[self.unit])
            cells[:, columns] = whole(mapping.used_cells)
        return units, cells

    def units(self, blueprint: Blueprint) -> int:
        """Return the units that a network takes.

        Raises:
            HardwareError: A node asks what the macro cannot do; the node is named.
        """
        return int(getattr(_use(blueprint, self.hardware), self.unit)[0])

    def usage_frac(self, blueprint: Blueprint) -> float:
        """Return a network's cells in use as a share of those of the whole budget.

        Where a cell holds a whole weight these are its weights on arrays, over budget x wordlines.

        Raises:
            HardwareError: A node asks what the macro cannot do; the node is named.
        """
        return int(_use(blueprint, self.hardware).cells[0]) / self.cells


def _use(blueprint: Blueprint, hardware: Hardware) -> ArrayUse:
    names = [node.name for node in blueprint.nodes]
    return array_use(layer_table([blueprint]), hardware, label=lambda _, node: names[node])
