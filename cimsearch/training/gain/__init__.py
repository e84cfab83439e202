"""Structured pruning by the least importance per unit of hardware cost that is really saved."""

from cimsearch.training.gain.loop import prune
from cimsearch.training.gain.result import Pruned, Step
from cimsearch.training.gain.target import Target
from cimsearch.training.gain.taylor import taylor
from cimsearch.training.gain.tuning import Tuning

__all__ = ["Pruned", "Step", "Target", "Tuning", "prune", "taylor"]
