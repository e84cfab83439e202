"""How much the hardware moves a network's logits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.networks import Network


def divergence(logits: Tensor, clean: Tensor) -> Tensor:
    """Return ``KL(softmax(clean) || softmax(logits))``, the mean over a batch, in nats.

    Args:
        logits: (n, classes).
        clean: The same images without noise, (n, classes); to be without gradient.
    """
    return functional.kl_div(
        logits.log_softmax(dim=1),
        clean.log_softmax(dim=1),
        reduction="batchmean",
        log_target=True,
    )


@torch.no_grad()
def clean_logits(network: Network, images: Tensor) -> Tensor:
    """Return logits of a network in training without noise and with ideal converters.

    Batch norms use the statistics of these images, as those of the noisy pass did, and learn
    nothing from them. No number is drawn: the network's random stream stays where it is.
    """
    with _undisturbed(network):
        logits: Tensor = network(images)
    return logits


@contextmanager
def _undisturbed(network: Network) -> Iterator[None]:
    """Make a network in training ideal, with norms that learn nothing, for a while."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    layers = list(network.cim_layers())
    modes, training = [layer.mode for layer in layers], network.training
    # Of the network alone: in training it draws a new chip at each pass.
    network.training = False
    for norm in norms:
        norm.track_running_stats = False
    for layer in layers:
        layer.mode = replace(layer.mode, ideal=True)
    try:
        yield
    finally:
        network.training = training
        for norm in norms:
            norm.track_running_stats = True
        for layer, mode in zip(layers, modes, strict=True):
            layer.mode = mode
