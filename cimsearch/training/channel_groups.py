"""Which channels of a layer get more bits: those whose output fewer bits disturb most.

All output channels of a convolution read the same inputs. If these are taken as uncorrelated and
of equal power, the error of a channel's weights disturbs it in proportion to the error's energy,
and the batch norm scales that by the square of its slope. So a channel is as sensitive as

    (|W - Q_low(W)|**2 - |W - Q_high(W)|**2) * gain**2 / variance

with Q the quantizer of the layer's parts. It is the weight perturbation of HAWQ-V2 (Z. Dong et
al., arXiv 1911.03852) for single channels, with the batch norm's slope in the place of the trace
of the Hessian; it takes the trained float weights and no data.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cim.quantise import SCALE_SHARES, weight_codes, weight_scale
from cimsearch.networks import Network, build
from cimsearch.space.widths import with_whole_layers

_EPS = 1e-5
"""What batch norms add to a variance."""


@dataclass(frozen=True)
class Parts:
    """A layer in parts: the node that joins them, the part of few bits and that of many."""

    joined: Node
    low: Node
    high: Node

    @property
    def layer(self) -> str:
        """The name of the whole layer in the float parent."""
        return self.low.name


def layers_in_parts(blueprint: Blueprint) -> dict[str, Parts]:
    """Return the layers in parts, by the name of each part."""
    found: dict[str, Parts] = {}
    for node in blueprint.nodes:
        if node.op == "concat":
            low, high = (blueprint.node(name) for name in node.inputs)
            found |= dict.fromkeys(node.inputs, Parts(node, low, high))
    return found


def put_together(network: Network) -> Network:
    """Return the float network of a network's weights, its layers whole; itself if they are."""
    parts = layers_in_parts(network.blueprint)
    if not parts:
        return network
    whole = build(with_whole_layers(network.blueprint), None, generator=torch.Generator())
    with torch.no_grad():
        for node in whole.blueprint.nodes:
            if node.op == "batchnorm":
                whole.module(node.name).load_state_dict(network.module(node.name).state_dict())
            elif node.has_weights:
                weight = whole.module(node.name).get_parameter("weight")
                weight.copy_(_weight_of(network, node.name, parts.get(node.name)))
            if node.op == "linear":
                bias = network.module(node.name).get_parameter("bias")
                whole.module(node.name).get_parameter("bias").copy_(bias)
    return whole.eval()


def _weight_of(network: Network, name: str, parts: Parts | None) -> Tensor:
    """Return the weights of a layer, those of its parts in the layer's order."""
    if parts is None:
        return network.module(name).get_parameter("weight")
    both = [network.module(n.name).get_parameter("weight") for n in (parts.low, parts.high)]
    return torch.cat((both[0], both[1]))[network.module(parts.joined.name).get_buffer("order")]


def channels_of_more_bits(network: Network) -> dict[str, Tensor]:
    """Return which channels (n,) of each layer in parts have more bits, by the layer's name."""
    return {
        parts.layer: network.module(parts.joined.name).get_buffer("order")
        >= parts.low.out_shape[0]
        for parts in layers_in_parts(network.blueprint).values()
    }


def most_sensitive(sensitivity: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return which channels have fewer bits, and the ``count`` that have more, each ascending.

    Args:
        sensitivity: Of each channel (channels,); of equal ones the first have more bits.
        count: How many have more bits.
    """
    order = torch.sort(sensitivity, descending=True, stable=True).indices
    return order[count:].sort().values, order[:count].sort().values


def order_of(low: Tensor, high: Tensor) -> Tensor:
    """Return which channel of both parts, one after the other, each one in ascending order is."""
    return torch.cat((low, high)).argsort()


def preferring(sensitivity: Tensor, held: Tensor) -> Tensor:
    """Return sensitivities (n,) that are above all others where channels are ``held`` (n,)."""
    return sensitivity + held * (sensitivity.max() - sensitivity.min() + 1)


def sensitivities(weight: Tensor, slopes: Tensor, parts: Parts) -> Tensor:
    """Return how much each output channel loses by fewer bits, (n,).

    Args:
        weight: Float weights of the whole layer (n, c, kh, kw).
        slopes: What a batch norm multiplies each channel by, (n,).
        parts: The layer.
    """
    low, high = (_error_power(weight, part.w_bits) for part in (parts.low, parts.high))
    return (low - high) * slopes.double().square()


def norm_slopes(parent: Network) -> dict[str, Tensor]:
    """Return what a batch norm multiplies the channels of each convolution by, (n,); or 1."""
    slopes = {
        node.name: torch.ones(node.out_shape[0], dtype=torch.float64)
        for node in parent.blueprint.nodes
        if node.op == "conv"
    }
    for node in parent.blueprint.nodes:
        if node.op == "batchnorm" and node.inputs[0] in slopes:
            norm = parent.module(node.name)
            gain, variance = norm.get_parameter("weight").detach(), norm.get_buffer("running_var")
            spread = (variance.double() + _EPS).sqrt()
            slopes[node.inputs[0]] = gain.double() / spread
    return slopes


def _error_power(weight: Tensor, bits: int) -> Tensor:
    """Return the energy of the error of each output channel's quantised weights, (n,).

    Each channel has a step of its own, as layers have. The largest code stands for that share of
    the channel's largest weight which gives all channels the least error.
    """
    if not bits:
        return weight.new_zeros(len(weight), dtype=torch.float64)
    limit = 2 ** (bits - 1) - 1
    tried = []
    for share in SCALE_SHARES:
        scale = weight_scale(weight, limit, share)
        error = weight_codes(weight, scale, limit)[0] * scale - weight
        tried.append(error.double().square().flatten(1).sum(dim=1))
    return min(tried, key=lambda power: float(power.sum()))
