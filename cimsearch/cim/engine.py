"""The forward product of a quantised layer at each level: exact, L0, L1.

Codes are whole numbers in a float tensor. Products are in units of codes until the last step, so
that they are exact integers wherever nothing is added to them.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from cimsearch.cim.accumulator import Register, accumulated
from cimsearch.cim.converter import Conversion
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.noise import Noise
from cimsearch.cim.skipping import on_read_rows, read_rows


@dataclass(frozen=True)
class Product:
    """What all levels multiply.

    Attributes:
        x: Input codes (n, c, h, w), channels last in memory.
        w: Weight codes, with the cells' errors if there are any: (outputs, c / groups, kh, kw).
        scale: Value of one unit of the product: (outputs, 1, 1, 1).
        geometry: Of the layer.
    """

    x: Tensor
    w: Tensor
    scale: Tensor
    geometry: Geometry

    def plus(self, errors: Tensor | float | None) -> "Product":
        """Return the product with errors added to its weight codes in rows that are read."""
        if errors is None:
            return self
        return replace(self, w=self.w + on_read_rows(errors, self.geometry, self.w.shape[1]))

    def convolve(self, x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the convolution of the layer's geometry, in the type of ``x``."""
        g = self.geometry
        return functional.conv2d(x, w.to(x.dtype), bias, g.stride, g.padding, groups=g.groups)

    @property
    def by_channel(self) -> Tensor:
        """The scale as it multiplies an output: (1, outputs, 1, 1)."""
        return self.scale.view(1, -1, 1, 1)


@dataclass(frozen=True)
class RowGroup:
    """One row group of a layer, ready for L1: a sum is ``zero + step * code``.

    Attributes:
        channels: Input channels [start, stop) of a convolution's group.
        gain: 1 / step on the rows of the group, else 0: (outputs or 1, channels, kh, kw).
        shift: -zero / step, (outputs,).
        zero: Sum of code 0, in units of the product: (1, outputs or 1, 1, 1).
        step: Value of one code, in units of the product: (1, outputs or 1, 1, 1).
        lo: Smallest code: (1, outputs or 1, 1, 1).
        hi: Largest.
        sigma: Noise in steps, (outputs or 1,); None if there is none.
    """

    channels: tuple[int, int]
    gain: Tensor
    shift: Tensor
    zero: Tensor
    step: Tensor
    lo: Tensor
    hi: Tensor
    sigma: Tensor | None

    def saturate(self, codes: Tensor) -> Tensor:
        """Clip codes to the range, in place; numbers are several times faster than tensors."""
        if self.lo.numel() == 1:
            return codes.clamp_(float(self.lo), float(self.hi))
        return codes.clamp_(self.lo, self.hi)


@dataclass(frozen=True)
class Converters:
    """The converters of a layer as L1 sees them.

    Attributes:
        row_groups: In order.
        offset: What offset encoding adds to each weight.
        correction: What is taken off for each unit of input, exactly, after the converters.
        register: The register of the sums; None if it is wide enough.
    """

    row_groups: tuple[RowGroup, ...]
    offset: int = 0
    correction: float = 0.0
    register: Register | None = None


def prepare(
    conversion: Conversion, geometry: Geometry, weight_shape: torch.Size
) -> tuple[RowGroup, ...]:
    """Return the row groups of a layer with weights (outputs, c / groups, kh, kw)."""
    outputs, channels = weight_shape[:2]
    groups = []
    for index, (start, stop) in enumerate(geometry.row_groups):
        first, last = geometry.channels[index]
        step, lo, hi, sigma = (
            torch.tensor(values[index], dtype=torch.float32)
            for values in (conversion.step, conversion.lo, conversion.hi, conversion.sigma)
        )
        # An even number of steps from the range's start: small, so that float32 stays exact, and
        # ties round to the same side as from the start.
        # Sums are whole: so are their codes where every whole number has one.
        zero = torch.where(step == 1, lo.remainder(2).round(), lo.remainder(2 * step))
        rows = torch.zeros(channels, *geometry.kernel)
        rows.view(-1)[start:stop] = 1
        groups.append(
            RowGroup(
                channels=(first, last),
                gain=rows[first:last] / step.view(-1, 1, 1, 1),
                shift=(-zero / step).expand(outputs).contiguous(),
                zero=zero.view(1, -1, 1, 1),
                step=step.view(1, -1, 1, 1),
                lo=((lo - zero) / step).view(1, -1, 1, 1),
                hi=((hi - zero) / step).view(1, -1, 1, 1),
                sigma=sigma / step if bool(sigma.any()) else None,
            )
        )
    return tuple(groups)


