"""Which channels of a network are kept or dropped together, from what its nodes compute.

A convolution puts out channels of its own. Batch norm, activation, pooling and a depthwise
convolution (a group for each channel, of one output each) pass on those of their input, so that a
filter goes with its channel. An add makes those of its inputs one: convolutions that meet in adds,
however far apart, are one group. Channels that reach the logits, that a linear layer puts out or
that are those of the network's input are not dropped, and neither is what is added to them. A
flatten passes on all places of each channel: what is in front of it can be narrower.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cimsearch.spec.node import INPUT, NodeShape, NodeSpec

_WHOLE = ""
"""What is not dropped: as a prune group it is none."""


@dataclass
class _Sets:
    """Sets of channels that grow together; each is called by its first member."""

    joined: dict[str, str] = field(default_factory=lambda: {_WHOLE: _WHOLE})

    def add(self, name: str) -> str:
        """Begin a set."""
        return self.joined.setdefault(name, name)

    def of(self, name: str) -> str:
        """Return what the set of ``name`` is called."""
        while self.joined[name] != name:
            name = self.joined[name]
        return name

    def join(self, one: str, other: str) -> str:
        """Make two sets one, called by the earlier; what is not dropped wins."""
        first, second = self.of(one), self.of(other)
        if first != second:
            order = list(self.joined)
            first, second = sorted((first, second), key=order.index)
            self.joined[second] = first
        return first


def prune_groups(
    nodes: Sequence[NodeSpec],
    reads: Sequence[Sequence[str]],
    shapes: Mapping[str, NodeShape],
) -> dict[str, str]:
    """Return the prune group of each convolution of a network by name.

    A group is called by its first convolution; it is empty where channels are not dropped.

    Args:
        nodes: The network's, in an order of execution.
        reads: What each of them reads.
        shapes: Of the input and of what each node puts out, by name.
    """
    sets = _Sets()
    channels = {INPUT: _WHOLE}
    for node, inputs in zip(nodes, reads, strict=True):
        given = [channels[name] for name in inputs]
        if node.op == "linear":
            channels[node.name] = _WHOLE
        elif node.op == "conv" and not is_depthwise(node, shapes[inputs[0]]):
            channels[node.name] = sets.add(node.name)
        elif node.op == "add":
            channels[node.name] = sets.join(*given)
        else:
            channels[node.name] = given[0]
    sets.join(channels[nodes[-1].name], _WHOLE)
    return {n.name: sets.of(channels[n.name]) for n in nodes if n.op == "conv"}


def is_depthwise(node: NodeSpec, given: NodeShape) -> bool:
    """Return whether a node with the input shape ``given`` is a depthwise convolution."""
    return node.op == "conv" and node.groups == given[0] == node.channels
