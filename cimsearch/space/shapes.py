"""A network's layers as a function of its widths: many of other widths priced at once."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import Blueprint
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.space.widths import check_whole, multiples_of, widths_of, with_widths

Ints = NDArray[np.int64]

_LINEAR = ("in_channels", "out_channels", "groups")
"""The columns of a layer table that widths decide."""


@dataclass(frozen=True)
class Shapes:
    """The layer table of a network whose prune groups may have other widths.

    Channels are linear in the widths, also behind a flattening and of depthwise convolutions.

    Attributes:
        blueprint: The network.
        groups: Its prune groups, in order of execution.
        widths: Their channels in ``blueprint``, (groups,).
        multiples: What the channels of each have to be a multiple of, (groups,).
        slopes: By column of the table, what one channel more of each group adds, (groups, nodes).
        fixed: By column, what does not depend on widths, (nodes,).
    """

    blueprint: Blueprint
    groups: tuple[str, ...]
    widths: Ints
    multiples: Ints
    slopes: Mapping[str, Ints]
    fixed: Mapping[str, Ints]

    @cached_property
    def own(self) -> LayerTable:
        """The layer table of ``blueprint``, (1, nodes)."""
        return layer_table([self.blueprint])

    def named(self, widths: Ints) -> dict[str, int]:
        """Return ``widths`` (groups,) by prune group."""
        return dict(zip(self.groups, widths.tolist(), strict=True))

    def network(self, widths: Ints) -> Blueprint:
        """Return the network with ``widths`` (groups,)."""
        return with_widths(self.blueprint, self.named(widths))

    def table(self, widths: Ints) -> LayerTable:
        """Return the layer table of the networks with ``widths`` (n, groups)."""
        shape = (len(widths), self.own.shape[1])

        def repeated(column: Any) -> Ints:
            return np.broadcast_to(column, shape)

        changed = {name: self.fixed[name] + widths @ self.slopes[name] for name in _LINEAR}
        return replace(self.own.map(repeated), **changed)


def shapes_of(blueprint: Blueprint) -> Shapes:
    """Return the layers of a network as a function of its widths.

    Raises:
        SpaceError: A layer is in parts, whose channels are not linear in the widths.
    """
    check_whole(blueprint)
    multiples = multiples_of(blueprint)
    grown = [
        with_widths(blueprint, multiples | {group: 2 * multiple})
        for group, multiple in multiples.items()
    ]
    tables = layer_table([with_widths(blueprint, multiples), *grown])
    least = np.array([*multiples.values()], dtype=np.int64)
    slopes = {
        name: (column[1:] - column[0]) // least[:, None]
        for name, column in ((each.name, getattr(tables, each.name)) for each in fields(tables))
        if name in _LINEAR
    }
    return Shapes(
        blueprint=blueprint,
        groups=tuple(multiples),
        widths=np.array([*widths_of(blueprint).values()], dtype=np.int64),
        multiples=least,
        slopes=slopes,
        fixed={name: getattr(tables, name)[0] - least @ slopes[name] for name in _LINEAR},
    )
