"""The gradient of a quantised layer, whatever its forward product."""

from math import sqrt
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cimsearch.cim import engine

if TYPE_CHECKING:
    from cimsearch.cim.layer import CimLayer

Gradients = tuple[Tensor | None, Tensor, None, Tensor | None, Tensor | None, Tensor | None]


class StraightThrough(torch.autograd.Function):
    """Any forward product; backward, one plain convolution of what was quantised.

    Gradients pass the quantizers where they do not clip, and pass converters and noise unchanged
    (Bengio et al., arXiv 1308.3432). Those of learned steps are made of the same convolution's;
    ``learned`` has their definition. The steps of inputs and weights are learned together.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        layer: "CimLayer",
        *learned: Tensor | None,
    ) -> Tensor:
        """Return the layer's product.

        Args:
            ctx: What the backward pass needs.
            x: Inputs (n, c, h, w).
            weight: (outputs, c / groups, kh, kw).
            layer: The layer.
            learned: Steps of inputs and weights and the factor on the ranges, each None if fixed.
        """
        _, w_step, factor = learned
        product, w, inside = layer.quantised(x, weight)
        y, conversions = layer.converted(product)
        ctx.layer = layer
        ctx.conversions = None if factor is None else conversions
        step_parts: tuple[Tensor, ...] = ()
        if w_step is not None:
            step_parts = (weight, product.w, w_step, y - engine.exact(product))
        ctx.save_for_backward(x, product.x, w, inside, factor, *step_parts)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        """Return the gradients of what ``forward`` took."""
        x, codes, w, inside, factor, *step_parts = ctx.saved_tensors
        layer: CimLayer = ctx.layer
        g, scale = layer.geometry, layer.x_scale
        needs_x, _, _, needs_x_step, _, needs_factor = ctx.needs_input_grad
        grad_x, grad_w, _ = torch.ops.aten.convolution_backward(
            grad, codes, w, None, g.stride, g.padding, (1, 1), False, (0, 0), g.groups,
            (needs_x or needs_x_step, True, False),
        )  # fmt: skip
        grad_x_step = grad_w_step = grad_factor = None
        if needs_x or needs_x_step:
            # Inside is where the code was not clipped: up to half a step beyond the last codes.
            lowest, highest = layer.numerics.x_limits
            ends = ((lowest - 0.5) * scale, (highest + 0.5) * scale)
            kept = torch.ops.aten.hardtanh_backward(grad_x, x, *ends)
        grad_w = grad_w.float().mul_(scale)
        if needs_x_step:
            weight, w_codes, w_step, error = step_parts
            of_error = (grad * error).sum(dim=(0, 2, 3), dtype=torch.float32).view(-1, 1, 1, 1)
            slope = dot(grad_x, codes) - (dot(kept, x) - of_error.sum()) / scale
            grad_x_step = slope / sqrt(x.numel() * highest)
            slopes = (w_codes - (weight / w_step).mul_(inside)).mul_(grad_w)
            of_step = slopes.sum(dim=(1, 2, 3), keepdim=True) + of_error / w_step
            grad_w_step = of_step / sqrt(weight[0].numel() * layer.numerics.w_limit)
        if needs_factor and ctx.conversions is not None:
            grad_factor = ctx.conversions.factor_gradient(grad, factor, layer.numerics.adc_bits)
        grad_x = kept if needs_x else None
        return grad_x, grad_w.mul_(inside), None, grad_x_step, grad_w_step, grad_factor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the sum of products of two tensors of equal shape, in float32."""
    flat = [part.permute(0, 2, 3, 1).reshape(-1) for part in (a, b)]
    if a.dtype == torch.float32:
        return torch.dot(*flat)
    return torch.mul(*flat).sum(dtype=torch.float32)
