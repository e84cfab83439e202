"""Structured pruning: a candidate inherits the filters of its trained parent that matter most."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from cimsearch.blueprint import NETWORK_INPUT, Blueprint, Node
from cimsearch.errors import UsageError
from cimsearch.networks import Network
from cimsearch.space.resting import resting
from cimsearch.space.widths import depthwise, multiples_of
from cimsearch.training.channel_groups import (
    channels_of_more_bits,
    layers_in_parts,
    most_sensitive,
    norm_slopes,
    order_of,
    preferring,
    put_together,
    sensitivities,
)
from cimsearch.training.row_groups import skip_least_row_groups

Scores = Mapping[str, Tensor]
"""How much each output channel of a prune group matters, by group: (channels,)."""


def importance(parent: Network) -> dict[str, Tensor]:
    """Return how much each output channel of every prune group matters: {group: (channels,)}.

    A channel's importance is the L2 norm of its filter times the size of the batch norm's gain
    that follows it, summed over the convolutions of the group: the channel is kept or dropped in
    all of them.
    """
    gains = {
        node.inputs[0]: parent.module(node.name).get_parameter("weight").detach().abs()
        for node in parent.blueprint.nodes
        if node.op == "batchnorm"
    }
    groups: dict[str, Tensor] = {}
    for node in parent.blueprint.nodes:
        if node.op == "conv" and node.prune_group:
            norm = _weight(parent, node).flatten(1).norm(dim=1)
            score = norm * gains.get(node.name, torch.ones(len(norm)))
            known = groups.get(node.prune_group)
            groups[node.prune_group] = score if known is None else known + score
    return groups


def kept_channels(
    parent: Network,
    candidate: Blueprint,
    scores: Scores | None = None,
    held: Mapping[str, Tensor] = MappingProxyType({}),
) -> dict[str, Tensor]:
    """Return which of the parent's channels each node of ``candidate`` puts out, ascending.

    Convolutions keep the most important ones of their group, as many of each of the parts that a
    grouped convolution cuts them into, and without a group all; everything else follows its
    inputs. Of a layer in parts of different bits, the part of more has the most sensitive ones.

    Args:
        parent: The network with all channels.
        candidate: The one with fewer.
        scores: What is kept first; ``importance`` if left out.
        held: Which channels (n,) of a layer get more bits first, by the layer's name.

    Raises:
        UsageError: The candidate is not the parent with fewer channels.
    """
    scores = importance(parent) if scores is None else scores
    free, in_parts = depthwise(parent.blueprint), layers_in_parts(candidate)
    multiples, slopes = multiples_of(parent.blueprint), norm_slopes(parent)
    channels: dict[str, Tensor] = {NETWORK_INPUT: torch.arange(candidate.input_shape[0])}
    for node in candidate.nodes:
        first, *others = (channels[name] for name in node.inputs)
        if found := in_parts.get(node.name):
            whole = _own_channels(found.joined, scores, multiples)
            weight = _kept_weight(parent, found.layer, whole, first)
            sensitivity = sensitivities(weight, slopes[found.layer][whole], found)
            if found.layer in held:
                sensitivity = preferring(sensitivity, held[found.layer][whole])
            low, high = most_sensitive(sensitivity, found.high.out_shape[0])
            channels[node.name] = whole[low if node == found.low else high]
        elif node.op == "concat" or (node.has_weights and node.name not in free):
            channels[node.name] = _own_channels(node, scores, multiples)
        elif node.op == "flatten":
            area = node.in_shape[1] * node.in_shape[2]
            channels[node.name] = (first[:, None] * area + torch.arange(area)).flatten()
        else:
            if any(not torch.equal(first, other) for other in others):
                raise UsageError(f"{node.name}: found inputs that keep different channels")
            channels[node.name] = first
    return channels


def _own_channels(node: Node, scores: Scores, multiples: Mapping[str, int]) -> Tensor:
    """Return the channels that a layer keeps by itself, whatever it reads."""
    if node.prune_group:
        return _most_important(node, scores, multiples)
    return torch.arange(node.out_shape[0])


def _most_important(node: Node, scores: Scores, parts: Mapping[str, int]) -> Tensor:
    width = node.out_shape[0]
    score = scores.get(node.prune_group)
    if score is None or len(score) < width:
        found = "none" if score is None else f"{len(score)} channels"
        raise UsageError(
            f"{node.name}: found {found} in the parent; allowed is one group of {width} or more"
        )
    part = score.view(parts[node.prune_group], -1)
    order = torch.sort(part, dim=1, descending=True, stable=True).indices
    kept = order[:, : width // len(part)].sort(dim=1).values
    return (kept + part.shape[1] * torch.arange(len(part))[:, None]).flatten()


@torch.no_grad()
def inherit(candidate: Network, parent: Network, scores: Scores | None = None) -> None:
    """Copy the kept part of every parameter and statistic of ``parent`` into ``candidate``.

    What linear layers read of channels that are gone goes into their biases, as these are at rest
    (``resting``); batch norms behind convolutions are to be measured again. Row groups of the
    candidate that are to hold no weights are then those of the least weights.

    Args:
        candidate: Gets them.
        parent: The network with all channels; of layers in parts, their channels together.
        scores: What is kept first; ``importance`` if left out.

    Raises:
        UsageError: The candidate is not the parent with fewer channels, or the parent has a
            parameter that is not finite.
    """
    parent.check_finite()
    # A trained network may have layers in parts itself: what has more bits there has it here.
    held, parent = channels_of_more_bits(parent), put_together(parent)
    kept = kept_channels(parent, candidate.blueprint, scores, held)
    parts = layers_in_parts(candidate.blueprint)
    for node in candidate.blueprint.nodes:
        out, read = kept[node.name], kept[node.inputs[0]]
        if node.op == "concat":
            low, high = (kept[name] for name in node.inputs)
            candidate.module(node.name).get_buffer("order").copy_(order_of(low, high))
        if node.op == "batchnorm":
            source = parent.module(node.name).state_dict()
            picked = {k: v[out] if v.dim() else v for k, v in source.items()}
            candidate.module(node.name).load_state_dict(picked)
        elif node.has_weights:
            source_of = parts[node.name].layer if node.name in parts else node.name
            layer, old = candidate.module(node.name), parent.module(source_of)
            layer.get_parameter("weight").copy_(_kept_weight(parent, source_of, out, read))
            if node.op == "linear":
                bias = old.get_parameter("bias") + bias_at_rest(parent, source_of, read)
                layer.get_parameter("bias").copy_(bias[out])
    skip_least_row_groups(candidate)


def bias_at_rest(parent: Network, name: str, read: Tensor) -> Tensor:
    """Return what channels at rest add to a linear layer, all but those that stay: (outputs,).

    Args:
        parent: The network with all channels.
        name: The layer.
        read: The inputs that stay.
    """
    node = parent.blueprint.node(name)
    weight = _weight(parent, node).flatten(1)
    rest = torch.full(weight.shape[1:], resting(parent.blueprint)[node.inputs[0]])
    rest[read] = 0.0
    return weight @ rest


def _kept_weight(parent: Network, name: str, out: Tensor, read: Tensor) -> Tensor:
    """Return the weights from the channels ``read`` to the channels ``out`` of a layer."""
    node = parent.blueprint.node(name)
    weight = _weight(parent, node)
    if name in depthwise(parent.blueprint):
        return weight[out]
    # An output reads the channels of its own group, of which weights count from 0.
    fan_in, fan_out = weight.shape[1], weight.shape[0] // node.groups
    of_group = read.view(node.groups, -1) % fan_in
    return weight[out[:, None], of_group[out // fan_out]]


def _weight(network: Network, node: Node) -> Tensor:
    return network.module(node.name).get_parameter("weight").detach()
