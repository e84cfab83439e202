"""Where the cells and converters of a layer are in its arrays: rows, columns, shared converters.

The order is that of the mapping plan: an output's columns lie side by side in one array, slice
after slice, the two of a pair next to each other.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cimsearch.cim.geometry import Geometry
from cimsearch.cim.numerics import LayerNumerics


@dataclass(frozen=True)
class Layout:
    """Positions of the stored weights (k rows, n outputs) of a layer.

    Attributes:
        tiles: Row tile of each row, (k,).
        wordlines: Row in its array of each row, (k,).
        row_groups: Ranges [start, stop) of rows that are converted together, or skipped.
        group_tiles: Row tile of each row group that is converted, (row groups,).
        arrays: Which array of a row tile holds an output, (n,). Each group of a convolution
            counts as arrays of its own: on the diagonal of one no column hears another's inputs.
        bitlines: Column in its array of each cell, (cells a slice, slices, n): two cells a slice
            with a differential encoding, positive and negative.
        converters: Converter in its array of each line, (lines a slice, slices, n): two where both
            halves are converted on their own.
    """

    tiles: Tensor
    wordlines: Tensor
    row_groups: tuple[tuple[int, int], ...]
    group_tiles: Tensor
    arrays: Tensor
    bitlines: Tensor
    converters: Tensor


def layout_of(numerics: LayerNumerics, geometry: Geometry, rows: int, outputs: int) -> Layout:
    """Return the layout of a layer.

    Args:
        numerics: Of the layer.
        geometry: Of the layer.
        rows: Rows of the weight matrix of one group of a convolution.
        outputs: Outputs of all groups, one group after the other.
    """
    tile = geometry.tile_rows or rows
    k, own = torch.arange(rows), outputs // geometry.groups
    group, n = torch.arange(outputs) // own, torch.arange(outputs) % own
    pair = 2 if numerics.encoding.startswith("differential") else 1
    slices = len(numerics.slice_weights)
    each = pair * slices
    at_once = max(1, numerics.cols // each)
    half, part = torch.arange(pair).view(-1, 1, 1), torch.arange(slices).view(-1, 1)
    bitlines = (n % at_once) * each + part * pair + half
    lines = bitlines[: numerics.conversions]
    return Layout(
        tiles=k // tile,
        wordlines=k % tile,
        row_groups=geometry.spans,
        group_tiles=torch.tensor([start // tile for start, _ in geometry.row_groups]),
        arrays=group * -(-own // at_once) + n // at_once,
        bitlines=bitlines,
        converters=lines // numerics.columns_per_adc,
    )
