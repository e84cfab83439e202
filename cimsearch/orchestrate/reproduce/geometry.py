"""Bitlines and usage of well-known networks on the arrays of arXiv 2510.14379.

The layers are written out here and not taken from a space, so that the mapping is checked against
something that shares nothing with it but the arithmetic.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost.budget import ArrayBudget, array_use
from cimsearch.layer_table import layer_table
from cimsearch.orchestrate.reproduce.rows import Reproduction, Row
from cimsearch.space.fill import USAGE_GOAL, Grid, expand
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Hardware

WORDLINES = BITLINES = 256
BITS = 4
GRID = Grid(step=7, least=14)
BUDGETS = (512, 1024)

_LAYOUT = "bitlines = ceil(inputs / floor(256 / k^2)) x outputs, by hand from the layers' shapes"
_ABSTRACT = (
    'M.-H. Lin and T.-S. Chang, "Computing-In-Memory Aware Model Adaption For Edge Devices", '
    "arXiv 2510.14379 (2025), abstract: utilization raised to 90 %"
)
_NOTES = (
    "Of arXiv 2510.14379 only the abstract was read; its tables were not. So what stands under "
    "paper for the networks is arithmetic: kernels of 3 x 3 kept whole in 256 wordlines, a weight "
    "in a cell, biases not counted. That the paper counts so, and that its VGG9 has these widths, "
    "is assumed.",
    "Usage is weights / (bitlines x 256). The abstract does not say of which network and budget "
    "its 90 % is; ours is the quarter VGG9 (16, 16, 32, 32, 64, 64, 128, 128, with classifier) "
    "filled up to a budget, before any training.",
)

Layer = tuple[int, int, int]
"""Input channels, output channels, height and width of the kernel."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A network with what the arithmetic says of it."""

    name: str
    layers: tuple[Layer, ...]
    weights: int
    bitlines: int
    usage_percent: float
    macros: float


def stack(widths: Sequence[int], *, classes: int = 0) -> tuple[Layer, ...]:
    """Return the layers of a stack of convolutions of 3 x 3 on images of 3 channels.

    Args:
        widths: Output channels.
        classes: Outputs of a linear layer at the end, on the mean of each channel; 0 for none.
    """
    inputs = (3, *widths[:-1])
    convs = tuple((given, out, 3) for given, out in zip(inputs, widths, strict=True))
    return (*convs, (widths[-1], classes, 1)) if classes else convs


def resnet(widths: Sequence[int], blocks: int, *, shortcuts: bool = True) -> tuple[Layer, ...]:
    """Return the convolutions of a residual network for images of 32 x 32.

    Args:
        widths: Of the stages.
        blocks: Of two convolutions, in each stage.
        shortcuts: Whether the 1 x 1 convolutions between stages count.
    """
    layers: list[Layer] = [(3, widths[0], 3)]
    given = widths[0]
    for width in widths:
        if given != width and shortcuts:
            layers.append((given, width, 1))
        layers += [(given, width, 3), (width, width, 3)]
        layers += [(width, width, 3)] * (2 * (blocks - 1))
        given = width
    return tuple(layers)


_STAGES = (64, 128, 256, 512)
_VGG9 = stack((64, 128, 256, 256, 512, 512, 512, 512))
_VGG16 = stack((64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512))
_RESNET8 = (*resnet((16, 32, 64), 1), (64, 10, 1))

KNOWN = (
    _Known("VGG9", _VGG9, 9_217_728, 38_592, 93.3, 150.75),
    _Known("VGG16, convolutions", _VGG16, 14_710_464, 61_440, 93.5, 240.0),
    _Known("ResNet-18, convolutions", resnet(_STAGES, 2), 11_159_232, 47_296, 92.2, 184.75),
    _Known(
        "ResNet-18 without 1 x 1 shortcuts",
        resnet(_STAGES, 2, shortcuts=False),
        10_987_200,
        46_400,
        92.5,
        181.25,
    ),
    _Known("ResNet-8 with classifier", _RESNET8, 77_360, 570, 53.0, 2.23),
)


def chip() -> Hardware:
    """Return arrays of 256 x 256 whose cells hold a weight, whole kernels in each."""
    hardware = load_hardware("macros/yu_cicc_2020")
    shape = {"rows": WORDLINES, "cols": BITLINES, "active_rows": WORDLINES, "cell_bits": BITS}
    changes = {
        "array": hardware.macro.array.model_copy(update=shape),
        "packing": "whole_kernel",
    }
    return hardware.model_copy(update={"macro": hardware.macro.model_copy(update=changes)})


def blueprint_of(layers: Sequence[Layer]) -> Blueprint:
    """Return layers on arrays, one after another; what is between them takes no array."""
    nodes, last = [], "input"
    for index, (given, out, kernel) in enumerate(layers):
        name = f"layer{index}"
        node = Node(
            name,
            "conv",
            (last,),
            (given, 1, 1),
            (out, 1, 1),
            kernel=(kernel, kernel),
            prune_group=name if kernel > 1 else "",
            placement="cim",
            w_bits=BITS,
            x_bits=BITS,
        )
        nodes.append(node)
        last = name
    return Blueprint((layers[0][0], 1, 1), layers[-1][1], tuple(nodes))


def geometry() -> Reproduction:
    """Return what the mapping says of the known networks beside the arithmetic, exactly."""
    rows = [row for known in KNOWN for row in _rows(known)]
    return Reproduction(
        "geometry",
        "networks on arrays of 256 wordlines x 256 bitlines, a weight in a cell",
        (*rows, *_filled()),
        _NOTES,
    )


def _rows(known: _Known) -> Iterator[Row]:
    """Yield the weights, bitlines, usage and macros of a network."""
    use = array_use(layer_table([blueprint_of(known.layers)]), chip())
    bitlines, cells = int(use.bitlines[0]), int(use.cells[0])
    usage_percent = round(100 * cells / (bitlines * WORDLINES), 1)
    macros = round(bitlines / BITLINES, 2)
    for what, unit, paper, ours in (
        ("weights", "", known.weights, cells),
        ("bitlines", "", known.bitlines, bitlines),
        ("usage", "%", known.usage_percent, usage_percent),
        ("macros of 256 bitlines", "", known.macros, macros),
    ):
        yield Row(
            what=f"{known.name}: {what}",
            unit=unit,
            paper=paper,
            ours=ours,
            tolerance="0",
            passed=paper == ours,
            evidence="arithmetic",
            source=_LAYOUT,
        )


def _filled() -> Iterator[Row]:
    """Yield the usage of budgets that the quarter VGG9 is filled into."""
    network = blueprint_of(stack((16, 16, 32, 32, 64, 64, 128, 128), classes=10))
    for limit in BUDGETS:
        found = expand(network, ArrayBudget(limit, chip()), GRID)
        goal, ours = 100 * USAGE_GOAL, round(100 * found.usage_frac, 1)
        yield Row(
            what=f"usage of {limit} bitlines, quarter VGG9",
            unit="%",
            paper=goal,
            ours=ours,
            tolerance="at least",
            passed=ours >= goal,
            evidence="read",
            source=_ABSTRACT,
        )
