"""Input planes and weight slices: codes as a crossbar applies and stores them."""

import torch
from torch import Tensor

from cimsearch.cim.coding import Coding


def input_plane_values(codes: Tensor, numerics: Coding) -> Tensor:
    """Return the planes of input codes, from the least significant: (planes, *shape), float32.

    Signed codes are split in two's complement; the sign plane's weight is negative.
    """
    whole = codes.to(torch.int32) & ((1 << numerics.x_bits) - 1)
    mask = (1 << numerics.dac_bits) - 1
    shifts = range(0, numerics.x_bits, numerics.dac_bits)
    return torch.stack([((whole >> shift) & mask).float() for shift in shifts])


def weight_slice_values(codes: Tensor, numerics: Coding) -> Tensor:
    """Return the stored slices of weight codes: (halves, slices, *shape), float32.

    There are two halves, positive and negative, where both are converted on their own
    (``differential_digital``); a ``differential`` pair is one signed slice.
    """
    whole = codes.to(torch.int32)
    if numerics.encoding == "differential":
        return (_slices(whole.abs(), numerics) * whole.sign())[None].float()
    if numerics.encoding == "differential_digital":
        halves = (whole.clamp_min(0), (-whole).clamp_min(0))
        return torch.stack([_slices(half, numerics) for half in halves]).float()
    stored = (whole + numerics.offset) & ((1 << numerics.w_bits) - 1)
    return _slices(stored, numerics)[None].float()


def _slices(whole: Tensor, numerics: Coding) -> Tensor:
    mask = (1 << numerics.cell_bits) - 1
    count = len(numerics.slice_weights)
    return torch.stack([(whole >> (i * numerics.cell_bits)) & mask for i in range(count)])


def weight_errors(cells: Tensor, numerics: Coding) -> Tensor:
    """Return what errors of stored slices make of weights, in units of a weight code.

    Args:
        cells: Errors in cell levels, (halves, slices, *shape).
        numerics: Of the layer.

    Returns:
        Errors of the shape of the weights.
    """
    errors = torch.zeros(cells.shape[2:])
    for half, sign in zip(cells, (1, -1), strict=False):
        for part, weight in zip(half, numerics.slice_weights, strict=True):
            errors.add_(part, alpha=sign * weight)
    return errors


def stored_ones_share(codes: Tensor, numerics: Coding) -> float:
    """Return the share of stored bits that are 1, over both columns of a differential pair."""
    slices = weight_slice_values(codes, numerics).abs().to(torch.int64)
    ones = sum(int(((slices >> bit) & 1).sum()) for bit in range(numerics.cell_bits))
    magnitude = numerics.encoding.startswith("differential")
    stored_bits = 2 * (numerics.w_bits - 1) if magnitude else numerics.w_bits
    return ones / (codes.numel() * stored_bits)
