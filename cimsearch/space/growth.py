"""What a granule more of each group takes of a budget: of many networks at once.

A network is filled by asking this again and again of networks that differ in a few granules.
Where what a network takes is the sum over its layers, each layer is priced once for each width of
its inputs and outputs, and networks are looked up.
"""

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Protocol

import numpy as np

from cimsearch.layer_table import LayerTable
from cimsearch.space.shapes import Ints, Shapes

_MARGIN = 16
"""Granules on either side of the widths that were asked for which prices are kept."""

_MOST_KEPT = 128
"""Granules of inputs or outputs of a layer for which prices are kept at once."""

_MOST_AT_ONCE = 4096
"""Networks that are priced at once."""

_UNKNOWN = -1


class Budget(Protocol):
    """What networks may take, such as ``cost.budget.ArrayBudget``."""

    @property
    def limit(self) -> int:
        """How many units."""

    @property
    def cells(self) -> int:
        """Cells that the budget has."""

    @property
    def by_layer(self) -> bool:
        """Whether a network takes what its layers take, each by itself."""

    def measure(self, table: LayerTable) -> tuple[Ints, Ints]:
        """Return the units that networks (n, nodes) take and their cells in use, (n,) each."""

    def measure_layers(self, table: LayerTable) -> tuple[Ints, Ints]:
        """Return the same of each node by itself, (n, nodes) each."""


class Growth(Protocol):
    """What networks of some shapes take, and what they would take with a granule more."""

    def totals(self, widths: Ints) -> tuple[Ints, Ints]:
        """Return units and cells (n,) of the networks with ``widths`` (n, groups).

        Widths of one call differ by whole granules.
        """

    def added(self, widths: Ints) -> tuple[Ints, Ints]:
        """Return the units and cells (n, groups) that a granule more of each group adds."""


def growth_of(shapes: Shapes, budget: Budget, steps: Ints) -> Growth:
    """Return what networks take of a budget; ``steps`` (groups,) are the granules of groups."""
    kind = ByLayer if budget.by_layer else ByNetwork
    return kind(shapes, budget, steps)


class ByNetwork:
    """Every network is priced as a whole."""

    def __init__(self, shapes: Shapes, budget: Budget, steps: Ints) -> None:
        self._shapes = shapes
        self._budget = budget
        self._more = np.diag(steps)

    def totals(self, widths: Ints) -> tuple[Ints, Ints]:
        """Return units and cells (n,) of the networks with ``widths`` (n, groups)."""
        starts = range(0, len(widths), _MOST_AT_ONCE)
        parts = (self._shapes.table(widths[at : at + _MOST_AT_ONCE]) for at in starts)
        units, cells = zip(*map(self._budget.measure, parts), strict=True)
        return np.concatenate(units), np.concatenate(cells)

    def added(self, widths: Ints) -> tuple[Ints, Ints]:
        """Return the units and cells (n, groups) that a granule more of each group adds."""
        wider = (widths[:, None] + self._more).reshape(-1, widths.shape[1])
        both = zip(self.totals(wider), self.totals(widths), strict=True)
        units, cells = (more.reshape(widths.shape) - now[:, None] for more, now in both)
        return units, cells


