"""What training may minimise beside the task's own loss: all of it off by default."""

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field

from cimsearch.spec.base import Fraction, NonNegative, Positive, Spec

RangeShape = Literal["kurtosis", "peak"]

RANGE_TARGETS: dict[RangeShape, float] = {"kurtosis": 1.8, "peak": 2.5}
"""What is aimed at where an entry says nothing else; 1.8 is the kurtosis of a uniform spread."""

BINARY_BITS = 2
"""Bits of weights that can be of one size: the fewest that a signed weight has."""


class ExtraLoss(Spec):
    """One more loss: it counts ``weight`` times in what is minimised; 0 is as if left out."""

    weight: NonNegative


class LayerLoss(ExtraLoss):
    """A loss of the quantised layers whose names match ``layers``; ``*`` is any text."""

    layers: Annotated[str, Field(min_length=1)] = "*"

    def of(self, layer: str) -> bool:
        """Return whether this is of the layer with that name."""
        return fnmatchcase(layer, self.layers)


class BitSparsity(LayerLoss):
    """Fewer ones in the stored bits of layers on the macro, as its encoding stores them.

    A bit is counted softly: it goes over from 0 to 1 within about ``softness_frac`` of the bit
    plane's own width.
    """

    softness_frac: Annotated[float, Field(gt=0, le=1)] = 0.1


class Binarisation(LayerLoss):
    """Weights of one size a column, in layers of 2 bits; it rises over the first ``ramp_frac``."""

    ramp_frac: Fraction = 0.5


class RangeShaping(LayerLoss):
    """A spread of weights that quantises well: its kurtosis, or its peak over its rms value.

    ``target`` is the kurtosis that is aimed at (1.8 if left out), or the peak that is allowed
    (2.5); both are in each column's own unit.
    """

    shape: RangeShape = "kurtosis"
    target: Annotated[float, Field(ge=1)] | None = None

    @property
    def aim(self) -> float:
        """The target, or that of the shape."""
        return RANGE_TARGETS[self.shape] if self.target is None else self.target


class NoiseInsensitivity(ExtraLoss):
    """Logits that differ little from those without noise and with an ideal converter."""


class AdcOverflow(LayerLoss):
    """Sums of row groups that stay within ``range_frac`` of what the converters span."""

    range_frac: Positive = 1.0


class Losses(Spec):
    """What a candidate's training minimises beside its task's loss; an entry left out is off."""

    bit_sparsity: BitSparsity | None = None
    binarisation: Binarisation | None = None
    range_shaping: RangeShaping | None = None
    noise_insensitivity: NoiseInsensitivity | None = None
    adc_overflow: AdcOverflow | None = None


NO_LOSSES = Losses()


def are_off(losses: Losses) -> bool:
    """Return whether a recipe says nothing of them: then it is the one it was without them."""
    return losses == NO_LOSSES
