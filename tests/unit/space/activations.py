"""Spaces and networks of other activations than ReLU."""

from dataclasses import replace

from cimsearch.blueprint import Blueprint
from cimsearch.space import Candidate, Space
from cimsearch.spec.activation import Activation

from .families import SPACES, varied

ALL: tuple[Activation, ...] = ("relu", "relu6", "hard_sigmoid")


def searching(space: Space, *activations: Activation) -> Space:
    """Return the space with these choices of its activations."""
    given = space.spec.model_dump(mode="python", by_alias=True) | {"activation": activations}
    return Space(type(space.spec).model_validate(given))


PLAIN = {**SPACES, "vgg": varied("vgg_tiny"), "resnet": varied("resnet8")}
SEARCHING = {name: searching(space, *ALL) for name, space in PLAIN.items()}


def with_hard_sigmoids(blueprint: Blueprint) -> Blueprint:
    """Return a network with hard sigmoids in the place of its ReLUs, under their names."""
    nodes = (
        replace(node, op="hard_sigmoid", limit=None) if node.op == "relu" else node
        for node in blueprint.nodes
    )
    return replace(blueprint, nodes=tuple(nodes))


def hard(candidate: Candidate) -> Candidate:
    """Return a candidate, and its parent, with hard sigmoids."""
    return replace(
        candidate,
        blueprint=with_hard_sigmoids(candidate.blueprint),
        parent=with_hard_sigmoids(candidate.parent),
    )
