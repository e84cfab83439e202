"""Weight codes as the cells of arrays hold them, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cimsearch.cim.coding import Coding
from cimsearch.cim.slicing import weight_slice_values

_BYTE = 255


def slices_of(codes: Tensor, numerics: Coding) -> list[Tensor]:
    """Return the levels of the cells, one tensor (sides, outputs, rows) a bit slice.

    The least significant slice comes first. There are two sides, positive and negative, where a
    weight is the difference of two cells.

    Args:
        codes: Weight codes (outputs, c / groups, kh, kw).
        numerics: Of the layer.
    """
    values = weight_slice_values(codes, numerics).flatten(3)
    if numerics.encoding == "differential":
        values = torch.cat([values.clamp_min(0), (-values).clamp_min(0)])
    dtype = torch.uint8 if 2**numerics.cell_bits - 1 <= _BYTE else torch.uint16
    return [values[:, index].to(dtype).contiguous() for index in range(values.shape[1])]


def codes_of(slices: Sequence[Tensor], numerics: Coding) -> Tensor:
    """Return the weight codes (outputs, rows), int64, that ``slices_of`` stored."""
    total = torch.zeros(slices[0].shape[1:], dtype=torch.int64)
    for levels, weight in zip(slices, numerics.slice_weights, strict=True):
        for side, sign in zip(levels.to(torch.int64), (1, -1), strict=False):
            total.add_(side, alpha=sign * weight)
    return total - numerics.offset
