"""Row groups without weights: how many of a layer there are, and which rows they take away.

A share of a layer's row groups, rounded down, holds zeros alone. A macro that can skip row groups
neither drives nor converts them. They are spread evenly over the layer's tiles, in order: what a
tile is rounded down by is carried on to the next. In a tile the short row group at its end goes
first, as a call of it costs as much and it has the fewest weights. So every count that a price
reads follows from the share alone; which of the full row groups go is for the weights to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from cimsearch.cost.namespace import Array, ceil_div, floor_div, namespace_of, values_of
from cimsearch.units import MILLION


def skipped_in_tiles(row_groups: Sequence[int], sparsity_ppm: int) -> tuple[int, ...]:
    """Return how many row groups of each tile hold no weights.

    Args:
        row_groups: Row groups of each tile, in order.
        sparsity_ppm: The share of all of them, in millionths.
    """
    skipped = [end * sparsity_ppm // MILLION for end in accumulate(row_groups, initial=0)]
    return tuple(after - before for before, after in pairwise(skipped))


@dataclass(frozen=True)
class Skipped:
    """What a layer skips of each group of its convolution, arrays (n, nodes) of whole numbers.

    Attributes:
        row_groups: Row groups.
        serial: Row groups of the first tile, which skips no more than any other full one.
        ends: Those of them that are short and at the end of a full tile.
        last_end: Those that are short and at the end of the last tile: one or none.
        rows: Rows of all of them.
    """

    row_groups: Array
    serial: Array
    ends: Array
    last_end: Array
    rows: Array


def skipped_of(
    rows: Array, tile_rows: Array, active_rows: int, sparsity_ppm: Array
) -> Skipped | None:
    """Return what layers of ``rows`` in tiles of ``tile_rows`` skip; None if no layer does."""
    if not values_of(sparsity_ppm > 0).any():
        return None
    xp = namespace_of(rows)

    def share_of(row_groups: Array) -> Array:
        return floor_div(row_groups * sparsity_ppm, MILLION)

    full_tiles = ceil_div(rows, tile_rows) - 1
    last_rows = rows - full_tiles * tile_rows
    in_tile, in_last = ceil_div(tile_rows, active_rows), ceil_div(last_rows, active_rows)
    total, of_full = share_of(full_tiles * in_tile + in_last), share_of(full_tiles * in_tile)
    end = tile_rows - floor_div(tile_rows, active_rows) * active_rows
    last_end = last_rows - floor_div(last_rows, active_rows) * active_rows
    ends = (end > 0) * xp.minimum(of_full, full_tiles)
    last = (last_end > 0) * (total > of_full) * 1.0
    return Skipped(
        row_groups=total,
        serial=share_of(ceil_div(xp.minimum(rows, tile_rows), active_rows)),
        ends=ends,
        last_end=last,
        rows=(total - ends - last) * active_rows + ends * end + last * last_end,
    )
