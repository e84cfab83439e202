"""Spaces whose layers have groups of channels of different weight bits, and networks of them."""

from typing import Any

from cimsearch.blueprint import Blueprint
from cimsearch.space import Candidate, Space
from cimsearch.space.conditions import Value

from .families import SPACES, varied

SHARES = (0.25, 0.0, 1.0, 0.5)
GROUPS: dict[str, Any] = {"high_share": SHARES, "high_bits": (6, 8)}


def grouped(space: Space, **genes: Any) -> Space:
    """Return the space with channel groups beside its other genes."""
    own = type(space.spec.genes).model_validate(dict(space.spec.genes) | GROUPS | genes)
    return Space(space.spec.model_copy(update={"genes": own}))


GROUPED = {name: grouped(space) for name, space in SPACES.items()}
VGG = grouped(varied("vgg_tiny"), weight_bits=(2, 4))
RESNET = grouped(varied("resnet8"), weight_bits=(2, 4))

_SMALL: dict[str, Any] = {
    "input_shape": (1, 8, 8),
    "classes": 10,
    "stages": (
        {"width": (6,), "depth": (1,), "downsample": False},
        {"width": (8,), "depth": (1,), "downsample": True},
    ),
}
_BITS: dict[str, Any] = {"weight_bits": (2, 4), "activation_bits": (4, 8)}
SMALL_VGG = grouped(varied("vgg_tiny", **_SMALL), prune_ratio=(0.0, 0.5), **_BITS)
SMALL_RESNET = grouped(varied("resnet8", **_SMALL), prune_ratio=(0.0, 0.5), **_BITS)
"""For images of digits: trained in seconds."""


def with_share(space: Space, share: float, **values: Any) -> Candidate:
    """Return the largest network with ``share`` of the channels of every layer at most bits.

    ``values`` are other choices, by the end of genes' names.
    """
    fixed = {"high_share": share, "prune_ratio": 0.0} | values
    chosen: dict[str, Value] = {}
    for gene in space.genes:
        kind = gene.name.rsplit(".", 1)[-1]
        chosen[gene.name] = fixed.get(kind, max(gene.choices, key=float))
    return space.decode(space.encode(chosen))


def parts_of(blueprint: Blueprint) -> list[tuple[str, str, str]]:
    """Return the names of the low and high part of each layer in parts, and of their join."""
    joins = [node for node in blueprint.nodes if node.op == "concat"]
    return [(*node.inputs, node.name) for node in joins]  # type: ignore[misc]
