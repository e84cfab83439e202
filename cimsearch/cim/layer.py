"""Layers with weights: float ones, and quantised ones whose weights may lie on a macro.

A linear layer is a convolution of 1 x 1.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.blueprint import Node
from cimsearch.cim import engine
from cimsearch.cim.calibrate import measure_ranges
from cimsearch.cim.converter import Ranges, conversion_of
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.level2 import Converters, level2
from cimsearch.cim.noise import NoisePool, chip_generator
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.quantise import (
    activation_codes,
    fit_steps,
    ones_share,
    weight_codes,
    weight_scale,
)
from cimsearch.cim.slicing import stored_ones_share, weight_errors
from cimsearch.errors import UsageError
from cimsearch.spec.study import Level

# About how many input values the steps are fitted to.
STEP_SAMPLE = 1 << 17


@dataclass(frozen=True)
class Mode:
    """How quantised layers compute.

    Attributes:
        level: L0, L1 or L2.
        ideal: An ideal converter and no noise: quantisation alone.
        noise_scale: Factor on all noise.
    """

    level: Level = "L1"
    ideal: bool = False
    noise_scale: float = 1.0


class FloatLayer(nn.Module):
    """A float convolution; weights are cast to the type of the input.

    Input (n, c, h, w) in float32 or bfloat16, output (n, outputs, h', w') of the same type. A
    linear layer has a bias, a convolution none: batch norm follows it.

    Args:
        node: The layer's node.
        geometry: Where its rows are.
        generator: Draws the initial weights (He et al., arXiv 1502.01852).
    """

    def __init__(self, node: Node, geometry: Geometry, generator: torch.Generator) -> None:
        super().__init__()
        self.geometry = geometry
        fan_in = node.in_shape[0] // node.groups
        shape = (node.out_shape[0], fan_in, *node.kernel)
        spread = (2 / (fan_in * node.kernel[0] * node.kernel[1])) ** 0.5
        weight = torch.randn(shape, generator=generator).mul_(spread)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if node.op == "linear" else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output."""
        y = self._multiply(x)
        return y if self.bias is None else y + self.bias.view(1, -1, 1, 1).to(y.dtype)

    def _multiply(self, x: Tensor) -> Tensor:
        g = self.geometry
        weight = self.weight.to(x.dtype)
        return functional.conv2d(x, weight, None, g.stride, g.padding, groups=g.groups)


class CimLayer(FloatLayer):
    """A quantised layer, digital or on an analog macro, at level L0, L1 or L2.

    Args:
        node: The layer's node.
        numerics: Its numerics.
        generator: Draws the initial weights, and the cells' errors in training.
        pool: Normal numbers for the converters, shared by the layers of a network.
        padding: Zeros at each side, vertical and horizontal; half the kernel if left out.
    """

    def __init__(
        self,
        node: Node,
        numerics: LayerNumerics,
        *,
        generator: torch.Generator,
        pool: NoisePool,
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
        self._pool = pool
        self._cells: Tensor | None = None
        self._cell_error: Tensor | None = None
        self._row_groups: tuple[engine.RowGroup, ...] = ()
        self._ranges: Ranges | None = None
        self._l0_sigma = torch.zeros(1)

    def set_chip(self, chip: int | None, pool: NoisePool) -> None:
        """Become the layer of one chip, or (None) of a new chip at every call, as in training.

        Args:
            chip: Index of the chip; its static errors are drawn here, once.
            pool: Normal numbers for its converters.
        """
        self._pool = pool
        self._cells = self._cell_error = None
        if chip is not None and self.numerics.cell_sigma > 0:
            self._cells = self._draw_cells(chip_generator(chip, self.name))
            error = weight_errors(self._cells, self.numerics)
            self._cell_error = error.contiguous(memory_format=torch.channels_last)

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
            self._fit_steps(x, float(self._l0_sigma.square().mean()))
            self._fit_ranges(x)
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

    def set_ranges(self, ranges: Ranges) -> None:
        """Set the converters to ranges, fitted now or earlier."""
        self._ranges = ranges
        conversion = conversion_of(self.numerics, ranges, len(self.geometry.row_groups))
        self._row_groups = engine.prepare(conversion, self.geometry, self.weight.shape)
        self._l0_sigma = torch.from_numpy(conversion.l0_sigma).float()

    def _draw_cells(self, generator: torch.Generator) -> Tensor:
        """Return errors of stored slices, in cell levels: (halves, slices, *shape of weights)."""
        numerics = self.numerics
        stored = (numerics.conversions, len(numerics.slice_weights), *self.weight.shape)
        return torch.randn(stored, generator=generator).mul_(numerics.stored_sigma)

    def _draw_cell_error(self, generator: torch.Generator) -> Tensor:
        """Return errors of the cells, in units of a weight code, of the shape of the weights."""
        error = torch.randn(self.weight.shape, generator=generator)
        return error.mul_(self.numerics.cell_sigma).contiguous(memory_format=torch.channels_last)

    def convert(self, product: engine.Product) -> Tensor:
        """Return the output for codes, at the layer's mode and chip."""
        mode = self.mode
        if not self.numerics.analog or mode.ideal or self.calibrating:
            return engine.exact(product)
        if mode.level == "L2":
            return self._level2(product)
        if mode.noise_scale > 0 and self.numerics.cell_sigma > 0:
            error = self._cell_error
            error = self._draw_cell_error(self._generator) if error is None else error
            product = replace(product, w=product.w.add(error, alpha=mode.noise_scale))
        if mode.level == "L1":
            return engine.level1(
                product,
                self._row_groups,
                self.numerics.offset,
                pool=self._pool,
                noise_scale=mode.noise_scale,
            )
        if mode.noise_scale == 0:
            return engine.exact(product)
        return engine.level0(product, self._l0_sigma * mode.noise_scale, self._pool)

    def _level2(self, product: engine.Product) -> Tensor:
        """Return the output as the arrays of the chip make it, or of a new chip in training."""
        numerics, noise_scale = self.numerics, self.mode.noise_scale
        if self._ranges is None:
            raise UsageError(f"{self.name}: not calibrated", "call Network.calibrate first")
        cells = None
        if noise_scale > 0 and numerics.cell_sigma > 0:
            cells = self._draw_cells(self._generator) if self._cells is None else self._cells
            cells = cells * noise_scale
        converters = Converters(self._ranges, numerics.adc_sigma * noise_scale, self._pool)
        return level2(product, numerics, converters, cells)

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
