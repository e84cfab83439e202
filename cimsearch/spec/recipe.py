"""How candidates are trained."""

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field

from cimsearch.spec.base import Count, Fraction, NonNegative, Positive, Spec
from cimsearch.spec.losses import NO_LOSSES, Losses, are_off

Steps = Literal["calibrated", "learned"]
NoisePlace = Literal["weights", "activations", "partial_sums"]


class NoiseEntry(Spec):
    """Normal noise that training adds to the hardware's own, in some layers, at some steps.

    ``sigma_frac`` is its standard deviation after quantisation, as a fraction of the layer's
    largest weight code (``weights``) or input code (``activations``), or, at every conversion, of
    the full scale of a partial sum (``partial_sums``). ``layers`` is a pattern of names in which
    ``*`` is any text. ``every`` is k for each k-th step, from the k-th on. The noise rises over
    ``ramp_frac`` as the hardware's does.
    """

    on: NoisePlace
    sigma_frac: Annotated[float, Field(gt=0, le=1)]
    layers: Annotated[str, Field(min_length=1)] = "*"
    every: Count = 1

    def of(self, layer: str) -> bool:
        """Return whether this is of the layer with that name."""
        return fnmatchcase(layer, self.layers)


class Distillation(Spec):
    """A loss that is in part the distance to the float parent (Hinton et al., arXiv 1503.02531).

    ``weight`` is the parent's part of the loss; both softmaxes are taken at ``temperature``.
    """

    weight: Fraction
    temperature: Positive


class Recipe(Spec):
    """How a candidate is trained: its float parent, then quantisation-aware with noise.

    SGD with Nesterov momentum; one-cycle learning rate on the parent, cosine on the candidate.

    ``steps`` are those of inputs and weights, ``partial_sum_steps`` those of the converters: as
    they were calibrated, or trained from there (Esser et al., arXiv 1902.08153). The converters'
    are trained at level L1, with the range policies ``layer`` and ``column``.

    ``losses`` come beside cross entropy and distillation, each times its weight.
    """

    batch: Count
    parent_epochs: Count
    parent_lr: Positive
    qat_lr: Positive
    momentum: Fraction = 0.9
    weight_decay: NonNegative = 5e-4
    noise_scale: NonNegative = 1.0
    ramp_frac: Fraction = 0.5
    steps: Steps = "calibrated"
    partial_sum_steps: Steps = "calibrated"
    noise: tuple[NoiseEntry, ...] = ()
    distillation: Distillation | None = None
    losses: Annotated[Losses, Field(exclude_if=are_off)] = NO_LOSSES
