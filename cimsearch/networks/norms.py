"""Batch norm statistics measured again, for a network that changed under them."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from cimsearch.networks.network import Network


@torch.no_grad()
def recalibrate_norms(network: Network, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics of all batch norms by their mean over ``batches``.

    Behind converters that compute an activation they are those of exact sums, and the ranges of
    these follow. The network runs at its present mode, so that the statistics include the
    hardware's noise.

    Args:
        network: Left in evaluation mode.
        batches: Training images, (n, c, h, w) each.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's spelling of a plain mean over batches
    network.train()
    for images in batches:
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for layer in network.cim_layers():
        layer.follow()
    network.eval()
