"""What a network says of each image: chip by chip as it was scored, and without any error."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cimsearch.evaluate import Job
from cimsearch.evaluate.images import first_images, images_of, source_of
from cimsearch.networks import Network
from cimsearch.spec.condition import AS_STATED, Condition
from cimsearch.training.accuracy import logits_of
from cimsearch.training.data import Images

Predictions = tuple[int, ...]
"""The class that is said of each image."""


@dataclass(frozen=True)
class ChipPredictions:
    """What one chip says.

    Attributes:
        chip: Its index.
        by_condition: Predictions at each condition of the rung; at the one stated if it has none.
    """

    chip: int
    by_condition: tuple[Predictions, ...]


def scored_images(job: Job) -> Images:
    """Return the images that a job is scored on: those of its split, or as many as its rung says.

    Raises:
        DataError: The data is missing, or not as declared.
    """
    return first_images(images_of(source_of(job), job.split), job.rung)


def conditions_of(job: Job) -> tuple[Condition, ...]:
    """Return the conditions that each chip is read at."""
    return job.rung.conditions or (AS_STATED,)


def chips_of(job: Job) -> range:
    """Return the indices of the chips that a job is scored on."""
    return range(job.first_chip, job.first_chip + job.rung.chips)


def predictions_of_chip(network: Network, images: Images, job: Job, chip: int) -> ChipPredictions:
    """Return what one chip says, with all its noise, with what was fitted once for all chips.

    Args:
        network: Ready to be scored; its mode and chip are changed.
        images: Of the job.
        job: Of the network.
        chip: Index of the chip.
    """
    found = []
    for condition in conditions_of(job):
        network.set_mode(job.rung.score_level, condition=condition)
        network.set_chip(chip)
        found.append(_predictions(network, images, job))
    network.set_chip(None)
    return ChipPredictions(chip, tuple(found))


def predictions_of_chips(
    network: Network, images: Images, job: Job, on_chip: Callable[[int], None]
) -> tuple[ChipPredictions, ...]:
    """Return what each chip of a job says; ``on_chip`` hears of each that is done."""
    found = []
    for chip in chips_of(job):
        found.append(predictions_of_chip(network, images, job, chip))
        on_chip(len(found))
    return tuple(found)


def ideal_predictions(network: Network, images: Images, job: Job) -> Predictions:
    """Return what the network says with an ideal converter and no noise."""
    network.set_mode(job.rung.score_level, ideal=True)
    return _predictions(network, images, job)


def accuracy_of(predictions: Predictions, images: Images) -> float:
    """Return the share of images whose class is predicted."""
    return int((np.array(predictions) == images.y).sum()) / len(images.y)


def _predictions(network: Network, images: Images, job: Job) -> Predictions:
    found: torch.Tensor = logits_of(network, images, job.data).argmax(dim=1)
    return tuple(found.tolist())
