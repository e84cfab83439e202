"""Accuracy of a network on images, and over chips."""

import torch
from torch import Tensor

from cimsearch.networks import Network
from cimsearch.spec.condition import AS_STATED, Condition
from cimsearch.spec.study import DataSpec, Level
from cimsearch.training.data import Images, normalise

SCORING_BATCH = 256
"""Images at once: how many changes speed and memory, and logits in their last bits alone."""


@torch.no_grad()
def logits_of(
    network: Network, images: Images, data: DataSpec, *, batch: int = SCORING_BATCH
) -> Tensor:
    """Return the logits of ``images``, (n, classes) float32, at the present mode and chip."""
    network.eval()
    starts = range(0, len(images.y), batch)
    parts = [network(normalise(images.x[start : start + batch], data)) for start in starts]
    return torch.cat(parts)


def accuracy(
    network: Network, images: Images, data: DataSpec, *, batch: int = SCORING_BATCH
) -> float:
    """Return the share of ``images`` whose largest logit is their class, at the present mode."""
    found = logits_of(network, images, data, batch=batch).argmax(dim=1)
    return int((found == torch.from_numpy(images.y)).sum()) / len(images.y)


def accuracy_of_chips(
    network: Network,
    images: Images,
    data: DataSpec,
    *,
    level: Level,
    chips: range,
    condition: Condition = AS_STATED,
    batch: int = SCORING_BATCH,
) -> tuple[float, ...]:
    """Return the accuracy of each chip with all its noise, in order of chip index.

    A chip is the same for every network and at every condition: its draws are keyed by its index
    and the layer alone.
    """
    network.set_mode(level, condition=condition)
    scores = []
    for chip in chips:
        network.set_chip(chip)
        scores.append(accuracy(network, images, data, batch=batch))
    network.set_chip(None)
    return tuple(scores)
