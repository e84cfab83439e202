"""The activations that a family's networks may have."""

from typing import Literal

ACTIVATION = "activation"
"""The field of a space file, and the gene: one for a whole network."""

Activation = Literal["relu", "relu6", "hard_sigmoid"]
"""max(x, 0); the same up to 6; clip(x / 6 + 1 / 2, 0, 1)."""

UPPER_ENDS = {"relu6": 6.0}
"""What a ReLU does not exceed, by activation: nothing where it is left out."""
