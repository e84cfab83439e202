"""How candidates are trained."""

from cimsearch.spec.base import Count, Fraction, NonNegative, Positive, Spec


class Recipe(Spec):
    """How a candidate is trained: its float parent, then quantisation-aware with noise.

    SGD with Nesterov momentum; one-cycle learning rate on the parent, cosine on the candidate.
    """

    batch: Count
    parent_epochs: Count
    parent_lr: Positive
    qat_lr: Positive
    momentum: Fraction = 0.9
    weight_decay: NonNegative = 5e-4
    noise_scale: NonNegative = 1.0
    ramp_frac: Fraction = 0.5
