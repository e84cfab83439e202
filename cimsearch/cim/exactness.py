"""What of a product is exact, proven from its weights and its converters' settings.

Nothing is assumed of the inputs but their bits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cimsearch.cim.gemm import FLOAT32_EXACT

BITS_OF_BYTE = 8


@dataclass(frozen=True)
class Inputs:
    """How input codes are applied.

    Attributes:
        bits: Bits of a code.
        dac_bits: Bits of a plane.
        weights: ``cb`` of each plane, from the least significant; the last is negative for codes
            in two's complement.
    """

    bits: int
    dac_bits: int
    weights: tuple[int, ...]

    @property
    def largest(self) -> int:
        """Largest value of a plane."""
        return int(2 ** min(self.dac_bits, self.bits)) - 1

    @property
    def code_type(self) -> torch.dtype:
        """The smallest type that holds codes and shifts them as two's complement."""
        if self.bits > BITS_OF_BYTE:
            return torch.int32
        return torch.int8 if self.weights[-1] < 0 else torch.uint8


@dataclass(frozen=True)
class Slices:
    """Slices of all row groups, halves one after the other.

    Attributes:
        values: (slices, k, n), float64.
        weights: ``cs`` of each slice, negative for the negative half: (slices, 1), float64.
        lo: (row groups, slices, n), float64.
        lsb: Likewise.
        top: Largest code; 0 for an ideal converter.
        whole: Whether all values are whole numbers.
    """

    values: Tensor
    weights: Tensor
    lo: Tensor
    lsb: Tensor
    top: int
    whole: bool


def lossless(parts: Slices, inputs: Inputs, index: int, rows: slice, *, skip: bool) -> Tensor:
    """Return which slices of a row group lose nothing in their converters: (slices,)."""
    values = parts.values[:, rows]
    if parts.top == 0:
        return torch.ones(len(values), dtype=torch.bool)
    if not (skip and parts.whole):
        return torch.zeros(len(values), dtype=torch.bool)
    lo, lsb = parts.lo[index], parts.lsb[index]
    lowest = values.clamp_max(0).sum(dim=1) * inputs.largest
    highest = values.clamp_min(0).sum(dim=1) * inputs.largest
    in_range = (lo <= lowest) & (highest <= lo + parts.top)
    return ((lsb == 1) & (lo == lo.round()) & in_range).all(dim=1)


def exact_products(
    parts: Slices, inputs: Inputs, offset: float, *, whole_sums: bool
) -> tuple[torch.dtype, torch.dtype]:
    """Return the types of codes and of their sums: float32 where it is exact, else float64.

    With lo, lsb and P multiples of u (a power of two), ``P - lo`` is exact in float32 up to 2^24
    u. Its quotient by lsb, correctly rounded, lies on the same side of a tie j + 1/2 as the true
    one if the distance of quotients, u / (2 lsb), exceeds half a unit in the last place of the
    tie, (j + 1/2) 2^-24: if (2 j + 1) lsb < 2^24 u. Values are multiples of what divides lo and
    lsb, which may exceed 1, and what is added to them, of 1 or of the offset.
    """
    lo, lsb, top = parts.lo, parts.lsb, parts.top
    step_unit = _unit(torch.stack((lo, lsb)))
    limit = FLOAT32_EXACT * min(step_unit, 1.0)
    sums = parts.values.abs().sum(dim=1)
    planes = sum(abs(cb) for cb in inputs.weights)
    codes_fit = (
        float(sums.max()) * inputs.largest + float(lo.abs().max()) <= limit
        and (2 * top + 3) * float(lsb.max()) < limit
        and planes * top <= FLOAT32_EXACT
    )
    if parts.whole and top and not codes_fit:
        return torch.float64, torch.float64
    converted = ((lo.abs() + lsb * top) * parts.weights.abs()).sum(dim=(0, 1)) * planes
    direct = (sums * parts.weights.abs()).sum(dim=0) * 2**inputs.bits
    off = offset * parts.values.shape[1] * 2**inputs.bits
    total = float((converted * (top > 0) + direct).max()) + off
    unit = min(step_unit, 1.0 if whole_sums else float(offset or step_unit))
    return torch.float32, torch.float32 if total <= FLOAT32_EXACT * unit else torch.float64


def _unit(values: Tensor) -> float:
    """Return the largest power of two that divides all values, or 1 if all are 0."""
    mantissa, exponent = torch.frexp(values[values != 0])
    whole = (mantissa * 2.0**53).to(torch.int64)
    units = torch.ldexp((whole & -whole).double(), exponent - 53)
    return float(units.min()) if len(units) else 1.0
