"""Small networks with every kind of coupling, for pruning."""

from dataclasses import replace
from functools import cache

import torch

from cimsearch.blueprint import Blueprint, Node
from cimsearch.networks import Network, build
from cimsearch.space import Candidate
from cimsearch.spec.data import DigitsData
from cimsearch.spec.recipe import Recipe
from cimsearch.training.data import load_part
from cimsearch.training.gain import Tuning
from cimsearch.training.recipe import TrainingData, train_float
from tests.unit.space.test_widths import grouped


def residual(width: int = 12) -> Candidate:
    """A stem, a block whose output is added to the stem's, and a narrower layer after it."""
    nodes = (
        *_layer("stem", "input", 1, width, "wide"),
        *_layer("first", "stem.relu", width, width, "inner"),
        *_layer("second", "first.relu", width, width, "wide")[:2],
        Node("add", "add", ("second.norm", "stem.relu"), *2 * ((width, 8, 8),)),
        Node("relu", "relu", ("add",), *2 * ((width, 8, 8),)),
        *_layer("last", "relu", width, 8, "last"),
        Node("pool", "avgpool", ("last.relu",), (8, 8, 8), (8, 1, 1), (8, 8), (8, 8)),
        Node("flat", "flatten", ("pool",), (8, 1, 1), (8, 1, 1)),
        Node("classifier", "linear", ("flat",), (8, 1, 1), (10, 1, 1), placement="digital"),
    )
    return candidate_of(Blueprint((1, 8, 8), 10, nodes))


def blocks(width: int = 8) -> Candidate:
    """A stem, two blocks whose outputs are added to what they read, and a narrower layer."""
    nodes = [*_layer("stem", "input", 1, width, "wide")]
    for block in ("one", "two"):
        entry = nodes[-1].name
        nodes += _layer(f"{block}.a", entry, width, width, f"{block}.a")
        nodes += _layer(f"{block}.b", nodes[-1].name, width, width, "wide")[:2]
        added = (nodes[-1].name, entry)
        nodes.append(Node(f"{block}.add", "add", added, *2 * ((width, 8, 8),)))
        nodes.append(Node(f"{block}.relu", "relu", (f"{block}.add",), *2 * ((width, 8, 8),)))
    nodes += [
        *_layer("last", nodes[-1].name, width, 8, "last"),
        Node("pool", "avgpool", ("last.relu",), (8, 8, 8), (8, 1, 1), (8, 8), (8, 8)),
        Node("flat", "flatten", ("pool",), (8, 1, 1), (8, 1, 1)),
        Node("classifier", "linear", ("flat",), (8, 1, 1), (10, 1, 1), placement="digital"),
    ]
    return candidate_of(Blueprint((1, 8, 8), 10, tuple(nodes)))


def separable() -> Candidate:
    """A depthwise convolution, one of two groups, and a classifier that reads pixels."""
    return candidate_of(grouped())


def candidate_of(floating: Blueprint) -> Candidate:
    """Return a float network with its quantised one: all convolutions but the first on arrays."""
    floats = [replace(n, placement="digital") if n.has_weights else n for n in floating.nodes]
    nodes = [
        replace(
            node,
            placement="digital" if index == 0 or node.op == "linear" else "cim",
            w_bits=4,
            x_bits=4,
            x_signed=node.inputs == ("input",),
        )
        if node.has_weights
        else node
        for index, node in enumerate(floats)
    ]
    return Candidate(replace(floating, nodes=tuple(nodes)), replace(floating, nodes=tuple(floats)))


def stream(seed: int = 0) -> torch.Generator:
    """Return a random stream."""
    return torch.Generator().manual_seed(seed)


@cache
def tuning() -> Tuning:
    """Return digits, and a short tuning after each round."""
    data = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
    training = TrainingData(load_part(data, None, "train"), data)
    recipe = Recipe(batch=32, parent_epochs=4, parent_lr=0.3, qat_lr=0.05)
    return Tuning(training, load_part(data, None, "validation"), recipe, epochs=0.3, images=128)


@cache
def trained_parent() -> Network:
    """Return the float residual network, trained; it is not to be changed."""
    return trained(residual())


def trained(candidate: Candidate) -> Network:
    """Return the float network of a candidate, trained."""
    network = build(candidate.parent, None, generator=stream())
    train_float(network, tuning().training, tuning().recipe, generator=stream())
    return network


def _layer(name: str, reads: str, given: int, out: int, group: str) -> tuple[Node, ...]:
    shapes = ((given, 8, 8), (out, 8, 8))
    return (
        Node(name, "conv", (reads,), *shapes, kernel=(3, 3), prune_group=group),
        Node(f"{name}.norm", "batchnorm", (name,), shapes[1], shapes[1]),
        Node(f"{name}.relu", "relu", (f"{name}.norm",), shapes[1], shapes[1]),
    )
