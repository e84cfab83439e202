"""The gains of batch norms, by prune group: which channels a network still uses."""

from collections.abc import Iterator, Mapping
from math import sqrt

import torch
from torch import Tensor

from cimsearch.blueprint import Blueprint
from cimsearch.errors import UsageError
from cimsearch.networks import Network
from cimsearch.space.widths import multiples_of

DEAD_FRAC = 0.01
"""Of the largest gain of its group: a channel below is dropped."""


def check_gains(blueprint: Blueprint) -> None:
    """Check that a network has gains to shrink by.

    Raises:
        UsageError: No convolution of a prune group has a batch norm behind it.
    """
    if not any(_norms(blueprint)):
        raise UsageError(
            "morph: found no batch norm after a convolution of a prune group; needed is one to "
            "shrink by"
        )


def gains(network: Network) -> dict[str, Tensor]:
    """Return the size of the gain of every channel, by prune group: {group: (channels,)}.

    A channel that several convolutions put out has the root mean square of the gains of their
    batch norms: it is dead where all of them are. Groups whose convolutions have no batch norm are
    left out.
    """
    return {
        group: torch.linalg.vector_norm(each, dim=0) / sqrt(len(each))
        for group, each in ((g, torch.stack(each)) for g, each in _gains(network).items())
    }


@torch.no_grad()
def pull(network: Network, prices: Mapping[str, float], amount: float) -> None:
    """Draw the gains of a network to zero, in place, and no further.

    This is the proximal step of ``amount * sum over channels of price * gain``: a gain of one norm
    falls by amount x price; those of n norms of one channel, as a vector of length sqrt(n) x gain,
    get shorter by amount x price / sqrt(n).
    """
    for group, each in _gains(network).items():
        length = torch.linalg.vector_norm(torch.stack(each), dim=0)
        less = amount * prices[group] / sqrt(len(each))
        left = torch.where(length > less, 1 - less / length, 0.0)
        for gain in each:
            gain.mul_(left)


@torch.no_grad()
def alive_channels(network: Network, *, least: int = 1) -> dict[str, int]:
    """Return how many channels of each prune group are alive, as many as can be cut out.

    Where a grouped convolution cuts the channels into parts, each has as many as the part with the
    most. Groups without gains are left out: all their channels stay.

    Args:
        network: With its gains.
        least: What stays of a group at least, where it has so many.
    """
    parts = multiples_of(network.blueprint)
    return {
        group: _alive(gain.view(parts[group], -1), least) for group, gain in gains(network).items()
    }


def _alive(gain: Tensor, least: int) -> int:
    """Return how many channels are alive of ``gain`` (parts, channels)."""
    parts, width = gain.shape
    alive = int((gain > DEAD_FRAC * gain.max()).sum(dim=1).max())
    return parts * min(width, max(alive, -(-least // parts)))


def _gains(network: Network) -> dict[str, list[Tensor]]:
    """Return the gains (channels,) of the batch norms behind the convolutions of each group."""
    found: dict[str, list[Tensor]] = {}
    for group, norm in _norms(network.blueprint):
        found.setdefault(group, []).append(network.module(norm).get_parameter("weight"))
    return found


def _norms(blueprint: Blueprint) -> Iterator[tuple[str, str]]:
    """Yield each prune group with the name of a batch norm behind one of its convolutions."""
    convs = {node.name: node for node in blueprint.nodes if node.op == "conv"}
    for node in blueprint.nodes:
        conv = convs.get(node.inputs[0])
        if node.op == "batchnorm" and conv is not None and conv.prune_group:
            yield conv.prune_group, node.name
