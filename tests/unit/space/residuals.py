"""Spaces whose additions keep what waits for them in few bits, and networks of them."""

from typing import Any

from cimsearch.blueprint import Blueprint, Node
from cimsearch.space import Candidate, Space
from cimsearch.space.conditions import Value

from .families import SPACES, varied

KEPT = (8, 2, 0, 5)
STAGES = (
    {"width": (5, 7), "depth": (3, 1, 2), "downsample": False},
    {"width": (9, 16), "depth": (1, 4), "downsample": True},
)


def keeping(space: Space, *residual_bits: int) -> Space:
    """Return the space with these choices of residual bits beside its other genes."""
    given = {"residual_bits": residual_bits}
    genes = type(space.spec.genes).model_validate(dict(space.spec.genes) | given)
    return Space(space.spec.model_copy(update={"genes": genes}))


PLAIN = {
    "resnet": varied("resnet8", input_shape=(2, 8, 8), stages=STAGES),
    **{name: SPACES[name] for name in SPACES if "resnet" in name or "inverted" in name},
}
KEEPING = {name: keeping(space, *KEPT) for name, space in PLAIN.items()}

_SMALL: dict[str, Any] = {
    "input_shape": (1, 8, 8),
    "classes": 10,
    "stages": (
        {"width": (6,), "depth": (1,), "downsample": False},
        {"width": (8,), "depth": (2,), "downsample": True},
    ),
    "genes": {"weight_bits": (2, 4), "activation_bits": (4, 6), "prune_ratio": (0.0, 0.5)},
}
SMALL = keeping(varied("resnet8", **_SMALL), 0, 2, 3, 4, 8, 16)
"""For images of digits: trained in seconds."""


def with_residual(bits: int, space: Space = SMALL, **values: Any) -> Candidate:
    """Return the largest network whose additions keep what waits for them in ``bits``.

    ``values`` are other choices, by the end of genes' names.
    """
    fixed = {"residual_bits": bits, "prune_ratio": 0.0} | values
    chosen: dict[str, Value] = {}
    for gene in space.genes:
        kind = gene.name.rsplit(".", 1)[-1]
        chosen[gene.name] = fixed.get(kind, max(gene.choices, key=str))
    return space.decode(space.encode(chosen))


def additions(blueprint: Blueprint) -> list[Node]:
    """Return the additions of a network."""
    return [node for node in blueprint.nodes if node.op == "add"]
