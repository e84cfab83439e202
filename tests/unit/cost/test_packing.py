"""Whole-kernel and dense packing on the classical networks, to the last column.

Bitlines are ``ceil(channels / floor(wordlines / kernel area)) x outputs`` with cells that hold a
whole weight, biases apart; the counts of weights are those of the networks themselves.
"""

from itertools import pairwise

import pytest

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.node_numerics import numerics_of
from cimsearch.cost import estimate_table
from cimsearch.cost.layer_integers import tile_rows
from cimsearch.cost.mapping import Mapping
from cimsearch.layer_table import layer_table
from cimsearch.spec.hardware import Hardware, Packing

from .tiny import conv, hardware


def on(packing: Packing) -> Hardware:
    """Return arrays of 256 wordlines and bitlines, 4 bits a cell and input."""
    return hardware(
        array={"rows": 256, "cols": 256, "active_rows": 256, "cell_bits": 4},
        weights={"encoding": "offset"},
        input={"dac_bits": 4},
        packing=packing,
        configurable={
            "weight_bits": {"values": [4], "follows": "nothing"},
            "activation_bits": {"values": [4], "follows": "nothing"},
        },
    )


def layer(channels: int, outputs: int, kernel: int = 3) -> Node:
    return conv(
        f"{channels}-{outputs}-{kernel}",
        in_shape=(channels, 4, 4),
        out_shape=(outputs, 4, 4),
        kernel=(kernel, kernel),
        w_bits=4,
        x_bits=4,
    )


def chain(*widths: int) -> list[Node]:
    return [layer(a, b) for a, b in pairwise((3, *widths))]


def residual(widths: tuple[int, ...], blocks: int, *, shortcuts: bool) -> list[Node]:
    nodes = [layer(3, widths[0])]
    for before, width in pairwise((widths[0], *widths)):
        nodes += [layer(before, width), *[layer(width, width)] * (2 * blocks - 1)]
        if shortcuts and before != width:
            nodes.append(layer(before, width, 1))
    return nodes


VGG9 = chain(64, 128, 256, 256, 512, 512, 512, 512)
VGG16 = chain(64, 64, 128, 128, *[256] * 3, *[512] * 6)
RESNET18 = residual((64, 128, 256, 512), 2, shortcuts=True)
PLAIN18 = residual((64, 128, 256, 512), 2, shortcuts=False)
RESNET8 = [*residual((16, 32, 64), 1, shortcuts=True), layer(64, 10, 1)]


def mapped(nodes: list[Node], packing: Packing) -> Mapping:
    network = Blueprint(nodes[0].in_shape, 10, tuple(nodes))
    return estimate_table(layer_table([network]), on(packing)).mapping


@pytest.mark.parametrize(
    ("nodes", "weights", "bitlines", "usage", "macros"),
    [
        (VGG9, 9_217_728, 38_592, 0.933, 150.75),
        (VGG16, 14_710_464, 61_440, 0.935, 240.0),
        (RESNET18, 11_159_232, 47_296, 0.922, 184.75),
        (PLAIN18, 10_987_200, 46_400, 0.925, 181.25),
        (RESNET8, 77_360, 570, 0.530, 2.23),
    ],
    ids=["VGG9", "VGG16", "ResNet-18", "ResNet-18 without 1 x 1", "ResNet-8"],
)
def test_whole_kernels(
    nodes: list[Node], weights: int, bitlines: int, usage: float, macros: float
) -> None:
    mapping = mapped(nodes, "whole_kernel")
    assert sum(node.weights for node in nodes) == weights
    assert int(mapping.bitlines.sum()) == bitlines
    assert weights / (bitlines * 256) == pytest.approx(usage, abs=5e-4)
    assert bitlines / 256 == pytest.approx(macros, abs=5e-3)
    per_layer = [
        node.weights / (256 * b) for node, b in zip(nodes, mapping.bitlines[0], strict=True)
    ]
    assert list(mapping.bitline_usage[0]) == pytest.approx(per_layer)


def test_dense_packing() -> None:
    bitlines = int(mapped(VGG9, "dense").bitlines.sum())
    assert bitlines == 36_288
    assert 9_217_728 / (bitlines * 256) == pytest.approx(0.992, abs=5e-4)


def test_dense_never_takes_more_arrays() -> None:
    for nodes in (VGG9, VGG16, RESNET18, RESNET8):
        dense, whole = mapped(nodes, "dense"), mapped(nodes, "whole_kernel")
        assert (dense.arrays <= whole.arrays).all()
        assert (dense.array_calls <= whole.array_calls).all()


@pytest.mark.parametrize(
    ("rows", "area", "packing", "used"),
    [(256, 9, "dense", 256), (256, 9, "whole_kernel", 252), (8, 9, "whole_kernel", 8)],
)
def test_rows_of_a_tile(rows: int, area: int, packing: Packing, used: int) -> None:
    assert tile_rows(rows, area, packing) == used


def test_what_is_priced_is_what_is_computed() -> None:
    """The row groups of the engine are those of the mapping, in either packing."""
    for packing in ("dense", "whole_kernel"):
        node, hw = layer(64, 64), on(packing)
        mapping = mapped([node], packing)
        groups = Geometry.of(node, numerics_of(node, hw.macro)).row_groups
        assert len(groups) == mapping.row_groups[0, 0]
        assert groups[-1][1] == 64 * 9
        if packing == "whole_kernel":
            assert all(start % 9 == 0 and stop % 9 == 0 for start, stop in groups)
