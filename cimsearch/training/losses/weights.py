"""Losses of weights alone. A column is the weights of one output, which share a step."""

import torch
from torch import Tensor

from cimsearch.spec.losses import RangeShape


def binarisation(weight: Tensor) -> Tensor:
    """Return ``mean (|w| / alpha - 1)**2``, 0 where the weights of a column have one size.

    alpha is the mean of ``|w|`` over the column, which stands for its sizes with the least squared
    error (Rastegari et al., arXiv 1603.05279). It follows the weights, so that their scale does
    not matter.

    Args:
        weight: (outputs, c, kh, kw).
    """
    size = weight.flatten(1).abs()
    alpha = size.mean(dim=1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    return (size / alpha - 1).square().mean()


def kurtosis(weight: Tensor) -> Tensor:
    """Return the mean over columns of ``mean w**4 / (mean w**2)**2``: 1.8 if spread evenly.

    It is about 0, as the quantiser is, and by column, as its steps are; Shkolnik et al. (arXiv
    2002.07686) have one a layer, about the mean.

    Args:
        weight: (outputs, c, kh, kw).
    """
    return (weight.flatten(1).square() / _power(weight)).square().mean()


def peak(weight: Tensor) -> Tensor:
    """Return each column's largest ``|w|`` over its rms value, (outputs, 1).

    Args:
        weight: (outputs, c, kh, kw).
    """
    return weight.flatten(1).abs().amax(dim=1, keepdim=True) / _power(weight).sqrt()


def range_shaping(weight: Tensor, shape: RangeShape, aim: float) -> Tensor:
    """Return ``(kurtosis - aim)**2``, or the mean over columns of ``max(0, peak - aim)``.

    Args:
        weight: (outputs, c, kh, kw).
        shape: Which of them.
        aim: Kurtosis, or peak over rms value.
    """
    if shape == "kurtosis":
        return (kurtosis(weight) - aim).square()
    return (peak(weight) - aim).relu().mean()


def _power(weight: Tensor) -> Tensor:
    """Return the mean square of each column, (outputs, 1); above 0 also where all is 0."""
    power = weight.flatten(1).square().mean(dim=1, keepdim=True)
    return power.clamp_min(torch.finfo(weight.dtype).tiny)
