"""The loss of the task: cross entropy, and beside it the distance to a teacher."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from cimsearch.errors import UsageError
from cimsearch.networks import Network
from cimsearch.spec.recipe import Distillation

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Logits (n, classes), images (n, c, h, w) and classes (n,) to the mean loss."""


def cross_entropy(logits: Tensor, _images: Tensor, classes: Tensor) -> Tensor:
    """Return the mean cross entropy; see ``Loss``."""
    return functional.cross_entropy(logits, classes)


def distilled(
    logits: Tensor, teacher_logits: Tensor, classes: Tensor, distillation: Distillation
) -> Tensor:
    """Return ``(1 - weight) CE + weight T**2 KL(softmax(teacher / T) || softmax(student / T))``.

    Means over the batch, in nats (Hinton et al., arXiv 1503.02531). ``T**2`` keeps the gradient's
    size whatever the temperature.

    Args:
        logits: The student's (n, classes).
        teacher_logits: (n, classes).
        classes: (n,).
        distillation: Weight and temperature.
    """
    weight, temperature = distillation.weight, distillation.temperature
    distance = functional.kl_div(
        (logits / temperature).log_softmax(dim=1),
        (teacher_logits / temperature).log_softmax(dim=1),
        reduction="batchmean",
        log_target=True,
    )
    hard = functional.cross_entropy(logits, classes)
    return (1 - weight) * hard + weight * temperature**2 * distance


def loss_of(distillation: Distillation | None, teacher: Network | None) -> Loss:
    """Return the loss of a candidate.

    Args:
        distillation: As the recipe says.
        teacher: The trained float parent; put into evaluation mode.

    Raises:
        UsageError: There is no teacher to distil from.
    """
    if distillation is None:
        return cross_entropy
    if teacher is None:
        raise UsageError("recipe.distillation: found no teacher; needed is the float parent")
    teacher.eval()

    def loss(logits: Tensor, images: Tensor, classes: Tensor) -> Tensor:
        with torch.no_grad():
            taught = teacher(images)
        return distilled(logits, taught, classes, distillation)

    return loss
