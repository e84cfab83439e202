"""What a network is measured and tuned with as it is pruned."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from cimsearch.networks import Network
from cimsearch.spec.recipe import Recipe
from cimsearch.training.accuracy import accuracy
from cimsearch.training.data import Images, normalise
from cimsearch.training.gain.result import Step
from cimsearch.training.gain.taylor import Batches
from cimsearch.training.recipe import TrainingData, cosine
from cimsearch.training.tune import fine_tune

MEASURED_BATCH = 128


@dataclass(frozen=True)
class Tuning:
    """What a network is measured and tuned with as it is pruned.

    Attributes:
        training: Images to learn from.
        held_out: Images for accuracy: held out of training, and never those of a test.
        recipe: Batch, momentum and weight decay.
        epochs: Of tuning after each round; 0.2 to 1, or 0 for none.
        rate: First learning rate of each tuning, falling as a cosine; the recipe's ``qat_lr`` if
            left out.
        images: Training images that importances are measured with.
        dtype: What is tuned in: float32, or bfloat16 on processors that are faster with it.
    """

    training: TrainingData
    held_out: Images
    recipe: Recipe
    epochs: float = 0.5
    rate: float | None = None
    images: int = 2048
    dtype: torch.dtype = torch.float32


AfterRound = Callable[[Step, Network], None]
"""Called with the last step of a round and the tuned network."""


def tune(network: Network, tuning: Tuning, generator: torch.Generator) -> None:
    """Train a network for the epochs of ``tuning``, in place.

    Raises:
        CimsearchError: The loss became infinite or NaN.
    """
    training, recipe = tuning.training, tuning.recipe
    rate = recipe.qat_lr if tuning.rate is None else tuning.rate
    network.dtype = tuning.dtype
    fine_tune(
        network,
        training,
        recipe,
        steps=round(tuning.epochs * training.steps(recipe.batch)),
        rate=lambda progress: rate * cosine(progress),
        generator=generator,
    )
    network.dtype = torch.float32


def held_out_accuracy(network: Network, tuning: Tuning) -> float:
    """Return the accuracy (0..1) on the images held out of training."""
    return accuracy(network, tuning.held_out, tuning.training.data)


def batches(tuning: Tuning, generator: torch.Generator) -> Batches:
    """Yield the images that importances are measured with, drawn from those of training."""
    training = tuning.training
    order = torch.randperm(len(training.images.y), generator=generator)
    for part in torch.split(order[: tuning.images].sort().values, MEASURED_BATCH):
        places = part.numpy()
        images = normalise(training.images.x[places], training.data)
        yield images, torch.from_numpy(training.images.y[places])
