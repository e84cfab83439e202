"""Small spaces of every family, with every kind of gene."""

from typing import Any

from cimsearch.blueprint import Blueprint
from cimsearch.space import Space
from cimsearch.space.realise import Values
from cimsearch.spec import load_space_spec
from cimsearch.spec.space import SpaceSpec

GENES: dict[str, Any] = {
    "weight_bits": (2, 5),
    "activation_bits": (1, 8, 3),
    "prune_ratio": (0.6, 0.0, 0.25),
    "adc_bits": (4, 5),
    "encoding": ("offset", "twos_complement"),
    "range_policy": ("layer", "full_scale"),
}
WAYS = ("diagonal", "digital", "grouped_2", "grouped_4", "grouped_1")
STAGES = (
    {"width": (8, 16), "depth": (1, 2), "downsample": False},
    {"width": (12, 20), "depth": (2, 3), "downsample": True},
)
BLOCKS: dict[str, Any] = {
    "stem": {"width": (4, 8), "kernel": (3, 5), "stride": (1, 2)},
    "depthwise": WAYS,
}
INVERTED = BLOCKS | {"expansion": (3, 1, 2)}
REMOVABLE = GENES | {"weight_bits": (0, 2, 5)}
FIXED = {"weight_bits": (4,), "activation_bits": (4,), "prune_ratio": (0.0,)}
SIGNED = {"activation_bits": (2, 8, 3)}


def varied(name: str, **changes: Any) -> Space:
    """Return the catalogue's space of that name with other fields."""
    spec = load_space_spec(name).model_dump(mode="python", by_alias=True)
    return Space(SpaceSpec.model_validate(spec | changes))


def small(name: str, **changes: Any) -> Space:
    """Return a small space of 8 x 8 images and 3 classes of the family of the catalogue's."""
    fixed = {"input_shape": (2, 8, 8), "classes": 3, "stages": STAGES, "genes": GENES}
    return varied(name, **(fixed | changes))


SPACES = {
    "separable": small("dscnn_kws", blocks=BLOCKS),
    "scaled separable": small("dscnn_kws", blocks=BLOCKS | {"width_multiplier": (0.5, 1.0, 1.7)}),
    "digital separable": small("mobilenet_v1", blocks=BLOCKS | {"depthwise": ("digital",)}),
    "separable signal": small("dscnn_kws", blocks=BLOCKS, input_shape=(3, 1, 17)),
    "inverted": small("mobilenet_v2", blocks=INVERTED | {"head": (8,)}, genes=GENES | SIGNED),
    "removable inverted": small("mobilenet_v2", blocks=INVERTED, genes=REMOVABLE | SIGNED),
    "never expanding": small(
        "mobilenet_v2", blocks=INVERTED | {"expansion": (1,)}, genes=GENES | SIGNED
    ),
    "removable resnet": small("resnet8", genes=REMOVABLE, kernel=(5, 3)),
    "vgg of kernels": small("vgg_tiny", kernel=(1, 5, 3)),
}


def with_values(space: Space, **values: Any) -> Blueprint:
    """Return the network whose genes, by the end of their names, have these values; others, the
    largest choice, or of words the first."""
    largest = {g.name: max(g.choices, key=float) for g in space.genes if g.ordered}
    chosen: Values = {g.name: largest.get(g.name, g.choices[0]) for g in space.genes} | {
        gene.name: value
        for gene in space.genes
        for ending, value in values.items()
        if gene.name.endswith(ending)
    }
    return space.decode(space.encode(chosen)).blueprint
