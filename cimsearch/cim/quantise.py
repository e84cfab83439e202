"""Quantizers: real numbers to integer codes, in the float type they came in.

Codes are whole numbers in a float tensor: a convolution of codes is then exact as long as its
sums stay below 2**24 in float32.
"""

import torch
from torch import Tensor

from cimsearch.cim.numerics import LayerNumerics

SCALE_SHARES = tuple(share / 20 for share in range(20, 0, -1))

STEP_SAMPLE = 1 << 17
"""About how many input values steps are fitted to."""


def activation_codes(x: Tensor, scale: float, limits: tuple[int, int]) -> Tensor:
    """Return ``clip(rint(x / scale))`` within ``limits``, a new tensor of the shape of ``x``."""
    return x.div(scale).round_().clamp_(*limits)


def weight_scale(weight: Tensor, limit: int, share: float) -> Tensor:
    """Return the step of each output channel's weights, (n, 1, 1, 1).

    Args:
        weight: (n, c, kh, kw).
        limit: Largest code.
        share: What the largest code stands for, as a share of the channel's largest weight.
    """
    largest = weight.abs().amax(dim=(1, 2, 3), keepdim=True)
    return largest.mul_(share / limit).clamp_min_(torch.finfo(weight.dtype).tiny)


def weight_codes(weight: Tensor, scale: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Return symmetric weight codes, and where they are not clipped; shape of ``weight``."""
    steps = weight / scale
    inside = steps.abs() <= limit + 0.5
    return steps.round_().clamp_(-limit, limit), inside


def fit_steps(
    x: Tensor,
    weight: Tensor,
    numerics: LayerNumerics,
    output_variance: float,
    x_step: float | None = None,
) -> tuple[float, float]:
    """Choose the steps of inputs and weights that give the least squared error of the output.

    The error is that of rounding and clipping both, of the cells, and of the converters. The last
    two are fixed in units of codes, so that noisy hardware gets smaller steps: more is clipped,
    and what remains stands out more. Errors are taken as independent.

    Args:
        x: Inputs, any shape.
        weight: (n, c, kh, kw).
        numerics: Of the layer.
        output_variance: Of the converters' error of an output, in units of codes.
        x_step: Step of the inputs if it is given; None to choose it.

    Returns:
        Step of the inputs, and share of the largest weight that the largest code stands for.
    """
    rows = weight[0].numel()
    x_power, w_power = float(x.square().mean()), float(weight.square().mean())
    x_steps, x_errors = _input_errors(x.flatten(), numerics.x_limits, x_step)
    limit = numerics.w_limit
    best, least = (1.0, 1.0), float("inf")
    for share in SCALE_SHARES:
        w_scale = weight_scale(weight, limit, share)
        w_error = float(
            (weight_codes(weight, w_scale, limit)[0] * w_scale - weight).square().mean()
        )
        w_step_power = float(w_scale.square().mean())
        for x_step, x_error in zip(x_steps, x_errors, strict=True):
            cells = w_step_power * numerics.cell_sigma**2
            error = rows * (w_power * x_error + x_power * (w_error + cells))
            error += x_step**2 * w_step_power * output_variance
            if error < least:
                best, least = (x_step, share), error
    return best


def fit_step(values: Tensor, limits: tuple[int, int]) -> float:
    """Return the step of codes within ``limits`` that gives ``values`` (n,) the least error."""
    steps, errors = _input_errors(values, limits, None)
    return steps[errors.index(min(errors))]


def _input_errors(
    values: Tensor, limits: tuple[int, int], given: float | None
) -> tuple[list[float], list[float]]:
    """Return the steps that are tried for inputs, and the mean squared error of each."""
    lowest, highest = limits
    top = float(torch.maximum(values.amax() / highest, values.amin() / min(lowest, -1)))
    if top <= 0.0:
        return [1.0], [0.0]
    steps = [top * share for share in SCALE_SHARES] if given is None else [given]
    codes = (activation_codes(values, step, limits).mul_(step) for step in steps)
    return steps, [float(restored.sub_(values).square_().mean()) for restored in codes]


def ones_share(codes: Tensor, bits: int) -> float:
    """Return the share of bits that are 1 in integer ``codes`` in two's complement of ``bits``."""
    whole = codes.flatten().to(torch.int64) & ((1 << bits) - 1)
    counts = torch.bincount(whole, minlength=1 << bits)
    used = counts.nonzero().flatten()
    ones = sum((used >> bit) & 1 for bit in range(bits)) * counts[used]
    return float(ones.sum() / (whole.numel() * bits))
