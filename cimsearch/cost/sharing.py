"""Which arrays layers take: each its own, or the last columns of several layers in one.

A layer's full column tiles take whole arrays. What is left of its columns, once a row tile and
block of groups, goes on a shelf: a stack of arrays that are filled from left to right, one layer
beside the other. A part starts at a new converter or adder tree, so that none serves two layers,
and no two parts of a layer are in one array, so that a layer runs as fast as on its own. A layer
that finds no room opens the next shelf (next-fit shelf packing, E. G. Coffman et al., SIAM J.
Computing 1980): never more arrays than one layer an array.
"""

from dataclasses import dataclass

from cimsearch.cost.mapping import Mapping, columns_of_output
from cimsearch.cost.namespace import Array, at_least, ceil_div, floor_div, namespace_of, node_sum
from cimsearch.spec.hardware import Hardware, Macro


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

    closed = height = used = 0.0 * mapping.rows[:, 0]
    shelf, column = [], []
    for node in range(width.shape[1]):
        fits = used + width[:, node] <= columns
        closed = closed + ~fits * height
        height = xp.maximum(fits * height, parts[:, node])
        shelf.append(closed)
        column.append(fits * used)
        used = fits * used + width[:, node]
    return Shelves(
        whole=whole,
        parts=parts,
        shelf=xp.stack(shelf, axis=1),
        column=xp.stack(column, axis=1),
        macros=node_sum(whole) + closed + height,
    )


def _columns_of_unit(macro: Macro) -> int:
    """Return the columns that share a converter, or in a digital macro an adder tree."""
    if macro.adc:
        return macro.adc.columns_per_adc
    most = macro.weights.max_bits
    return columns_of_output(most, macro.array.cell_bits, macro.weights.encoding)
