"""A network made wider without a change of what it computes: filters split (Net2Wider).

T. Chen, I. Goodfellow and J. Shlens, "Net2Net", arXiv 1511.05641: a new channel is a copy of an
old one, and what reads them shares its weights among the copies. Noise then tells copies apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cimsearch.blueprint import NETWORK_INPUT, Node
from cimsearch.errors import UsageError
from cimsearch.networks import Network
from cimsearch.space.widths import depthwise, multiples_of
from cimsearch.training.prune import Scores


@torch.no_grad()
def widen(
    wide: Network,
    narrow: Network,
    scores: Scores,
    *,
    noise_frac: float,
    generator: torch.Generator,
) -> None:
    """Give ``wide`` the function of ``narrow``, its additional channels copies of the best ones.

    Args:
        wide: Gets the parameters and statistics; of the same layers with as many channels or more.
        narrow: The network whose filters are split.
        scores: Which channels are split first, by prune group.
        noise_frac: Standard deviation of the noise on the weights of a copied filter, as a share
            of their root mean square; with 0 both networks compute the same.
        generator: Draws the noise.

    Raises:
        UsageError: ``wide`` is not ``narrow`` with more channels.
    """
    origins = _origins(wide, narrow, scores)
    free = depthwise(narrow.blueprint)
    for node in wide.blueprint.nodes:
        out, read = origins[node.name], origins[node.inputs[0]]
        if node.op == "batchnorm":
            source = narrow.module(node.name).state_dict()
            picked = {k: v[out.source] if v.dim() else v for k, v in source.items()}
            wide.module(node.name).load_state_dict(picked)
        elif node.has_weights:
            old, layer = narrow.module(node.name), wide.module(node.name)
            weight = _split(
                old.get_parameter("weight"), node, out, None if node.name in free else read
            )
            if noise_frac:
                copies = out.copies
                weight[copies] += _noise(weight[copies], noise_frac, generator)
            layer.get_parameter("weight").copy_(weight)
            if node.op == "linear":
                layer.get_parameter("bias").copy_(old.get_parameter("bias"))


@dataclass(frozen=True)
class _Origins:
    """Which channel of the narrow network each channel of the wide one comes from, (channels,)."""

    source: Tensor

    @cached_property
    def shares(self) -> Tensor:
        """How many channels have the source of each channel, (channels,)."""
        return torch.bincount(self.source)[self.source]

    @property
    def copies(self) -> Tensor:
        """The channels (n,) whose source is also that of one before."""
        earlier = (self.source[:, None] == self.source).tril(-1).any(dim=1)
        return earlier.nonzero().flatten()


def _origins(wide: Network, narrow: Network, scores: Scores) -> dict[str, _Origins]:
    """Return where the channels of each node of ``wide`` come from."""
    parts, free = multiples_of(narrow.blueprint), depthwise(narrow.blueprint)
    old_widths = {node.name: node.out_shape[0] for node in narrow.blueprint.nodes}
    groups: dict[str, _Origins] = {}
    found = {NETWORK_INPUT: _Origins(torch.arange(wide.blueprint.input_shape[0]))}
    for node in wide.blueprint.nodes:
        first = found[node.inputs[0]]
        if node.op == "conv" and node.name not in free and node.prune_group:
            group = node.prune_group
            if group not in groups:
                groups[group] = _group(node, old_widths, scores, parts)
            found[node.name] = groups[group]
        elif node.has_weights and node.name not in free:
            found[node.name] = _Origins(torch.arange(node.out_shape[0]))
        elif node.op == "flatten":
            area = node.in_shape[1] * node.in_shape[2]
            source = (first.source[:, None] * area + torch.arange(area)).flatten()
            found[node.name] = _Origins(source)
        else:
            found[node.name] = first
    return found


def _group(
    node: Node, old_widths: Mapping[str, int], scores: Scores, parts: Mapping[str, int]
) -> _Origins:
    """Return where the channels of a prune group come from: each part keeps to itself."""
    group, width = node.prune_group, node.out_shape[0]
    old = old_widths.get(node.name, 0)
    if not 0 < old <= width or len(scores[group]) != old:
        raise UsageError(
            f"{node.name}: found {old} channels to widen and {len(scores[group])} scores; allowed "
            f"is one group of {width} or fewer, a score each"
        )
    score = scores[group].view(parts[group], -1)
    order = torch.sort(score, dim=1, descending=True, stable=True).indices
    own = torch.arange(score.shape[1]).expand_as(order)
    rounds = -(-width // old)
    each = torch.cat([own, *[order] * (rounds - 1)], dim=1)[:, : width // len(order)]
    return _Origins((each + score.shape[1] * torch.arange(len(order))[:, None]).flatten())


def _split(weight: Tensor, node: Node, out: _Origins, read: _Origins | None) -> Tensor:
    """Return the weights of the wide layer ``node`` from those of the narrow one.

    Args:
        weight: (outputs, inputs of a group, ...).
        node: The wide layer.
        out: Its outputs.
        read: Its inputs; None if each filter reads a channel of its own.
    """
    if read is None:
        return weight[out.source].clone()
    # An output reads the channels of its own group, of which weights count from 0.
    fan_in, fan_out = weight.shape[1], weight.shape[0] // node.groups
    sources = read.source.view(node.groups, -1) % fan_in
    group = out.source // fan_out
    picked = weight[out.source[:, None], sources[group]]
    shares = read.shares.view(node.groups, -1)[group]
    return picked / shares.view(*shares.shape, *[1] * (weight.dim() - 2))


def _noise(weight: Tensor, frac: float, generator: torch.Generator) -> Tensor:
    """Return noise for filters ``weight`` (n, ...)."""
    size = weight.flatten(1).square().mean(dim=1).sqrt().view(-1, *[1] * (weight.dim() - 1))
    return frac * size * torch.randn(weight.shape, generator=generator)
