"""A layer whose inputs and weights are codes, each times a step that is fitted or learned."""

import torch
from torch import Tensor, nn

from cimsearch.blueprint import Node
from cimsearch.cim.engine import Product
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.learned import LearnedSteps
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.quantise import (
    STEP_SAMPLE,
    activation_codes,
    fit_steps,
    weight_codes,
    weight_scale,
)
from cimsearch.cim.skipping import SkippingLayer, read_rows
from cimsearch.cim.slicing import stored_ones_share


class SteppedLayer(SkippingLayer):
    """A layer that multiplies codes: one step for all inputs, one for the weights of each output.

    Args:
        node: The layer's node.
        geometry: Where its rows are.
        numerics: Its numerics.
        generator: Draws the initial weights.
    """

    def __init__(
        self,
        node: Node,
        geometry: Geometry,
        numerics: LayerNumerics,
        generator: torch.Generator,
    ) -> None:
        super().__init__(node, geometry, numerics, generator)
        self.name, self.numerics = node.name, numerics
        self.learned_steps: LearnedSteps | None = None
        self._x_scale, self.w_share = 0.0, 1.0
        self._first: tuple[SteppedLayer, ...] = ()

    @property
    def x_scale(self) -> float:
        """The step of the inputs; 0 before it is calibrated."""
        step, learned = (self._first or (self,))[0]._x_scale, self._learned_x
        return step if learned is None or step == 0.0 else float(learned.detach())

    @x_scale.setter
    def x_scale(self, step: float) -> None:
        self._x_scale = step

    @property
    def _learned_x(self) -> nn.Parameter | None:
        steps = (self._first or (self,))[0].learned_steps
        return None if steps is None else steps.x

    def share_inputs(self, first: "SteppedLayer") -> None:
        """Take the step of the inputs from ``first``, which reads the same ones before this layer.

        Both are parts of one layer: the same pulses go to the columns of both.
        """
        # In a tuple, or it would be a module of this one.
        self._first = (first,)

    def codes_of(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weights' codes, where they are not clipped, and their step."""
        if self.learned_steps is None:
            scale = weight_scale(weight, self.numerics.w_limit, self.w_share)
        else:
            scale = self.learned_steps.w.detach()
        codes, inside = weight_codes(weight, scale, self.numerics.w_limit)
        return codes, inside, scale

    def learn_steps(self) -> None:
        """Make the calibrated steps of inputs and weights parameters; they stay as learned."""
        _, _, w_scale = self.codes_of(self.weight.detach())
        self.learned_steps = LearnedSteps(None if self._first else self.x_scale, w_scale)

    def _fit_steps(self, x: Tensor, variance: float, *, held: bool) -> None:
        """Fit the steps to inputs, but for those that were learned.

        Args:
            x: Inputs of a batch.
            variance: Of the converters' error, in codes.
            held: Whether something was learned for the steps there are, which then stay.
        """
        if self.learned_steps is not None and (learned := self._learned_x) is not None:
            self._x_scale = float(learned.detach())
            return
        if held and self.x_scale:
            return
        sample = x[:: max(1, x.numel() // STEP_SAMPLE)]
        given = self.x_scale if self._first else None
        self.x_scale, self.w_share = fit_steps(
            sample, self.weight.detach(), self.numerics, variance, given
        )

    def density_frac(self) -> float:
        """Return the share of stored weight bits that are 1, in rows that are read."""
        codes, _, _ = self.codes_of(self.weight.detach())
        read = read_rows(self.geometry, codes.shape[1])
        return stored_ones_share(codes if read is None else codes[:, read > 0], self.numerics)

    def quantised(self, x: Tensor, weight: Tensor) -> tuple[Product, Tensor, Tensor]:
        """Return the codes to multiply, the weights they stand for, and where none is clipped."""
        codes = activation_codes(x, self.x_scale, self.numerics.x_limits)
        w, inside, scale = self.codes_of(weight)
        read = read_rows(self.geometry, weight.shape[1])
        inside = inside if read is None else inside & (read > 0)
        product = Product(codes, w, scale * self.x_scale, self.geometry)
        return product, (w * scale).to(x.dtype), inside