def exact(product: Product, register: Register | None = None) -> Tensor:
    """Return the integer product times its scale: an ideal converter, or none."""
    y = product.convolve(product.x, product.w)
    if register is not None:
        y = accumulated(y.float(), register).to(y.dtype)
    return y.mul_(product.by_channel.to(y.dtype))


@dataclass(frozen=True)
class Equivalent:
    """What a level makes of a product P: ``gain * P + bias + sigma * N(0, 1)``.

    Attributes:
        sigma: In units of the product, (outputs or 1,).
        gain: Of each output, dimensionless, (outputs,); None for 1.
        bias: Of each output, in units of the product, (outputs,); None for 0.
    """

    sigma: Tensor
    gain: Tensor | None = None
    bias: Tensor | None = None

    def scaled(self, noise_scale: float) -> "Equivalent":
        """Return this with a part of what the hardware does, or more noise and all the rest."""
        share = min(noise_scale, 1.0)
        gain = None if self.gain is None else 1 + (self.gain - 1) * share
        bias = None if self.bias is None else self.bias * share
        return Equivalent(self.sigma * noise_scale, gain, bias)


def level0(product: Product, equivalent: Equivalent, noise: Noise) -> Tensor:
    """Return the product with equivalent noise: L0.

    Args:
        product: Of the layer.
        equivalent: Of the layer.
        noise: Of the images.
    """
    scale = product.scale
    if equivalent.gain is not None:
        scale = scale * equivalent.gain.view(-1, 1, 1, 1)
    y = product.convolve(product.x, product.w * scale)
    noise.add_to(y, equivalent.sigma * product.scale.view(-1))
    if equivalent.bias is not None:
        y.add_((product.by_channel * equivalent.bias.view(1, -1, 1, 1)).to(y.dtype))
    return y


def level1(
    product: Product,
    converters: Converters,
    *,
    noise: Noise,
    noise_scale: float,
) -> Tensor:
    """Return the product with the sum of each row group converted: L1, computed in float32.

    Args:
        product: Of the layer.
        converters: Of the layer.
        noise: Of the images.
        noise_scale: Factor on the converters' noise.
    """
    row_groups = converters.row_groups
    x, stored = product.x.float(), product.w + converters.offset
    parts = x.view(len(x), product.geometry.groups, -1, *x.shape[2:])

    def convert(index: int) -> Tensor:
        group = row_groups[index]
        first, last = group.channels
        read = parts[:, :, first:last].flatten(1, 2)
        codes = product.convolve(read, stored[:, first:last] * group.gain, group.shift)
        if group.sigma is not None and noise_scale > 0:
            noise.add_to(codes, group.sigma * noise_scale, index)
        return group.saturate(codes.round_())

    total = convert(0).mul_(row_groups[0].step)
    for index, group in enumerate(row_groups[1:], start=1):
        total.addcmul_(convert(index), group.step)
    zeros = torch.stack([group.zero for group in row_groups]).sum(dim=0)
    if bool(zeros.any()):
        total.add_(zeros)
    if converters.register is not None:
        accumulated(total, converters.register)
    if converters.correction:
        total.sub_(_input_sums(parts, product), alpha=converters.correction)
    return total.mul_(product.by_channel).to(product.x.dtype)


def beyond_level1(y: Tensor, product: Product, beyond: Equivalent, noise: Noise) -> Tensor:
    """Return what the effects that L1 does not know make of its output.

    Args:
        y: Output of L1 without noise of conversions.
        product: Of the layer.
        beyond: Fitted to L2.
        noise: Of the images.
    """
    if beyond.gain is not None:
        y = y * beyond.gain.view(1, -1, 1, 1).to(y.dtype)
    # The row groups have the parts before.
    noise.add_to(y, beyond.sigma * product.scale.view(-1), len(product.geometry.row_groups))
    if beyond.bias is not None:
        y.add_((product.by_channel * beyond.bias.view(1, -1, 1, 1)).to(y.dtype))
    return y


def _input_sums(parts: Tensor, product: Product) -> Tensor:
    """Return the sum of the inputs that each output reads: (n, outputs or 1, h, w)."""
    groups, rows = product.geometry.groups, read_rows(product.geometry, parts.shape[2])
    if rows is None:
        ones = torch.ones(groups, 1, *product.geometry.kernel)
        read = product.convolve(parts.sum(dim=2), ones)
    else:
        read = product.convolve(parts.flatten(1, 2), rows.expand(groups, *rows.shape))
    return read if groups == 1 else read.repeat_interleave(len(product.w) // groups, dim=1)
