"""Structured pruning by the least importance per unit of hardware cost that is really saved."""

from cimsearch.training.gain.loop import Tuning, prune
from cimsearch.training.gain.result import Pruned, Step
from cimsearch.training.gain.target import Target
from cimsearch.training.gain.taylor import taylor

__all__ = ["Pruned", "Step", "Target", "Tuning", "prune", "taylor"]
