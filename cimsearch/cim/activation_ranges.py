"""Converters that compute an activation: their ranges end where it does, and they saturate there.

A ReLU is 0 below the sum at which the batch norm behind the layer gives 0: there the range
begins, or ends where the batch norm's gain is negative. A clipped ReLU has another end at its
limit, a hard sigmoid has its two at -3 and 3. Where a range ends at 0 that is a whole partial sum,
the first that the activation makes its end of. So of such a code the activation changes less than
one partial sum; networks compute it as ever, which leaves all other codes as they are.

Sums that saturate do not tell their own mean and spread. So the batch norm behind such a layer has
those of the exact sums, in training too, and the ranges follow it.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.blueprint import Node
from cimsearch.cim.calibrate import partial_sums
from cimsearch.cim.converter import SHARES, STEPS_PER_UNIT, Floats, Ranges
from cimsearch.cim.engine import Product
from cimsearch.cim.numerics import LayerNumerics

HARD_SIGMOID_END = 3.0


class ExactNorm(nn.BatchNorm2d):
    """A batch norm with the statistics of exact sums, of which it gets what converters made.

    Args:
        channels: Of its input.
        ends: Between which values of its output the activation behind it is not flat.
    """

    def __init__(self, channels: int, ends: tuple[float, float]) -> None:
        super().__init__(channels)
        self.ends = ends
        self._exact: Tensor | None = None

    def tell(self, exact: Tensor) -> None:
        """Take the exact sums (n, c, h, w) of the batch that comes next."""
        self._exact = exact

    @torch.no_grad()
    def measure(self, y: Tensor) -> None:
        """Take the statistics of values (n, c, h, w).

        Raises:
            ValueError: There is one value a channel, of which there is no variance.
        """
        values = y.float().transpose(0, 1).flatten(1)
        _check_several(values.shape[1])
        self.get_buffer("running_mean").copy_(values.mean(dim=1))
        self.get_buffer("running_var").copy_(values.var(dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised values."""
        exact, self._exact = self._exact, None
        if not self.training or exact is None:
            return functional.batch_norm(
                x,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                training=False,
                eps=self.eps,
            )
        sums, values = exact.float(), x.float()
        mean, var = sums.mean((0, 2, 3), keepdim=True), sums.var((0, 2, 3), False, keepdim=True)
        if self.track_running_stats:
            self._learn(mean.flatten(), var.flatten(), sums.numel() // len(mean.flatten()))
        # Of the value of exact sums, with the slopes that a batch norm has by what it reads.
        moved = values - values.detach()
        spread = (
            var + (2 * (sums - mean) * moved).mean((0, 2, 3), keepdim=True) + self.eps
        ).sqrt()
        centred = values - mean - moved.mean((0, 2, 3), keepdim=True)
        gain, offset = (p.view(1, -1, 1, 1) for p in (self.weight, self.bias))
        y = centred / spread * gain + offset
        # What a range cuts off has no slope, whatever the batch says of where the range ends.
        given = (sums - mean) / (var + self.eps).sqrt() * gain.detach() + offset.detach()
        flat = (given < self.ends[0]) | (given > self.ends[1])
        return torch.where(flat, y.detach(), y).to(x.dtype)

    @torch.no_grad()
    def _learn(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Let the running statistics follow those of a batch, as a batch norm's do."""
        _check_several(count)
        tracked = self.get_buffer("num_batches_tracked").add_(1)
        share = 1 / float(tracked) if self.momentum is None else self.momentum
        self.get_buffer("running_mean").lerp_(mean, share)
        self.get_buffer("running_var").lerp_(var * count / (count - 1), share)


def _check_several(count: int) -> None:
    """Check that there are values that have a variance, as a batch norm does.

    Raises:
        ValueError: There are not.
    """
    if count < 2:
        raise ValueError(f"expected more than 1 value per channel when training, got {count}")


def ends_of(activation: Node) -> tuple[float, float]:
    """Return between which of its inputs an activation is not flat."""
    if activation.op == "hard_sigmoid":
        return -HARD_SIGMOID_END, HARD_SIGMOID_END
    return 0.0, inf if activation.limit is None else activation.limit


@dataclass(frozen=True)
class _Span:
    """The sums of each output, (outputs,), that an activation is not flat between.

    Attributes:
        start: The least.
        end: The greatest.
        falls: Whether the activation falls with the sum: the gain behind it is negative.
    """

    start: Floats
    end: Floats
    falls: NDArray[np.bool_]


@dataclass(frozen=True)
class _Limits:
    """What a sample says of the range of each output, (outputs,).

    Attributes:
        low: The least sum that it is to have.
        high: The greatest.
        lsb: Its step.
    """

    low: Floats
    high: Floats
    lsb: Floats


class ActivationRanges:
    """The activation that a layer's converters compute.

    Args:
        activation: Its node.
        norm: The batch norm between the layer and it, if there is one.
        numerics: Of the layer.
    """

    def __init__(self, activation: Node, norm: ExactNorm | None, numerics: LayerNumerics) -> None:
        self.activation, self._ends = activation.name, ends_of(activation)
        self._norm, self._numerics = norm, numerics
        self._fitted: _Limits | None = None

    def fit(self, product: Product, exact: Tensor, bias: Tensor | None) -> Ranges:
        """Return ranges fitted to what the activation keeps of the sums of a sample.

        Tried are ranges from the whole of that down to a fifth of it, around the mean, or from
        where a ReLU begins. The one of least squared error is taken for each column.

        Args:
            product: Codes of the sample.
            exact: The layer's output for them without converters, (n, outputs, h, w).
            bias: Of the layer, (outputs,), if it has one.
        """
        if self._norm is not None:
            self._norm.measure(exact if bias is None else exact + bias.view(1, -1, 1, 1))
        (found,) = partial_sums(product.x, product.w, self._numerics, product.geometry)
        sums: Floats = found[0, 0, :, 0].double().numpy()
        span = self._span(product.scale, bias)
        kept = np.clip(sums, span.start, span.end)
        least, best = np.full(sums.shape[1], inf), list[Floats]()
        for share in SHARES:
            limits = self._limits(share, span, sums, kept)
            lo, lsb = self._range(limits, span)
            within = np.clip(sums, lo, lo + lsb * self._top)
            error = np.mean((lo + lsb * np.rint((within - lo) / lsb) - kept) ** 2, axis=0)
            better = error < least * (1 - 1e-9)
            least = np.where(better, error, least)
            new = [limits.low, limits.high, lsb, np.mean((within - kept) ** 2, axis=0)]
            best = [np.where(better, n, b) for n, b in zip(new, best or new, strict=True)]
        *found_limits, clip = best
        self._fitted = _Limits(*found_limits)
        return _ranges(*self._range(self._fitted, span), clip)

    def tell(self, exact: Tensor, bias: Tensor | None) -> None:
        """Tell the batch norm what the layer gives without converters, (n, outputs, h, w)."""
        if self._norm is not None:
            self._norm.tell(exact if bias is None else exact + bias.view(1, -1, 1, 1))

    def follow(self, ranges: Ranges, scale: Tensor, bias: Tensor | None) -> Ranges:
        """Return ranges that end where the activation does now: its batch norm has changed.

        Args:
            ranges: As they are.
            scale: Value of one unit of the product, (outputs, 1, 1, 1).
            bias: Of the layer, if it has one.
        """
        if self._fitted is None:
            return ranges
        return _ranges(
            *self._range(self._fitted, self._span(scale, bias)), ranges.clip_power[0, 0]
        )

    @property
    def _top(self) -> int:
        return int(2**self._numerics.adc_bits) - 1

    def _span(self, scale: Tensor, bias: Tensor | None) -> _Span:
        """Return the sums (outputs,) at which the activation begins and ends."""
        slope = scale.detach().double().flatten()
        offset = torch.zeros_like(slope) if bias is None else bias.detach().double()
        if (norm := self._norm) is not None:
            gain = norm.weight.detach().double()
            gain = gain / (norm.get_buffer("running_var").double() + norm.eps).sqrt()
            mean = norm.get_buffer("running_mean").double()
            slope, offset = slope * gain, norm.bias.detach().double() + gain * (offset - mean)
        with np.errstate(divide="ignore", invalid="ignore"):
            sides = [(end - offset.numpy()) / slope.numpy() for end in self._ends]
        # A gain of 0 leaves nothing of a sum: any range will do.
        first, second = (np.nan_to_num(s, nan=0.0, posinf=inf, neginf=-inf) for s in sides)
        return _Span(np.minimum(first, second), np.maximum(first, second), first > second)

    def _limits(self, share: float, span: _Span, sums: Floats, kept: Floats) -> _Limits:
        """Return limits of ranges that are a ``share`` of what is kept of sums (m, outputs)."""
        low, high, mean = sums.min(axis=0), sums.max(axis=0), kept.mean(axis=0)
        first, last = np.clip(span.start, low, high), np.clip(span.end, low, high)
        inner = mean - share * (mean - first), mean + share * (last - mean)
        # A ReLU's 0 is where it is; of the rest of the range there may be less.
        zero = self._ends[0] == 0
        begins = zero & ~span.falls & (span.start > low)
        ends = zero & span.falls & (span.end < high)
        low, high = np.where(begins, low, inner[0]), np.where(ends, high, inner[1])
        width = np.clip(span.end, low, high) - np.clip(span.start, low, high)
        raw = np.maximum(width / self._top, self._numerics.least_lsb)
        return _Limits(low, high, np.ceil(raw * STEPS_PER_UNIT) / STEPS_PER_UNIT)

    def _range(self, limits: _Limits, span: _Span) -> tuple[Floats, Floats]:
        """Return lo and lsb (outputs,) of ranges that end where the activation does.

        Where that has two ends a range does not go beyond the other.
        """
        low = np.floor(np.clip(span.start, limits.low, limits.high))
        high = np.clip(span.end, limits.low, limits.high)
        both = np.isfinite(span.start) & np.isfinite(span.end)
        most = np.floor((high - low) / self._top * STEPS_PER_UNIT) / STEPS_PER_UNIT
        least = np.ceil(self._numerics.least_lsb * STEPS_PER_UNIT) / STEPS_PER_UNIT
        lsb = np.maximum(np.where(both, np.minimum(limits.lsb, most), limits.lsb), least)
        return np.where(span.falls, np.ceil(high - lsb * self._top), low), lsb


def _ranges(lo: Floats, lsb: Floats, clip: Floats) -> Ranges:
    """Return ranges of one row group and slice from values of outputs."""
    return Ranges(lo[None, None], lsb[None, None], clip[None, None])
