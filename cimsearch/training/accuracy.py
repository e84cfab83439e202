"""Accuracy of a network on images, and over chips."""

import torch

from cimsearch.networks import Network
from cimsearch.spec.study import DataSpec, Level
from cimsearch.training.data import Images, normalise

# Fixed, so that a score depends on nothing but its job: converters draw their noise by batch.
SCORING_BATCH = 256


@torch.no_grad()
def accuracy(network: Network, images: Images, data: DataSpec) -> float:
    """Return the share of ``images`` whose largest logit is their class, at the present mode."""
    network.eval()
    right = 0
    for start in range(0, len(images.y), SCORING_BATCH):
        stop = start + SCORING_BATCH
        logits = network(normalise(images.x[start:stop], data))
        right += int((logits.argmax(dim=1) == torch.from_numpy(images.y[start:stop])).sum())
    return right / len(images.y)


def accuracy_of_chips(
    network: Network, images: Images, data: DataSpec, *, level: Level, chips: range
) -> tuple[float, ...]:
    """Return the accuracy of each chip with all its noise, in order of chip index.

    A chip is the same for every network: its draws are keyed by its index and the layer alone.
    """
    network.set_mode(level)
    scores = []
    for chip in chips:
        network.set_chip(chip)
        scores.append(accuracy(network, images, data))
    network.set_chip(None)
    return tuple(scores)
