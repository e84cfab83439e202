"""From partial sums to codes to values: what follows the matrix product of a row group.

A code is ``clip(rint((P - lo) / lsb), 0, top)``. The codes of a column are summed over input
planes with their weights ``cb``: whole numbers, which float32 holds. Sums are then weighed and
added over slices. Compiled and eager functions give the same result bit for bit.
"""

import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

# Conversions of one product from which the compiled epilogue is used. Compiling takes seconds, for
# each process and type, and saves a tenth of the time: it pays only for many large products.
WORTH_COMPILING = 1 << 28


@dataclass(frozen=True)
class Settings:
    """Converters of the columns of one row group, slices one after the other.

    Attributes:
        lo: Partial sum of code 0, (columns,).
        step: What ``P - lo`` is divided by, (columns,): its type is the one computed in.
        gain: 1 / step where that is exact for all columns, else None.
        scale: Value of one code in units of the product, (slices, n).
        top: Largest code.
    """

    lo: Tensor
    step: Tensor
    gain: Tensor | None
    scale: Tensor
    top: float

    def zero_value(self) -> Tensor:
        """Return what a plane of zeros adds, in units of ``cb``, over all slices: (n,)."""
        codes = (-self.lo / self.step).round().clamp(0, self.top)
        return (codes.view(self.scale.shape).to(self.scale.dtype) * self.scale).sum(dim=0)


Epilogue = Callable[[Tensor, Tensor, Settings], Tensor]
"""Partial sums (planes, m, columns) and ``cb`` (planes,) to values (m, n)."""


def eager(sums: Tensor, weights: Tensor, settings: Settings) -> Tensor:
    """Return the converted partial sums of a row group, weighed and added: (m, n).

    Args:
        sums: Partial sums (planes, m, columns).
        weights: ``cb`` of each plane, (planes,).
        settings: Of the converters.
    """
    codes = sums.to(settings.lo.dtype, copy=True)
    codes.sub_(settings.lo)
    if settings.gain is None:
        codes.div_(settings.step)
    else:
        codes.mul_(settings.gain)
    return weigh(codes.round_().clamp_(0, settings.top), weights, settings)


def weigh(codes: Tensor, weights: Tensor, settings: Settings) -> Tensor:
    """Return the value of codes (planes, m, columns), over planes and slices: (m, n).

    The codes are written over.
    """
    total = codes[0].mul_(float(weights[0]))
    for plane, weight in zip(codes[1:], weights[1:].tolist(), strict=True):
        total.add_(plane, alpha=weight)
    slices, n = settings.scale.shape
    return total.view(-1, slices, n).to(settings.scale.dtype).mul_(settings.scale).sum(dim=1)


def compiled(sums: Tensor, weights: Tensor, settings: Settings) -> Tensor:
    """Return what ``eager`` returns, in one pass; compiles at the first call of a type.

    Codes in float64 are left to the eager one.
    """
    if settings.lo.dtype != torch.float32:
        return eager(sums, weights, settings)
    by_gain = settings.gain is not None
    factor = settings.step if settings.gain is None else settings.gain
    convert = _compiled()
    return convert(sums, weights, settings.lo, factor, settings.scale, settings.top, by_gain)


def _convert(
    sums: Tensor,
    weights: Tensor,
    lo: Tensor,
    factor: Tensor,
    scale: Tensor,
    top: float,
    by_gain: bool,
) -> Tensor:
    above = sums.to(torch.float32) - lo
    codes = (above * factor if by_gain else above / factor).round().clamp(0, top)
    total = (codes * weights.view(-1, 1, 1)).sum(dim=0)
    slices, n = scale.shape
    return (total.view(-1, slices, n) * scale).sum(dim=1)


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., Tensor]:
    with warnings.catch_warnings():
        # Torch imports parts of its own that it calls deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.compile(_convert, dynamic=True)


@lru_cache(maxsize=1)
def compiles() -> bool:
    """Return whether this machine has a C++ compiler and torch.compile works with it."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        return False
    one = torch.ones(2)
    try:
        compiled(torch.ones(2, 2, 2), one, Settings(one, one, one, torch.ones(1, 2), 1.0))
    except (RuntimeError, OSError):
        return False
    return True


def faster(conversions: int) -> Epilogue:
    """Return the compiled epilogue where there is a compiler and enough work, else the eager one.

    Args:
        conversions: How many there are to do.
    """
    return compiled if conversions >= WORTH_COMPILING and compiles() else eager
