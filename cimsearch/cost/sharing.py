"""Which arrays layers take: each its own, or the last columns of several layers in one.

A layer's full column tiles take whole arrays. What is left of its columns, once a row tile and
block of groups, goes on a shelf: a stack of arrays that are filled from left to right, one layer
beside the other. A part starts at a new converter or adder tree, so that none serves two layers,
and no two parts of a layer are in one array, so that a layer runs as fast as on its own. The
highest stack goes first, each on the first shelf that has room (first-fit decreasing height, E. G.
Coffman et al., SIAM J. Computing 1980): never more arrays than one layer an array.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.layer_integers import columns_of_output
from cimsearch.cost.mapping import Mapping
from cimsearch.cost.namespace import (
    Array,
    at_least,
    ceil_div,
    floor_div,
    namespace_of,
    node_sum,
    stepped,
    values_of,
)
from cimsearch.spec.hardware import Hardware, Macro

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shelves:
    """Where layers are; arrays (n, nodes) but for ``macros``, whole numbers.

    Arrays are counted with the whole ones of all layers first, then shelf after shelf.

    Attributes:
        whole: Arrays that a layer has to itself.
        parts: Arrays that hold the rest of its columns, one part each.
        shelf: Arrays of all shelves before the one that its parts are on.
        column: Column that its parts start at.
        macros: Arrays of the network (n,).
    """

    whole: Array
    parts: Array
    shelf: Array
    column: Array
    macros: Array


def shelves_of(mapping: Mapping, hardware: Hardware) -> Shelves:
    """Return the shelves of every network of ``mapping`` (n, nodes)."""
    xp, columns = namespace_of(mapping.rows), hardware.macro.array.cols
    step = _columns_of_unit(hardware.macro)
    stacks = ceil_div(mapping.groups, at_least(mapping.diagonal, 1)) * mapping.row_tiles
    per_output = at_least(mapping.columns_per_output, 1)
    full_tiles = at_least(mapping.column_tiles - 1, 0)
    left = mapping.outputs - full_tiles * floor_div(0.0 * per_output + columns, per_output)
    width = ceil_div(left * mapping.diagonal * per_output, step) * step
    part = width < columns
    whole = stacks * (full_tiles + ~part)
    parts, width = stacks * part, width * part

    shelf, column, shelved = _placed(values_of(parts), values_of(width), columns)
    macros = values_of(node_sum(whole)) + shelved
    return Shelves(
        whole=whole,
        parts=parts,
        shelf=xp.asarray(shelf),
        column=xp.asarray(column),
        macros=stepped(node_sum(mapping.arrays), macros),
    )


def _placed(heights: Floats, widths: Floats, columns: int) -> tuple[Floats, Floats, Floats]:
    """Return the shelf and column of every part (n, nodes), and the arrays of all shelves (n,).

    The highest first, each on the first shelf with room: a shelf is as high as what opened it.
    """
    networks = np.arange(len(heights))
    order = np.argsort(-heights, axis=1, kind="stable")
    tops, used = np.zeros_like(heights), np.zeros_like(heights)
    chosen, column = np.zeros(heights.shape, dtype=np.intp), np.zeros_like(heights)
    for step in range(heights.shape[1]):
        node = order[:, step]
        height, width = heights[networks, node], widths[networks, node]
        # Of shelves that are not open yet nothing is used, so that the first of them has room.
        first = np.argmax(used + width[:, None] <= columns, axis=1)
        chosen[networks, node], column[networks, node] = first, used[networks, first]
        tops[networks, first] = np.maximum(tops[networks, first], height)
        used[networks, first] += width
    starts = np.cumsum(tops, axis=1) - tops
    return np.take_along_axis(starts, chosen, axis=1), column, tops.sum(axis=1)


def _columns_of_unit(macro: Macro) -> int:
    """Return the columns that share a converter, or in a digital macro an adder tree."""
    if macro.adc:
        return macro.adc.columns_per_adc
    most = macro.weights.max_bits
    return columns_of_output(most, macro.array.cell_bits, macro.weights.encoding)
