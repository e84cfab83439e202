"""Residual blocks that can be left out: what is added to the output of their main path stays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from cimsearch.blueprint import NETWORK_INPUT, Blueprint, Node
from cimsearch.errors import SpaceError
from cimsearch.space.resting import hard_sigmoid, relu
from cimsearch.space.widths import groups_read

Range = tuple[float, float]
"""The least and the greatest value that a node may put out."""

_FOLLOWS = ("batchnorm", "relu", "maxpool", "avgpool")
"""What may stand between the last layer of a main path and the add: without the layer it gives 0.

A hard sigmoid gives 1 / 2: what such a path adds does not go with the weights of its last layer.
"""


@dataclass(frozen=True)
class Bypass:
    """A residual block whose shortcut is the identity.

    Attributes:
        entry: The node, or the network's input, that the block reads and its add reads too.
        path: The nodes of its main path, which nobody else reads, in no order.
        end: The last layer of the main path and the batch norms behind it: what the channels that
            it adds are made by.
        group: The prune group of these channels; empty if there is none.
    """

    entry: str
    path: frozenset[str]
    end: tuple[str, ...]
    group: str


def bypasses(blueprint: Blueprint) -> dict[str, Bypass]:
    """Return the blocks that can be left out, each under the name of its add.

    Such a block has an add that reads the block's own input, and a main path from there to the
    add that nobody else reads. It ends in one layer with weights: where it ends in another add,
    that one has to go first.
    """
    nodes = {node.name: node for node in blueprint.nodes}
    readers, groups = _readers(blueprint.nodes), groups_read(blueprint)
    found = {}
    for node in blueprint.nodes:
        # Nobody reads the logits: with what makes them a network would have no output.
        if node.op != "add" or not readers[node.name]:
            continue
        for entry, last in (node.inputs, node.inputs[::-1]):
            path = _path(nodes, entry, last)
            end = _end(nodes, path, last)
            alone = all(set(readers[name]) <= path for name in path - {last})
            if end and alone and readers[last] == [node.name]:
                found[node.name] = Bypass(entry, path, end, groups[node.name])
    return found


def without(blueprint: Blueprint, block: str) -> Blueprint:
    """Return the network without a residual block: readers of the add read the block's input.

    The activation behind the add goes too where it does nothing to that input. Inputs that can be
    negative no more are not signed any more.

    Args:
        blueprint: The network.
        block: The name of the block's add.

    Raises:
        SpaceError: There is no such block that can be left out.
    """
    known = bypasses(blueprint)
    if block not in known:
        names = ", ".join(known) or "none"
        raise SpaceError(f"block {block!r}: found none that can be left out; known: {names}")
    entry, gone = known[block].entry, known[block].path | {block}
    gone |= _idle_activation(blueprint, block, entry)
    nodes, ranges = [], {NETWORK_INPUT: (-inf, inf)}
    for node in blueprint.nodes:
        if node.name not in gone:
            inputs = tuple(entry if name in gone else name for name in node.inputs)
            ranges[node.name] = _range(node, [ranges[name] for name in inputs])
            # Of an addition it is what waits that is quantised.
            quantised = inputs[-1] if node.op == "add" else inputs[0]
            signed = node.x_signed and ranges[quantised][0] < 0
            nodes.append(replace(node, inputs=inputs, x_signed=signed))
    return replace(blueprint, nodes=tuple(nodes))


def without_those_of(blueprint: Blueprint, other: Blueprint) -> Blueprint:
    """Return ``blueprint`` without the residual blocks whose add ``other`` does not have."""
    there = {node.name for node in other.nodes}
    while gone := [block for block in bypasses(blueprint) if block not in there]:
        blueprint = without(blueprint, gone[0])
    return blueprint


def _readers(nodes: Sequence[Node]) -> dict[str, list[str]]:
    readers: dict[str, list[str]] = {NETWORK_INPUT: [], **{node.name: [] for node in nodes}}
    for node in nodes:
        for name in node.inputs:
            readers[name].append(node.name)
    return readers


def _path(nodes: Mapping[str, Node], entry: str, last: str) -> frozenset[str]:
    """Return all nodes from ``entry``, without it, to ``last``; none if others lead there too."""
    path, open_names = set[str](), {last} - {entry}
    while open_names:
        name = open_names.pop()
        if name == NETWORK_INPUT:
            return frozenset()
        path.add(name)
        open_names |= set(nodes[name].inputs) - path - {entry}
    return frozenset(path)


def _end(nodes: Mapping[str, Node], path: Iterable[str], last: str) -> tuple[str, ...]:
    """Return the last layer of a path and the batch norms behind it; nothing without a layer."""
    end, name = list[str](), last
    while name in path:
        node = nodes[name]
        if node.has_weights or node.op == "concat":
            return (name, *reversed(end))
        if node.op not in _FOLLOWS:
            break
        if node.op == "batchnorm":
            end.append(name)
        name = node.inputs[0]
    return ()


def _idle_activation(blueprint: Blueprint, block: str, entry: str) -> frozenset[str]:
    """Return the activation behind a block's add, if it would change nothing of ``entry``."""
    ranges: dict[str, Range] = {NETWORK_INPUT: (-inf, inf)}
    for node in blueprint.nodes:
        ranges[node.name] = _range(node, [ranges[name] for name in node.inputs])
    (first, *others) = (node for node in blueprint.nodes if block in node.inputs)
    if others or first.op != "relu":
        return frozenset()
    least, most = ranges[entry]
    idle = least >= 0 and (first.limit is None or most <= first.limit)
    return frozenset({first.name} if idle else ())


def _range(node: Node, read: Sequence[Range]) -> Range:
    """Return what a node may put out, from what the nodes that it reads may."""
    if node.op in ("conv", "linear", "batchnorm"):
        return -inf, inf
    if node.op == "add":
        return sum(least for least, _ in read), sum(most for _, most in read)
    least, most = min(least for least, _ in read), max(most for _, most in read)
    if node.op == "hard_sigmoid":
        return hard_sigmoid(least), hard_sigmoid(most)
    if node.op == "relu":
        return relu(least, node.limit), relu(most, node.limit)
    return least, most
