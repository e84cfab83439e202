"""Quantised layers, whose weights may lie on a macro. A linear layer is a convolution of 1 x 1."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from cimsearch.blueprint import Node
from cimsearch.cim import engine
from cimsearch.cim.accumulator import Register
from cimsearch.cim.activation_ranges import ActivationRanges
from cimsearch.cim.calibrate import measure_ranges
from cimsearch.cim.converter import Ranges
from cimsearch.cim.engine import Equivalent
from cimsearch.cim.equivalent import Sample, closed_form_holds, fitted_equivalents
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.learned import Conversions, LearnedRanges, measured_clip
from cimsearch.cim.level2 import level2
from cimsearch.cim.lower_levels import at_level0, at_level1, converted_at
from cimsearch.cim.mode import Mode
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.on_chip import OnChip, Stored
from cimsearch.cim.quantise import activation_codes, ones_share
from cimsearch.cim.stepped import SteppedLayer
from cimsearch.cim.straight_through import StraightThrough
from cimsearch.cim.training_noise import TrainingNoise
from cimsearch.errors import UsageError

# Chips that the equivalents of L0 and L1 are fitted to.
EQUIVALENT_CHIPS = 8


class CimLayer(SteppedLayer):
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
        super().__init__(node, Geometry.of(node, numerics, padding), numerics, generator)
        self.mode = Mode()
        self.calibrating = False
        self.training_noise: TrainingNoise | None = None
        self.learned_ranges: LearnedRanges | None = None
        self.activation_ranges: ActivationRanges | None = None
        self.activity_frac = 0.0
        self._generator = generator
        self._converters = engine.Converters(())
        self._ranges: Ranges | None = None
        self._equivalent = Equivalent(torch.zeros(1))
        self._beyond: Equivalent | None = None
        self._fitted = False
        self._on_chip = OnChip(self.name, self.geometry, generator)

    @property
    def converters(self) -> engine.Converters:
        """The converters as L1 sees them; without row groups where there are none."""
        return self._converters

    def set_chip(self, chip: int | None) -> None:
        """Become the layer of one chip, or (None) of a new chip at every call, as in training.

        The noise of a chip's conversions goes by the number of the image since this was called.

        Args:
            chip: Index of the chip: all its static errors are keyed by it and the layer's name.
        """
        self._on_chip = OnChip(self.name, self.geometry, self._generator, chip)

    def moved(self) -> None:
        """Give the chip and the converters other row groups than before."""
        self._on_chip.move(self.geometry)
        if self._ranges is not None:
            self.set_ranges(self._ranges)

    def _multiply(self, x: Tensor) -> Tensor:
        if self.calibrating:
            self._calibrate(x)
        elif self.x_scale == 0.0:
            raise UsageError(f"{self.name}: not calibrated", "call Network.calibrate first")
        steps, ranges = self.learned_steps, self.learned_ranges
        apply: Callable[..., Tensor] = StraightThrough.apply
        return apply(
            x,
            self.weight,
            self,
            self._learned_x,
            None if steps is None else steps.w,
            None if ranges is None else ranges.factor,
        )

    def learn_ranges(self) -> None:
        """Make a factor on the calibrated converter ranges a parameter; they stay as learned.

        Nothing is learned of a layer without converters, nor where they compute an activation.

        Raises:
            HardwareError: The range is the full scale.
        """
        if self._ranges is not None and self.activation_ranges is None:
            self.learned_ranges = LearnedRanges(self.name, self._ranges, self.numerics)

    def learned_parameters(self) -> list[nn.Parameter]:
        """Return what is learned beside weights and bias: steps, and the factor on ranges."""
        learned = (self.learned_steps, self.learned_ranges)
        return [p for module in learned if module is not None for p in module.parameters()]

    def settle(self) -> None:
        """Follow what an optimiser made of parameters: to be called after each step."""
        self.clear_skipped()
        if self.learned_steps is not None:
            self.learned_steps.keep_positive()
        if self.learned_ranges is not None and self._ranges is not None:
            ranges = self.learned_ranges.ranges()
            if (ranges.lsb != self._ranges.lsb).any():
                self.set_ranges(ranges)
        self.follow()

    def follow(self) -> None:
        """Let ranges that end where an activation does follow the batch norm behind the layer."""
        if self.activation_ranges is not None and self._ranges is not None:
            _, _, scale = self.codes_of(self.weight.detach())
            self.set_ranges(
                self.activation_ranges.follow(self._ranges, scale * self.x_scale, self.bias)
            )

    def _calibrate(self, x: Tensor) -> None:
        """Fit the steps of inputs and weights and the converters' ranges; measure activity."""
        numerics = self.numerics
        # Ranges are in units of codes: those that were learned are for the steps there are.
        held = self.learned_ranges is not None
        self._fit_steps(x, 0.0, held=held)
        if numerics.analog:
            self._fitted, self._beyond = False, None
            # Steps depend on the converters' error, that on ranges, and those on steps.
            self._fit_ranges(x)
            variance = float(self._equivalent.sigma.square().mean())
            self._fit_steps(x, variance, held=held)
            self._fit_ranges(x)
            self._fit_equivalent(x)
        codes = activation_codes(x, self.x_scale, numerics.x_limits)
        self.activity_frac = ones_share(codes, numerics.x_bits)

    def _fit_ranges(self, x: Tensor) -> None:
        numerics, geometry = self.numerics, self.geometry
        codes = activation_codes(x, self.x_scale, numerics.x_limits)
        w, _, scale = self.codes_of(self.weight.detach())
        product = engine.Product(codes, w, scale * self.x_scale, geometry)
        if self.activation_ranges is not None:
            self.set_ranges(self.activation_ranges.fit(product, engine.exact(product), self.bias))
        elif self.learned_ranges is None:
            self.set_ranges(measure_ranges(codes, w, numerics, geometry))
        else:
            self.set_ranges(measured_clip(product, numerics, self.learned_ranges.ranges()))

    def _fit_equivalent(self, x: Tensor) -> None:
        """Fit what L0 and L1 make of a product to L2, where no closed form holds."""
        product, _, _ = self.quantised(x, self.weight.detach())
        ranges, numerics = self._ranges, self.numerics
        known = self.activation_ranges is not None
        if ranges is None or known or closed_form_holds(product, numerics, ranges):
            return
        stored = replace(self._stored(product.w), mode=Mode())
        new = OnChip(self.name, self.geometry, self._generator)
        chips = [new.drawn(stored) for _ in range(EQUIVALENT_CHIPS)]
        sample = Sample(product, numerics, ranges, self._converters)
        self._equivalent, beyond = fitted_equivalents(sample, chips, self._generator)
        self._beyond = beyond if numerics.macro is not None else None
        self._fitted = True

    def set_ranges(self, ranges: Ranges) -> None:
        """Set the converters to ranges, fitted now or earlier.

        What L0 and L1 were fitted to stays until a calibration fits it again.
        """
        self._ranges = ranges
        self._on_chip.forget()
        shape = self.weight.shape
        self._converters, own = converted_at(ranges, self.numerics, self.geometry, shape)
        self._equivalent = self._equivalent if self._fitted else own

    def converted(self, product: engine.Product) -> tuple[Tensor, Conversions | None]:
        """Return the output for codes, at the layer's mode and chip, with the noise of training.

        Beside it what L1 converted, if it did.
        """
        extra, numerics, mode = self.training_noise, self.numerics, self.mode
        if self.activation_ranges is not None and self.training:
            self.activation_ranges.tell(engine.exact(product), self.bias)
        if extra is None or self.calibrating or mode.ideal:
            return self._converted(product)
        noise, noisy, added = self._on_chip.noise(len(product.x)), product, None
        if extra.activations:
            noisy = replace(noisy, x=extra.of_inputs(product, numerics.x_limits[1], noise))
        if extra.weights:
            added = extra.of_weights(product, numerics.w_limit, self._generator)
        if numerics.analog and mode.level == "L2":
            y, conversions = self._converted(product)
            if added is not None:
                noisy = noisy.plus(added)
            if noisy is not product:
                y.add_(engine.exact(noisy)).sub_(engine.exact(product))
        else:
            y, conversions = self._converted(noisy, added)
        if extra.partial_sums and numerics.analog:
            extra.add_to_output(y, product, numerics, noise)
        return y, conversions

    def convert(self, product: engine.Product) -> Tensor:
        """Return the output for codes, at the layer's mode and chip, without noise of training."""
        return self._converted(product)[0]

    def _converted(
        self, product: engine.Product, added: Tensor | None = None
    ) -> tuple[Tensor, Conversions | None]:
        """Return the output, and what L1 converted; ``added`` to weights beside cells' errors."""
        mode, numerics = self.mode, self.numerics
        if not numerics.analog or mode.ideal or self.calibrating:
            kept = None if mode.ideal or numerics.analog else numerics.accumulator
            product = product.plus(added)
            return engine.exact(product, Register(kept, 1.0) if kept else None), None
        if self._ranges is None:
            raise UsageError(f"{self.name}: not calibrated", "call Network.calibrate first")
        on_chip, noise = self._on_chip, self._on_chip.noise(len(product.x))
        if mode.level == "L2":
            packed = on_chip.packed(self._stored(product.w), self._ranges)
            return level2(product, packed, noise), None
        if mode.noise_scale > 0 or numerics.leakage:
            product = product.plus(on_chip.errors(self._stored(product.w)))
        product = product.plus(added)
        if mode.level == "L1":
            return at_level1(product, mode, self._converters, self._beyond, noise)
        return at_level0(product, mode, numerics, self._equivalent, noise), None

    def _stored(self, codes: Tensor) -> Stored:
        return Stored(codes, self.numerics, self.mode)

    def begin_pass(self, whole: int) -> None:
        """Take the seed of what all layers of a new chip have in common."""
        self._on_chip.whole = whole