class ByLayer:
    """Layers are priced once for each width of their inputs and outputs.

    Prices are kept by place: by how many granules inputs and outputs are above the least that are
    kept. ``_known`` has units and cells (2, places of inputs, places of outputs, layers).
    """

    def __init__(self, shapes: Shapes, budget: Budget, steps: Ints) -> None:
        self._budget = budget
        self._steps = steps
        nodes = np.flatnonzero(shapes.own.cim[0] == 1)
        self._own = shapes.own.map(itemgetter((slice(None), nodes)))
        self._slopes = {name: column[:, nodes] for name, column in shapes.slopes.items()}
        self._fixed = {name: column[nodes] for name, column in shapes.fixed.items()}
        inputs, outputs = (
            (self._slopes[name] > 0).astype(np.int64) for name in ("in_channels", "out_channels")
        )
        # Pairs of a group and a layer that reads it or puts it out, group by group.
        self._groups, self._layers = np.nonzero(inputs + outputs)
        self._follows = (inputs, outputs)
        self._least = np.zeros_like(steps)
        self._known = self._forgotten(0)

    def totals(self, widths: Ints) -> tuple[Ints, Ints]:
        """Return units and cells (n,) of the networks with ``widths`` (n, groups)."""
        if not self._keeps(widths):
            return _one_by_one(self.totals, widths)
        units, cells = self._priced(self._places(widths), np.arange(self._own.shape[1]))
        return units.sum(axis=1), cells.sum(axis=1)

    def added(self, widths: Ints) -> tuple[Ints, Ints]:
        """Return the units and cells (n, groups) that a granule more of each group adds."""
        found = np.zeros((2, *widths.shape), dtype=np.int64)
        if not len(self._layers):
            return found[0], found[1]
        if not self._keeps(widths):
            return _one_by_one(self.added, widths)
        now = [places[:, self._layers] for places in self._places(widths)]
        pairs = self._groups, self._layers
        wider = [at + follows[pairs] for at, follows in zip(now, self._follows, strict=True)]
        added = self._priced(wider, self._layers) - self._priced(now, self._layers)
        groups, starts = np.unique(self._groups, return_index=True)
        found[:, :, groups] = np.add.reduceat(added, starts, axis=2)
        return found[0], found[1]

    def _keeps(self, widths: Ints) -> bool:
        """Make room for the prices of ``widths`` and a granule more; return whether there is."""
        least, most = widths.min(axis=0), widths.max(axis=0)
        places = (most - self._least) // self._steps + 2
        if (least >= self._least).all() and (places <= self._known.shape[1]).all():
            return True
        room = int(((most - least) // self._steps).max()) + 2 + 2 * _MARGIN
        if room > _MOST_KEPT and len(widths) > 1:
            return False
        self._least = least - _MARGIN * self._steps
        self._known = self._forgotten(room)
        return True

    def _forgotten(self, room: int) -> Ints:
        return np.full((2, room, room, self._own.shape[1]), _UNKNOWN)

    def _places(self, widths: Ints) -> list[Ints]:
        """Return the places of inputs and of outputs (n, layers)."""
        granules = (widths - self._least) // self._steps
        return [granules @ follows for follows in self._follows]

    def _priced(self, places: Sequence[Ints], layers: Ints) -> Ints:
        """Return units and cells (2, n, k) of ``layers`` (k,) at two places (n, k)."""
        inputs, outputs = places
        found: Ints = self._known[:, inputs, outputs, layers]
        unknown = found[0] == _UNKNOWN
        if unknown.any():
            every = np.broadcast_to(layers, inputs.shape)
            self._learn(inputs[unknown], outputs[unknown], every[unknown])
            found = self._known[:, inputs, outputs, layers]
        return found

    def _learn(self, inputs: Ints, outputs: Ints, layers: Ints) -> None:
        """Price ``layers`` (k,) at places, in a table of few rows: one has each layer once.

        The other layers of a row are the network's own.
        """
        shape = (self._own.shape[1], *self._known.shape[1:3])
        asked = np.unique(np.ravel_multi_index((layers, inputs, outputs), shape))
        layers, inputs, outputs = np.unravel_index(asked, shape)
        rows = np.arange(len(layers)) - np.searchsorted(layers, layers)
        table = self._own.map(partial(np.repeat, repeats=rows.max() + 1, axis=0))
        places = {"in_channels": inputs, "out_channels": outputs, "groups": outputs}
        for name, at in places.items():
            slopes = self._slopes[name][:, layers]
            least = self._fixed[name][layers] + self._least @ slopes
            getattr(table, name)[rows, layers] = least + at * (self._steps @ slopes)
        used = self._budget.measure_layers(table)
        for known, values in zip(self._known, used, strict=True):
            known[inputs, outputs, layers] = values[rows, layers]


def _one_by_one(found: Callable[[Ints], tuple[Ints, Ints]], widths: Ints) -> tuple[Ints, Ints]:
    """Return what is ``found`` of each network alone, of networks too different for one room."""
    units, cells = zip(*(found(each[None]) for each in widths), strict=True)
    return np.concatenate(units), np.concatenate(cells)
