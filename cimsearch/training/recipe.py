"""The recipe: a float parent from scratch, then a candidate quantisation-aware with noise."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import cos, pi

import torch
from torch import Tensor
from torch.nn import functional

from cimsearch.errors import CimsearchError
from cimsearch.networks import Network
from cimsearch.spec.study import DataSpec, Level, Recipe
from cimsearch.training.data import Images, augment, normalise

WARM_UP_FRAC = 0.3
FIRST_LR_FRAC = 0.04


@dataclass(frozen=True)
class TrainingData:
    """Training images with their declaration.

    Attributes:
        images: Of the training part.
        data: How they are normalised and augmented.
    """

    images: Images
    data: DataSpec

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Return up to ``count`` random images (n, c, h, w), normalised and not augmented."""
        chosen = torch.randperm(len(self.images.y), generator=generator)[:count]
        return normalise(self.images.x[chosen.sort().values.numpy()], self.data)

    def steps(self, batch: int) -> int:
        """Return the batches of one epoch; a short last one is left out."""
        return max(1, len(self.images.y) // batch)

    def epoch(self, batch: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield augmented batches (x, y) of one epoch in random order."""
        order = torch.randperm(len(self.images.y), generator=generator).numpy()
        for step in range(self.steps(batch)):
            chosen = order[step * batch : (step + 1) * batch]
            x = augment(
                normalise(self.images.x[chosen], self.data), self.data.augmentation, generator
            )
            yield x, torch.from_numpy(self.images.y[chosen])


def one_cycle(progress: float) -> float:
    """Return the learning rate, as a share of its peak, at ``progress`` 0 to 1.

    It rises linearly and falls as a cosine (Smith and Topin, arXiv 1708.07120).
    """
    if progress < WARM_UP_FRAC:
        return FIRST_LR_FRAC + (1 - FIRST_LR_FRAC) * progress / WARM_UP_FRAC
    return cosine((progress - WARM_UP_FRAC) / (1 - WARM_UP_FRAC))


def cosine(progress: float) -> float:
    """Return the learning rate, as a share of its first value, at ``progress`` 0 to 1."""
    return 0.5 + 0.5 * cos(pi * progress)


def train_float(
    network: Network, training: TrainingData, recipe: Recipe, *, generator: torch.Generator
) -> None:
    """Train a float network from its initial weights, in place.

    Args:
        network: To train; ends in evaluation mode.
        training: Images.
        recipe: Batch, epochs, peak learning rate.
        generator: Order and augmentation.

    Raises:
        CimsearchError: The loss became infinite or NaN.
    """

    def rate(progress: float) -> float:
        return recipe.parent_lr * one_cycle(progress)

    _fit(network, training, recipe, epochs=recipe.parent_epochs, rate=rate, generator=generator)


def train_candidate(
    network: Network,
    training: TrainingData,
    recipe: Recipe,
    *,
    epochs: int,
    level: Level,
    generator: torch.Generator,
) -> None:
    """Train a calibrated quantised network through its hardware, in place.

    Every batch sees another chip. The noise rises linearly over the first ``ramp_frac``.

    Args:
        network: To train; ends in evaluation mode.
        training: Images.
        recipe: Batch, first learning rate, noise.
        epochs: How long.
        level: Fidelity trained at.
        generator: Order and augmentation.

    Raises:
        CimsearchError: The loss became infinite or NaN.
    """

    def rate(progress: float) -> float:
        ramp = min(1.0, progress / recipe.ramp_frac) if recipe.ramp_frac > 0 else 1.0
        network.set_mode(level, noise_scale=recipe.noise_scale * ramp)
        return recipe.qat_lr * cosine(progress)

    network.set_chip(None)
    _fit(network, training, recipe, epochs=epochs, rate=rate, generator=generator)


def _fit(
    network: Network,
    training: TrainingData,
    recipe: Recipe,
    *,
    epochs: int,
    rate: Callable[[float], float],
    generator: torch.Generator,
) -> None:
    """Minimise the cross entropy by SGD with Nesterov momentum at the ``rate`` of each step."""
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=rate(0.0),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.momentum > 0,
        fused=True,
    )
    steps = epochs * training.steps(recipe.batch)
    step = 0
    network.train()
    for epoch in range(epochs):
        for x, y in training.epoch(recipe.batch, generator):
            optimizer.param_groups[0]["lr"] = rate(step / steps)
            optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(network(x), y)
            torch.autograd.backward(loss)
            optimizer.step()
            step += 1
        if not bool(torch.isfinite(loss)):
            raise CimsearchError(
                f"training diverged: loss is {loss.item()} after epoch {epoch + 1} of {epochs}",
                "lower recipe.parent_lr or recipe.qat_lr",
            )
    network.eval()
