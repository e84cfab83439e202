"""Training for some steps more: between the cuts of pruning, and after morphing."""

from collections.abc import Callable, Iterator
from itertools import islice
from math import isfinite

import torch
from torch import Tensor

from cimsearch.errors import CimsearchError
from cimsearch.networks import Network
from cimsearch.spec.recipe import Recipe
from cimsearch.training.losses import Loss, cross_entropy
from cimsearch.training.recipe import TrainingData, optimiser_of

Rate = Callable[[float], float]
"""Progress 0 to 1 to the learning rate."""


def fine_tune(
    network: Network,
    training: TrainingData,
    recipe: Recipe,
    *,
    steps: int,
    rate: Rate,
    generator: torch.Generator,
    loss: Loss = cross_entropy,
) -> None:
    """Train a network for some steps, in place, at its present mode and as new chips.

    Args:
        network: Float, or quantised and calibrated; ends in evaluation mode.
        training: Images.
        recipe: Batch, momentum and weight decay.
        steps: Batches to train on; a new epoch begins where one ends.
        rate: Of learning, at each progress.
        generator: Order and augmentation.
        loss: What is minimised.

    Raises:
        CimsearchError: The loss became infinite or NaN.
    """
    if not steps:
        return
    optimiser = optimiser_of(network, recipe, rate(0.0))
    network.set_chip(None)
    network.train()
    value = torch.zeros(())
    batches = islice(_batches(training, recipe.batch, generator), steps)
    for step, (images, classes) in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = rate(step / steps) * group["share"]
        optimiser.zero_grad(set_to_none=True)
        value = loss(network(images), images, classes)
        torch.autograd.backward(value)
        optimiser.step()
        for each in network.quantisers():
            each.settle()
    if not isfinite(value.item()):
        raise CimsearchError(
            f"fine-tuning diverged: loss is {value.item()} after {steps} steps",
            "lower the learning rate",
        )
    optimiser.zero_grad(set_to_none=True)
    network.eval()


def _batches(
    training: TrainingData, batch: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from training.epoch(batch, generator)
