"""A layer's weights on one chip, kept between batches; or on a new chip at every call."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cimsearch.cim.bitserial import Packed
from cimsearch.cim.chip import ChipSource, chip_of, errors_of
from cimsearch.cim.converter import Ranges
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.layout import layout_of
from cimsearch.cim.level2 import Chip, pack_layer
from cimsearch.cim.mode import Mode
from cimsearch.cim.noise import Noise, NoiseStream
from cimsearch.cim.numerics import LayerNumerics


@dataclass(frozen=True)
class Stored:
    """What is stored, and how it is read.

    Attributes:
        codes: Weight codes (outputs, c / groups, kh, kw).
        numerics: Of the layer.
        mode: How it computes.
    """

    codes: Tensor
    numerics: LayerNumerics
    mode: Mode


class OnChip:
    """The layer ``name`` of a chip.

    Args:
        name: Names the layer's draws.
        geometry: Of the layer.
        generator: Draws chips and noise in training.
        chip: Index of the chip, whose static errors and noise are keyed by it and the name; None
            for a new chip at every call.
    """

    def __init__(
        self,
        name: str,
        geometry: Geometry,
        generator: torch.Generator,
        chip: int | None = None,
    ) -> None:
        self._name, self._geometry, self._generator, self._chip = name, geometry, generator, chip
        # Of what all layers of a chip have in common; in training a new one at every pass.
        self.whole: int | None = None
        self._stream = NoiseStream(generator if chip is None else (chip, name))
        self.forget()

    def move(self, geometry: Geometry) -> None:
        """Be of a layer with other row groups."""
        self._geometry = geometry
        self.forget()

    def forget(self) -> None:
        """Drop what is kept."""
        self._kept_for: Stored | None = None
        self._errors: Tensor | None = None
        self._packed: tuple[Packed, ...] = ()

    def noise(self, images: int) -> Noise:
        """Return the noise of the next images."""
        return self._stream.next(images)

    def errors(self, stored: Stored) -> Tensor | float:
        """Return what the chip's cells add to weight codes, in their units."""
        numerics, codes = stored.numerics, stored.codes
        if numerics.macro is None and numerics.cell_sigma == 0:
            return 0.0
        if self._chip is None:
            if numerics.macro is None:
                return self._plain_errors(stored)
            return errors_of(self.drawn(stored), codes, numerics)
        self._keep_for(stored)
        if self._errors is None:
            self._errors = errors_of(self.drawn(stored), codes, numerics)
        return self._errors

    def _plain_errors(self, stored: Stored) -> Tensor:
        """Return errors of the spread of cells alone: one draw a weight instead of one a cell."""
        drawn = torch.randn(stored.codes.shape, generator=self._generator)
        drawn.mul_(stored.numerics.cell_sigma * stored.mode.noise_scale)
        return drawn.contiguous(memory_format=torch.channels_last)

    def packed(self, stored: Stored, ranges: Ranges) -> tuple[Packed, ...]:
        """Return the weights on the chip, ready to multiply at level L2."""
        if self._chip is None:
            chip = replace(self.drawn(stored), coarse=True)
            return pack_layer(chip, stored.numerics, self._geometry, ranges)
        self._keep_for(stored)
        if not self._packed:
            chip = self.drawn(stored)
            self._packed = pack_layer(chip, stored.numerics, self._geometry, ranges)
        return self._packed

    def drawn(self, stored: Stored) -> Chip:
        """Return the layer on the chip, drawn now."""
        codes, numerics, mode = stored.codes, stored.numerics, stored.mode
        if self._chip is None:
            source = ChipSource.new(self._generator, self.whole)
        else:
            source = ChipSource.of(self._chip, self._name)
        return chip_of(
            codes,
            numerics,
            layout_of(numerics, self._geometry, codes[0].numel(), len(codes)),
            source,
            condition=mode.condition,
            noise_scale=mode.noise_scale,
        )

    def _keep_for(self, stored: Stored) -> None:
        """Drop what is kept if it is of anything else than ``stored``."""
        kept = self._kept_for
        if (
            kept is None
            or (kept.mode, kept.numerics) != (stored.mode, stored.numerics)
            or not torch.equal(kept.codes, stored.codes)
        ):
            self.forget()
            self._kept_for = replace(stored, codes=stored.codes.clone())
