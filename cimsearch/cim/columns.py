"""Static errors of a chip's converters: offset, gain, nonlinearity, one draw each a converter.

A converter reads ``v = (1 + gain) P + offset``, and its nonlinearity moves each code by what the
table says at that code. Offset and gain are normal. The nonlinearity is a sum of independent code
widths whose line through both end codes is taken off: a Brownian bridge (IEEE Std 1241 defines
the end-point fit). Over N steps between the end codes its variance at code i is ``s**2 i (N - i) /
N``; s is such that the two codes at mid-scale have the standard deviation that the macro states.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cimsearch.cim.layout import Layout
from cimsearch.cim.numerics import LayerNumerics


@dataclass(frozen=True)
class ConverterErrors:
    """Static errors of the converters of a layer on one chip.

    Lines are halves that are converted on their own, then slices.

    Attributes:
        offset: In units of a partial sum, (row groups, lines * slices, n).
        gain: Error of the gain, without unit: ``v = (1 + gain) P + offset``; of that shape.
        inl: Nonlinearity at each code in units of a partial sum, (converters, codes); zeros (1, 1)
            if there is none.
        index: Which converter reads, (row groups, lines * slices, n), int64.
    """

    offset: Tensor
    gain: Tensor
    inl: Tensor
    index: Tensor

    def of(self, columns: slice) -> "ConverterErrors":
        """Return the errors of some outputs."""
        offset, gain, index = (
            values[..., columns] for values in (self.offset, self.gain, self.index)
        )
        return replace(self, offset=offset, gain=gain, index=index)


def chip_converters(
    numerics: LayerNumerics, layout: Layout, generator: torch.Generator
) -> ConverterErrors | None:
    """Return the errors of a layer's converters on one chip; None if the macro states none.

    Bitlines that share a converter have its errors, and so have the row groups of one row tile.
    Each effect has draws of its own, so that one of them does not change the others'.

    Args:
        numerics: Of the layer.
        layout: Of the layer.
        generator: Of the chip.
    """
    adc = numerics.macro.noise.adc if numerics.macro else None
    # All seeds are drawn, whichever effects are on.
    seeds = torch.randint(2**62, (3,), generator=generator).tolist()
    if adc is None or not (adc.offset_frac or adc.gain_sigma_frac or adc.inl_frac):
        return None
    index = _converters(layout)
    count = int(index.max()) + 1
    own = [torch.Generator().manual_seed(seed) for seed in seeds]
    offset = torch.randn(count, generator=own[0]) * (adc.offset_frac * numerics.full_scale)
    gain = torch.randn(count, generator=own[1]) * adc.gain_sigma_frac
    inl = torch.zeros(1, 1)
    if adc.inl_frac and numerics.adc_bits > 1:
        inl = _nonlinearity(count, numerics.adc_bits, own[2])
        inl.mul_(adc.inl_frac * numerics.full_scale)
    return ConverterErrors(offset[index], gain[index], inl, index)


def _converters(layout: Layout) -> Tensor:
    """Return which converter reads each line: (row groups, lines * slices, n)."""
    in_array = layout.converters.flatten(0, 1)
    in_tile = layout.arrays * (int(in_array.max()) + 1) + in_array
    return layout.group_tiles.view(-1, 1, 1) * (int(in_tile.max()) + 1) + in_tile


def _nonlinearity(count: int, bits: int, generator: torch.Generator) -> Tensor:
    """Return bridges (count, codes) that have a standard deviation of 1 at mid-scale."""
    steps = 2**bits - 1
    bridges = torch.zeros(count, steps + 1)
    torch.cumsum(torch.randn(count, steps, generator=generator), dim=1, out=bridges[:, 1:])
    bridges.addcmul_(bridges[:, -1:].clone(), torch.linspace(0, 1, steps + 1), value=-1)
    middle = 2 ** (bits - 1)
    return bridges.mul_(float(steps / (middle * (steps - middle))) ** 0.5)
