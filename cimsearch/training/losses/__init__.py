"""What training minimises: the task's loss, and what a recipe adds to it."""

from cimsearch.training.losses.extra import ExtraLosses
from cimsearch.training.losses.task import Loss, cross_entropy, distilled, loss_of

__all__ = ["ExtraLosses", "Loss", "cross_entropy", "distilled", "loss_of"]
