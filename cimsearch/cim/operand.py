"""What waits for an addition in few bits: quantised, kept as codes, and read as what they mean.

The step is calibrated, and learned where a layer's are (LSQ; see ``learned``). The gradient passes
rounding unchanged, and is zero where a value was clipped.
"""

from collections.abc import Callable
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from cimsearch.blueprint import Node
from cimsearch.cim.learned import LEAST_SHARE
from cimsearch.cim.numerics import check_input_bits, code_limits
from cimsearch.cim.quantise import STEP_SAMPLE, activation_codes, fit_step
from cimsearch.cim.straight_through import dot
from cimsearch.errors import HardwareError, UsageError


class QuantisedOperand(nn.Module):
    """The waiting operand of an addition, in a few bits; exact otherwise, at every level.

    Args:
        node: The addition, with the bits that the operand is kept in.

    Raises:
        HardwareError: The bits are out of range; the message begins with the node's name.
    """

    def __init__(self, node: Node) -> None:
        super().__init__()
        try:
            check_input_bits(node.x_bits, signed=node.x_signed)
        except HardwareError as error:
            raise HardwareError(f"{node.name}: {error.message}") from error
        self.name, self.bits, self.signed = node.name, node.x_bits, node.x_signed
        self.calibrating = False
        self.learned_step: _LearnedStep | None = None
        self._x_scale = 0.0

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return code_limits(self.bits, signed=self.signed)

    @property
    def x_scale(self) -> float:
        """What code 1 stands for; 0 before it is calibrated."""
        return self._x_scale if self.learned_step is None else float(self.learned_step.x.detach())

    @x_scale.setter
    def x_scale(self, step: float) -> None:
        self._x_scale = step

    def forward(self, x: Tensor) -> Tensor:
        """Return what the codes of ``x`` (n, c, h, w) stand for, of its shape and type.

        Raises:
            UsageError: It is not calibrated.
        """
        if self.calibrating and self.learned_step is None:
            sample = x[:: max(1, x.numel() // STEP_SAMPLE)]
            self.x_scale = fit_step(sample.flatten(), self.limits)
        self.check_calibrated()
        learned = None if self.learned_step is None else self.learned_step.x
        apply: Callable[..., Tensor] = _Quantised.apply
        return apply(x, learned, self.x_scale, self.limits)

    def check_calibrated(self) -> None:
        """Check that there is a step.

        Raises:
            UsageError: There is none.
        """
        if self.x_scale == 0.0:
            raise UsageError(f"{self.name}: not calibrated", "call Network.calibrate first")

    def learn_steps(self) -> None:
        """Make the calibrated step a parameter; it stays as learned."""
        self.learned_step = _LearnedStep(self.x_scale)

    def learned_parameters(self) -> list[nn.Parameter]:
        """Return the step if it is learned."""
        return [] if self.learned_step is None else list(self.learned_step.parameters())

    def settle(self) -> None:
        """Follow what an optimiser made of the step: to be called after each of its steps."""
        if self.learned_step is not None:
            self.learned_step.keep_positive()


class _LearnedStep(nn.Module):
    """A step as a parameter."""

    least: Tensor

    def __init__(self, step: float) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(step))
        self.register_buffer("least", LEAST_SHARE * self.x.detach())

    @torch.no_grad()
    def keep_positive(self) -> None:
        """Raise a step that fell below a hundredth of where it started."""
        self.x.clamp_(min=self.least)


class _Quantised(torch.autograd.Function):
    """Values to codes and back, with the gradients of ``StraightThrough`` and ``LearnedSteps``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, _learned: Tensor | None, step: float, limits: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.step, ctx.limits = step, limits
        return activation_codes(x, step, limits).mul_(step)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        (x,), step, (lowest, highest) = ctx.saved_tensors, ctx.step, ctx.limits
        ends = ((lowest - 0.5) * step, (highest + 0.5) * step)
        kept = torch.ops.aten.hardtanh_backward(grad, x, *ends)
        if not ctx.needs_input_grad[1]:
            return kept, None, None, None
        codes = activation_codes(x, step, ctx.limits)
        slope = dot(grad, codes) - dot(kept, x) / step
        return kept, slope / sqrt(x.numel() * highest), None, None
