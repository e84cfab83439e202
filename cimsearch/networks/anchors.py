"""Batch norms whose statistics are those of the data, of a network that computes the same."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cimsearch.networks.network import Network


@dataclass
class _Moments:
    """Sums over values of each channel (c,), in float64."""

    count: int = 0
    total: Tensor | float = 0.0
    squares: Tensor | float = 0.0

    def add(self, x: Tensor) -> None:
        """Take in values (n, c, h, w)."""
        x = x.double()
        self.count += x.numel() // x.shape[1]
        self.total = self.total + x.sum((0, 2, 3))
        self.squares = self.squares + x.square().sum((0, 2, 3))


@torch.no_grad()
def anchor_norms(network: Network, batches: Iterable[Tensor]) -> None:
    """Replace the statistics of all batch norms by those over ``batches``; outputs stay equal.

    Gain and offset take up the difference. Statistics that are measured again later, because the
    network was quantised, then change what quantising changed and nothing else. Without this a
    batch norm that stands for the bias of a convolution would lose its function.

    Args:
        network: A float network; left in evaluation mode.
        batches: Training images, (n, c, h, w) each.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    found = {norm: _Moments() for norm in norms}
    hooks = [
        norm.register_forward_pre_hook(lambda norm, inputs: found[norm].add(inputs[0]))
        for norm in norms
    ]
    network.eval()
    for images in batches:
        network(images)
    for hook in hooks:
        hook.remove()
    for norm, moments in found.items():
        _anchor(norm, moments)


def _anchor(norm: nn.BatchNorm2d, moments: _Moments) -> None:
    mean = torch.as_tensor(moments.total) / moments.count
    var = (torch.as_tensor(moments.squares) / moments.count - mean.square()).clamp(min=0.0)
    gain, offset = norm.get_parameter("weight"), norm.get_parameter("bias")
    old_mean, old_var = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    slope = gain.double() / (old_var.double() + norm.eps).sqrt()
    offset.copy_(offset.double() + slope * (mean - old_mean.double()))
    gain.copy_(slope * (var + norm.eps).sqrt())
    old_mean.copy_(mean)
    old_var.copy_(var)
