"""Steps that are trained: of inputs and weights, and of the converters (LSQ).

Esser et al., arXiv 1902.08153: with ``v_hat = s * clip(rint(v / s))`` and rounding passed straight
through, ``d v_hat / d s`` is ``rint(v / s) - v / s`` within the range and the lowest or highest
code beyond it. The gradient of a step is the sum over all n values of a batch (or weights) that
share it, times ``1 / sqrt(n * q)`` with q the highest code.

What converters and noise add to a product is fixed in units of codes, so an output's error grows
with both steps: to the gradient of a step s comes the sum over outputs of ``grad * (y - y_exact) /
s``. Without it nothing keeps codes large against the converters' error.

Converters have a factor on the step that was calibrated, one a layer (range policy ``layer``) or
one a row group and output (``column``), which all slices share: level L1 has one step for them. A
range is scaled about its middle, so codes count from there.
"""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
import torch
from torch import Tensor, nn

from cimsearch.cim.calibrate import partial_sums
from cimsearch.cim.converter import STEPS_PER_UNIT, Floats, Ranges
from cimsearch.cim.engine import Converters, Product, RowGroup
from cimsearch.cim.noise import Noise
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.errors import HardwareError

# The smallest a step may become, as a share of the one that was calibrated.
LEAST_SHARE = 0.01


class LearnedSteps(nn.Module):
    """The steps of a layer's inputs and weights as parameters.

    Args:
        x_scale: Step of the inputs to start from; None if it is another layer's.
        w_scale: Steps of the weights to start from, (outputs, 1, 1, 1).
    """

    def __init__(self, x_scale: float | None, w_scale: Tensor) -> None:
        super().__init__()
        self.x = None if x_scale is None else nn.Parameter(torch.tensor(x_scale))
        self.w = nn.Parameter(w_scale.clone())
        self.least_x: Tensor | None
        self.least_w: Tensor
        self.register_buffer("least_x", None if self.x is None else LEAST_SHARE * self.x.detach())
        self.register_buffer("least_w", LEAST_SHARE * self.w.detach())

    @torch.no_grad()
    def keep_positive(self) -> None:
        """Raise steps that fell below a hundredth of where they started."""
        if self.x is not None and self.least_x is not None:
            self.x.clamp_(min=self.least_x)
        self.w.clamp_(min=self.least_w)


class LearnedRanges(nn.Module):
    """A factor on a layer's converter ranges as a parameter.

    Args:
        layer: Its name.
        ranges: The ranges to start from.
        numerics: Of the layer.

    Raises:
        HardwareError: The range policy is ``full_scale``: the range is fixed.
    """

    def __init__(self, layer: str, ranges: Ranges, numerics: LayerNumerics) -> None:
        super().__init__()
        if numerics.range_policy == "full_scale":
            raise HardwareError(
                f"{layer}: range_policy: found full_scale; allowed is layer or column where "
                "partial_sum_steps are learned, as the full scale is fixed"
            )
        self._start, self._numerics = ranges, numerics
        groups, _, columns = ranges.lsb.shape
        self.factor = nn.Parameter(torch.ones(groups, 1, columns))

    @torch.no_grad()
    def ranges(self) -> Ranges:
        """Return the ranges of the present factor, which is kept where it makes a difference.

        Steps lie on the grid of calibrated ones. What they cut off is not measured again.
        """
        numerics, start = self._numerics, self._start
        least = ceil(numerics.least_lsb * STEPS_PER_UNIT) / STEPS_PER_UNIT
        self.factor.clamp_(min=torch.from_numpy(least / start.lsb).amin(dim=1, keepdim=True))
        top = 2**numerics.adc_bits - 1
        steps = np.rint(start.lsb * self.factor.double().numpy() * STEPS_PER_UNIT)
        lsb = np.maximum(steps / STEPS_PER_UNIT, least)
        middle = start.lo + start.lsb * top / 2
        lo = np.rint((middle - lsb * top / 2) / lsb) * lsb
        return Ranges(lo, lsb, start.clip_power)


def measured_clip(product: Product, numerics: LayerNumerics, ranges: Ranges) -> Ranges:
    """Return ranges with the mean square that they cut off of a sample's partial sums.

    Args:
        product: Codes of the sample.
        numerics: Of the layer.
        ranges: Of the layer: one, or one a row group, slice and output.
    """
    sums = partial_sums(product.x, product.w, numerics, product.geometry)
    cb, cs = (
        torch.tensor(weights, dtype=torch.float64).square()
        for weights in (numerics.plane_weights, numerics.slice_weights)
    )
    top = 2**numerics.adc_bits - 1
    halves, _, windows = sums[0].shape[:3]
    cut, by_column = [], ranges.lsb.size > 1
    for group, part in enumerate(sums):
        lo, lsb = (
            torch.from_numpy(values[group if by_column else 0])
            for values in (ranges.lo, ranges.lsb)
        )
        # (halves, planes, windows, slices, outputs); errors count as they weigh in the product.
        squares = (part.double() - part.double().clamp(lo, lo + top * lsb)).square()
        weighed = torch.einsum("hpmso,p->so", squares, cb)
        cut.append(weighed / (cb.sum() * halves * windows))
    power = torch.stack(cut)
    if not by_column:
        power = (power.mean(dim=(0, 2)) @ cs / cs.sum()).view(1, 1, 1)
    clip: Floats = power.numpy()
    return Ranges(ranges.lo, ranges.lsb, clip)


@dataclass(frozen=True)
class Conversions:
    """What level L1 converted, to be looked at again by its gradient.

    Attributes:
        product: Of the layer, with all errors.
        converters: Of the layer.
        noise: Of the images.
        noise_scale: Factor on the converters' noise.
    """

    product: Product
    converters: Converters
    noise: Noise
    noise_scale: float

    def factor_gradient(self, grad: Tensor, factor: Tensor, adc_bits: int) -> Tensor:
        """Return the gradient of the factor on the ranges, scaled; of its shape.

        Args:
            grad: Gradient of the layer's output (n, outputs, h', w').
            factor: (row groups or 1, 1, outputs or 1).
            adc_bits: Converter bits.
        """
        of_sums = grad.float() * self.product.by_channel
        slopes = torch.stack(
            [
                (of_sums * self._slope(index, group)).sum(dim=(0, 2, 3))
                for index, group in enumerate(self.converters.row_groups)
            ]
        )
        shared = slopes.sum() if factor.numel() == 1 else slopes
        count = slopes.numel() // factor.numel() * grad[:, 0].numel()
        gradient = shared.view(factor.shape) / factor
        return gradient / sqrt(count * (2**adc_bits - 1))

    def _slope(self, index: int, group: RowGroup) -> Tensor:
        """Return what a relative change of a row group's range makes of its converted sums."""
        product, (first, last) = self.product, group.channels
        x = product.x.float()
        read = x.view(len(x), product.geometry.groups, -1, *x.shape[2:])[:, :, first:last]
        stored = product.w[:, first:last] + self.converters.offset
        codes = product.convolve(read.flatten(1, 2), stored * group.gain, group.shift)
        if group.sigma is not None and self.noise_scale > 0:
            self.noise.add_to(codes, group.sigma * self.noise_scale, index)
        whole = codes.round()
        kept = group.saturate(whole.clone())
        codes = torch.where(kept == whole, codes, (group.lo + group.hi) / 2)
        return kept.sub_(codes).mul_(group.step)
