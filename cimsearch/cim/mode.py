"""How quantised layers compute: level, noise, condition."""

from dataclasses import dataclass

from cimsearch.spec.hardware import AS_STATED, Condition
from cimsearch.spec.study import Level


@dataclass(frozen=True)
class Mode:
    """How quantised layers compute.

    Attributes:
        level: L0, L1 or L2.
        ideal: An ideal converter and no noise: quantisation alone.
        noise_scale: Factor on all noise.
        condition: What a chip is read at.
    """

    level: Level = "L1"
    ideal: bool = False
    noise_scale: float = 1.0
    condition: Condition = AS_STATED
