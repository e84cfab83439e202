"""The integers of one layer on arrays, which prices and numerics share: tiles, planes, slices."""

from cimsearch.spec.hardware import Encoding, Packing


def tile_rows(rows: int, kernel_area: int, packing: Packing) -> int:
    """Return how many rows of an array a full tile of a layer uses.

    Args:
        rows: Rows of an array.
        kernel_area: Rows of one input channel: kernel height x width.
        packing: ``dense`` uses every row; ``whole_kernel`` keeps the rows of a channel in one
            array, if one fits at all.
    """
    if packing == "dense" or kernel_area > rows:
        return rows
    return rows // kernel_area * kernel_area


def row_groups(rows_used: int, rows: int, active_rows: int) -> list[tuple[int, int]]:
    """Return the row ranges [start, stop) that are converted separately, in order.

    Args:
        rows_used: Rows of the layer.
        rows: Rows of a full tile (see ``tile_rows``); ranges do not cross tiles.
        active_rows: Rows driven at once.
    """
    return [
        (start, min(start + active_rows, tile + rows, rows_used))
        for tile in range(0, rows_used, rows)
        for start in range(tile, min(tile + rows, rows_used), active_rows)
    ]


def input_planes(x_bits: int, dac_bits: int) -> int:
    """Return how many planes of ``dac_bits`` an activation of ``x_bits`` is applied in."""
    return -(-x_bits // dac_bits)


def weight_slices(w_bits: int, cell_bits: int, encoding: Encoding) -> int:
    """Return how many slices of ``cell_bits`` a weight is stored in.

    Differential encodings store ``w_bits - 1`` bits of magnitude, on one side of a pair.
    """
    signed_pair = encoding in ("differential", "differential_digital")
    return -(-(w_bits - signed_pair) // cell_bits)


def columns_of_output(w_bits: int, cell_bits: int, encoding: Encoding) -> int:
    """Return how many columns one output takes: a slice is one, or a pair of them."""
    pair = encoding in ("differential", "differential_digital")
    return weight_slices(w_bits, cell_bits, encoding) * (2 if pair else 1)


def full_scale(active_rows: int, dac_bits: int, cell_bits: int, *, signed: bool) -> int:
    """Return the width of the range of a partial sum, in units of one cell step x one input step.

    Args:
        active_rows: Rows driven at once.
        dac_bits: Bits applied in one plane.
        cell_bits: Bits of a cell.
        signed: Whether the partial sum may be negative (differential encoding).
    """
    largest = ((1 << dac_bits) - 1) * ((1 << cell_bits) - 1)
    return active_rows * largest * (2 if signed else 1)
