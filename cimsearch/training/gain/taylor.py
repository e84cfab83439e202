"""How much each channel matters: the first-order Taylor term of removing it, image by image."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from cimsearch.blueprint import NETWORK_INPUT, Blueprint
from cimsearch.networks import Network
from cimsearch.space.bypass import Bypass
from cimsearch.space.resting import resting
from cimsearch.space.widths import depthwise, widths_of

Batches = Iterable[tuple[Tensor, Tensor]]
"""Images (n, c, h, w), normalised, and their classes (n,)."""


def taylor(network: Network, batches: Batches) -> dict[str, Tensor]:
    """Return the importance of every channel of every prune group: {group: (channels,)}.

    It is the mean over images of ``(sum of g w)**2``, over all parameters ``w`` that go with the
    channel, ``g`` the gradient of an image's cross entropy (Molchanov et al., arXiv 1906.10771):
    filters of the group's convolutions, gains and biases of their batch norms, and the weights by
    which other layers read the channel. A depthwise filter goes with the channel that it filters.

    A product is linear in its weights. So the sum of ``g w`` over a filter is the slope of the
    loss along a factor of 1 on its output, that over gain and bias the slope along a factor on
    the batch norm's, and that over weights that read a channel the slope along a factor on what
    they read: three factors give the sums of every image in one backward pass.

    What is 1 / 2 at rest, as a hard sigmoid is, goes into biases and batch norms once the channel
    is gone: there the last factor is on what is read beyond it.

    Args:
        network: Float, or quantised and calibrated: then at its mode, on a new chip a batch, with
            straight-through gradients. Left in evaluation mode.
        batches: Training images.
    """
    return taylor_with_blocks(network, batches, {}).groups


@dataclass(frozen=True)
class Terms:
    """Importances.

    Attributes:
        groups: Of every channel (channels,) by prune group.
        blocks: Of every channel (channels,) that a residual block adds, by block.
    """

    groups: dict[str, Tensor]
    blocks: dict[str, Tensor]


def taylor_with_blocks(network: Network, batches: Batches, blocks: Mapping[str, Bypass]) -> Terms:
    """Return the importance of every channel, and of what residual blocks add to each.

    The main path of a block adds its output channels to the shortcut's. With one of these go its
    filter in the last layer of the path and the gain and bias behind that; they are summed as
    those of any channel, in the same backward pass.

    Args:
        network: As in ``taylor``.
        batches: Training images.
        blocks: Of the network, by name; see ``space.bypass``.
    """
    network.eval()
    network.set_chip(None)
    total: dict[tuple[_Kind, str], Tensor] = {
        ("group", g): torch.zeros(width, dtype=torch.float64)
        for g, width in widths_of(network.blueprint).items()
    }
    seen = 0
    for images, classes in batches:
        for key, slopes in _slopes(network, images, classes, blocks).items():
            squares = slopes.double().square().sum(dim=0)
            total[key] = total[key] + squares if key in total else squares
        seen += len(classes)
    means = {key: squares / seen for key, squares in total.items()}
    return Terms(
        {name: mean for (kind, name), mean in means.items() if kind == "group"},
        {name: mean for (kind, name), mean in means.items() if kind == "block"},
    )


_Kind = Literal["group", "block"]


def _slopes(
    network: Network, images: Tensor, classes: Tensor, blocks: Mapping[str, Bypass]
) -> dict[tuple[_Kind, str], Tensor]:
    """Return the sum of ``g w`` of every image and channel (n, channels), by group and block."""
    widths = widths_of(network.blueprint)
    of_end = {node: name for name, block in blocks.items() for node in block.end}
    with _gated(network, len(images), of_end) as gates:
        logits = network(images)
        loss = functional.cross_entropy(logits, classes, reduction="sum")
        found = torch.autograd.grad(loss, [gate.factor for gate in gates])
    slopes: dict[tuple[_Kind, str], Tensor] = {}

    def add(kind: _Kind, name: str, slope: Tensor) -> None:
        known = slopes.get((kind, name))
        slopes[kind, name] = slope if known is None else known + slope

    for gate, slope in zip(gates, found, strict=True):
        if gate.group:
            # A classifier reads every pixel of a channel as an input of its own.
            of_channels = slope.float().view(len(images), widths[gate.group], -1).sum(dim=2)
            add("group", gate.group, of_channels)
        if gate.block:
            add("block", gate.block, slope.float().flatten(1))
    return slopes


@dataclass(frozen=True)
class _Gate:
    """A factor of 1, (n, channels, 1, 1), on what a module reads or gives.

    Attributes:
        group: The prune group of these channels, or empty.
        block: The residual block that adds them, or empty.
        factor: The factor.
    """

    group: str
    block: str
    factor: Tensor


@contextmanager
def _gated(network: Network, images: int, of_end: Mapping[str, str]) -> Iterator[list[_Gate]]:
    """Put factors on the parameters of every channel, for one batch.

    Args:
        network: Whose parameters.
        images: In the batch.
        of_end: The residual block of each node whose output is what the block adds.
    """
    gates: list[_Gate] = []
    handles: list[RemovableHandle] = []

    def gate(group: str, channels: int, block: str = "") -> Tensor:
        shape = (images, channels, 1, 1)
        factor = torch.ones(shape, dtype=network.dtype, requires_grad=True)
        gates.append(_Gate(group, block, factor))
        return factor

    given, free = _groups_given(network.blueprint), depthwise(network.blueprint)
    rest = resting(network.blueprint)
    for node in network.blueprint.nodes:
        read = given[node.inputs[0]]
        if node.has_weights or node.op == "batchnorm":
            module = network.module(node.name)
            block = of_end.get(node.name, "")
            if given[node.name] or block:
                factor = gate(given[node.name], node.out_shape[0], block)
                handles.append(module.register_forward_hook(_on_output(factor)))
            # The weights that a depthwise convolution reads a channel with are its filter.
            if node.has_weights and read and node.name not in free:
                factor = gate(read, node.in_shape[0])
                hook = _on_input(factor, rest[node.inputs[0]])
                handles.append(module.register_forward_pre_hook(hook))
    try:
        yield gates
    finally:
        for handle in handles:
            handle.remove()


def _on_output(factor: Tensor) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    return lambda _module, _inputs, output: output * factor


def _on_input(
    factor: Tensor, rest: float
) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    if not rest:
        return lambda _module, inputs: (inputs[0] * factor,)
    return lambda _module, inputs: (rest + (inputs[0] - rest) * factor,)


def _groups_given(blueprint: Blueprint) -> dict[str, str]:
    """Return by node the prune group of the channels it puts out; empty if there is none."""
    given = {NETWORK_INPUT: ""}
    for node in blueprint.nodes:
        given[node.name] = node.prune_group if node.has_weights else given[node.inputs[0]]
    return given
