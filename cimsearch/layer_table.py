"""Blueprints as arrays, a column for each property of nodes: many networks are priced at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import (
    ENCODINGS,
    OPS,
    RANGE_POLICIES,
    Blueprint,
    Node,
    behind_layers,
    second_parts,
)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LayerTable:
    """Blueprints as arrays (candidates, nodes), for pricing many at once.

    Shorter blueprints are padded with rows whose ``op`` is -1; every other column is 1 there for
    sizes and 0 for codes, so that equations stay finite and the padding can be masked out.

    ``beside_channels`` and ``beside_bits`` are of the second part of a layer whose groups of
    channels have different bits: the output channels and the weight bits of the first part, which
    reads the same input; 0 elsewhere. ``row_sparsity_ppm`` is in millionths. ``reach`` is how many
    nodes back the earliest of what a node reads is made; the network's input is there when the
    first node runs. ``behind`` is of an activation: how many nodes before it the layer is that it
    is right behind, 1 or with a batch norm between 2; else 0. ``limited`` is 1 for a ReLU with a
    limit.
    """

    op: Ints
    in_channels: Ints
    in_height: Ints
    in_width: Ints
    out_channels: Ints
    out_height: Ints
    out_width: Ints
    kernel_height: Ints
    kernel_width: Ints
    stride_height: Ints
    stride_width: Ints
    groups: Ints
    fan_in: Ints
    cim: Ints
    w_bits: Ints
    x_bits: Ints
    x_signed: Ints
    adc_bits: Ints
    encoding: Ints
    range_policy: Ints
    beside_channels: Ints
    beside_bits: Ints
    row_sparsity_ppm: Ints
    reach: Ints
    behind: Ints
    limited: Ints

    @property
    def shape(self) -> tuple[int, int]:
        """Candidates and nodes."""
        n, nodes = self.op.shape
        return n, nodes

    def map(self, function: Callable[[Any], Any]) -> "LayerTable":
        """Return the table with ``function`` applied to every column."""
        return LayerTable(*(function(getattr(self, column.name)) for column in fields(self)))


_PADDING = (-1, *[1] * 12, *[0] * 13)


def _row(node: Node, beside: Node | None, reach: int, behind: int) -> tuple[int, ...]:
    return (
        OPS.index(node.op),
        *node.in_shape,
        *node.out_shape,
        *node.kernel,
        *node.stride,
        node.groups,
        len(node.inputs),
        int(node.placement == "cim"),
        node.w_bits,
        node.x_bits,
        int(node.x_signed),
        node.adc_bits,
        ENCODINGS.index(node.encoding),
        RANGE_POLICIES.index(node.range_policy),
        beside.out_shape[0] if beside else 0,
        beside.w_bits if beside else 0,
        node.row_sparsity_ppm,
        reach,
        behind,
        int(node.limit is not None),
    )


def layer_table(blueprints: Sequence[Blueprint]) -> LayerTable:
    """Return ``blueprints`` as arrays (n, most nodes)."""
    longest = max((len(b.nodes) for b in blueprints), default=0)
    rows = np.empty((len(blueprints), longest, len(_PADDING)), dtype=np.int64)
    for table, blueprint in zip(rows, blueprints, strict=True):
        table[:] = _PADDING
        beside, reaches = second_parts(blueprint), _reaches(blueprint.nodes)
        behind = behind_layers(blueprint)
        for index, node in enumerate(blueprint.nodes):
            layers = len(behind.get(node.name, ()))
            table[index] = _row(node, beside.get(node.name), reaches[index], layers)
    return LayerTable(*np.moveaxis(rows, -1, 0))


def _reaches(nodes: Sequence[Node]) -> list[int]:
    """Return how many nodes back the earliest of what each of ``nodes`` reads is made."""
    made: dict[str, int] = {}
    found = []
    for index, node in enumerate(nodes):
        # What no node makes is an input of the network, there from its first reader on.
        found.append(index - min(made.setdefault(name, index) for name in node.inputs))
        made[node.name] = index
    return found
