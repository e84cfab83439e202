"""Quantised layers, whose weights may lie on a macro. A linear layer is a convolution of 1 x 1."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from cimsearch.blueprint import Node
from cimsearch.cim import engine
from cimsearch.cim.accumulator import Register
from cimsearch.cim.calibrate import measure_ranges
from cimsearch.cim.converter import Ranges, conversion_of
from cimsearch.cim.engine import Equivalent
from cimsearch.cim.equivalent import closed_form_holds, fitted_equivalent
from cimsearch.cim.float_layer import FloatLayer
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.level2 import level2
from cimsearch.cim.mode import Mode
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.on_chip import OnChip, Stored
from cimsearch.cim.quantise import (
    activation_codes,
    fit_steps,
    ones_share,
    weight_codes,
    weight_scale,
)
from cimsearch.cim.slicing import stored_ones_share
from cimsearch.errors import UsageError

# About how many input values the steps are fitted to.
STEP_SAMPLE = 1 << 17
# Chips that L0's equivalent is fitted to.
EQUIVALENT_CHIPS = 4


class CimLayer(FloatLayer):
    """A quantised layer, digital or on an analog macro, at level L0, L1 or L2.

    Args:
        node: The layer's node.
        numerics: Its numerics.
        generator: Draws the initial weights, and all noise in training.
        padding: Zeros at each side, vertical and horizontal; half the kernel if left out.
    """

    def __init__(
        self,
        node: Node,
        numerics: LayerNumerics,
        *,
        generator: torch.Generator,
        padding: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(node, Geometry.of(node, numerics, padding), generator)
        self.name = node.name
        self.numerics = numerics
        self.mode = Mode()
        self.calibrating = False
        self.x_scale = 0.0
        self.w_share = 1.0
        self.activity_frac = 0.0
        self._generator = generator
        self._converters = engine.Converters(())
        self._ranges: Ranges | None = None
        self._equivalent = Equivalent(torch.zeros(1))
        self._on_chip = OnChip(self.name, self.geometry, generator)

    def set_chip(self, chip: int | None) -> None:
        """Become the layer of one chip, or (None) of a new chip at every call, as in training.

        The noise of a chip's conversions goes by the number of the image since this was called.

        Args:
            chip: Index of the chip: all its static errors are keyed by it and the layer's name.
        """
        self._on_chip = OnChip(self.name, self.geometry, self._generator, chip)

    def density_frac(self) -> float:
        """Return the share of stored weight bits that are 1."""
        return stored_ones_share(self._codes(self.weight.detach())[0], self.numerics)

    def _multiply(self, x: Tensor) -> Tensor:
        if self.calibrating:
            self._calibrate(x)
        elif self.x_scale == 0.0:
            raise UsageError(f"{self.name}: not calibrated", "call Network.calibrate first")
        apply: Callable[[Tensor, Tensor, CimLayer], Tensor] = _StraightThrough.apply
        return apply(x, self.weight, self)

    def _codes(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weights' codes, where they are not clipped, and their step."""
        scale = weight_scale(weight, self.numerics.w_limit, self.w_share)
        codes, inside = weight_codes(weight, scale, self.numerics.w_limit)
        return codes, inside, scale

    def _calibrate(self, x: Tensor) -> None:
        """Fit the steps of inputs and weights and the converters' ranges; measure activity."""
        numerics = self.numerics
        self._fit_steps(x, 0.0)
        if numerics.analog:
            # Steps depend on the converters' error, that on ranges, and those on steps.
            self._fit_ranges(x)
            self._fit_steps(x, float(self._equivalent.sigma.square().mean()))
            self._fit_ranges(x)
            self._fit_equivalent(x)
        codes = activation_codes(x, self.x_scale, numerics.x_limits)
        self.activity_frac = ones_share(codes, numerics.x_bits)

    def _fit_steps(self, x: Tensor, variance: float) -> None:
        sample = x[:: max(1, x.numel() // STEP_SAMPLE)]
        self.x_scale, self.w_share = fit_steps(
            sample, self.weight.detach(), self.numerics, variance
        )

    def _fit_ranges(self, x: Tensor) -> None:
        numerics, geometry = self.numerics, self.geometry
        codes = activation_codes(x, self.x_scale, numerics.x_limits)
        w, _, _ = self._codes(self.weight.detach())
        self.set_ranges(measure_ranges(codes, w, numerics, geometry))

    def _fit_equivalent(self, x: Tensor) -> None:
        """Fit what L0 makes of a product to L2, where the closed form does not hold."""
        product, _, _ = self.quantised(x, self.weight.detach())
        ranges, numerics = self._ranges, self.numerics
        if ranges is None or closed_form_holds(product, numerics, ranges):
            return
        stored = replace(self._stored(product.w), mode=Mode())
        new = OnChip(self.name, self.geometry, self._generator)
        chips = [new.drawn(stored) for _ in range(EQUIVALENT_CHIPS)]
        self._equivalent = fitted_equivalent(product, chips, numerics, ranges, self._generator)

    def set_ranges(self, ranges: Ranges) -> None:
        """Set the converters to ranges, fitted now or earlier."""
        numerics = self.numerics
        self._ranges = ranges
        self._on_chip.forget()
        conversion = conversion_of(numerics, ranges, len(self.geometry.row_groups))
        row_groups = engine.prepare(conversion, self.geometry, self.weight.shape)
        register = None
        if numerics.accumulator is not None:
            register = Register(numerics.accumulator, float(ranges.lsb.flat[0]))
        self._converters = engine.Converters(
            row_groups, numerics.offset, numerics.correction, register
        )
        self._equivalent = Equivalent(torch.from_numpy(conversion.l0_sigma).float())

    def convert(self, product: engine.Product) -> Tensor:
        """Return the output for codes, at the layer's mode and chip."""
        mode, numerics = self.mode, self.numerics
        if not numerics.analog or mode.ideal or self.calibrating:
            kept = None if mode.ideal else numerics.accumulator
            return engine.exact(product, Register(kept, 1.0) if kept else None)
        if self._ranges is None:
            raise UsageError(f"{self.name}: not calibrated", "call Network.calibrate first")
        on_chip, noise = self._on_chip, self._on_chip.noise(len(product.x))
        if mode.level == "L2":
            return level2(product, on_chip.packed(self._stored(product.w), self._ranges), noise)
        if mode.noise_scale > 0 or numerics.leakage:
            product = replace(product, w=product.w + on_chip.errors(self._stored(product.w)))
        if mode.level == "L1":
            return engine.level1(
                product, self._converters, noise=noise, noise_scale=mode.noise_scale
            )
        if numerics.leakage:
            product = replace(product, w=product.w - (numerics.correction - numerics.offset))
        if mode.noise_scale == 0:
            return engine.exact(product)
        return engine.level0(product, self._equivalent.scaled(mode.noise_scale), noise)

    def _stored(self, codes: Tensor) -> Stored:
        return Stored(codes, self.numerics, self.mode, (self.weight._version, self.w_share))

    def quantised(self, x: Tensor, weight: Tensor) -> tuple[engine.Product, Tensor, Tensor]:
        """Return the codes to multiply, the weights they stand for, and where none is clipped."""
        codes = activation_codes(x, self.x_scale, self.numerics.x_limits)
        w, inside, scale = self._codes(weight)
        product = engine.Product(codes, w, scale * self.x_scale, self.geometry)
        return product, (w * scale).to(x.dtype), inside


class _StraightThrough(torch.autograd.Function):
    """Any forward product; backward, one plain convolution of what was quantised.

    Gradients pass the quantizers where they do not clip, and pass converters and noise unchanged.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: CimLayer) -> Tensor:
        product, w, inside = layer.quantised(x, weight)
        ctx.layer = layer
        ctx.save_for_backward(x, product.x, w, inside)
        return layer.convert(product)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, codes, w, inside = ctx.saved_tensors
        layer: CimLayer = ctx.layer
        g, needs_x = layer.geometry, ctx.needs_input_grad[0]
        grad_x, grad_w, _ = torch.ops.aten.convolution_backward(
            grad, codes, w, None, g.stride, g.padding, (1, 1), False, (0, 0), g.groups,
            (needs_x, True, False),
        )  # fmt: skip
        if needs_x:
            # Inside is where the code was not clipped: up to half a step beyond the last codes.
            lowest, highest = layer.numerics.x_limits
            ends = ((lowest - 0.5) * layer.x_scale, (highest + 0.5) * layer.x_scale)
            grad_x = torch.ops.aten.hardtanh_backward(grad_x, x, *ends)
        return grad_x, grad_w.float().mul_(inside).mul_(layer.x_scale), None
