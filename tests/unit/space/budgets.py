"""Networks and chips that budgets are filled with."""

from collections.abc import Sequence

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost.budget import ArrayBudget, Unit
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Hardware

QUARTER = (16, 16, 32, 32, 64, 64, 128, 128)


def chip(rows: int = 256) -> Hardware:
    """Arrays whose cells hold a whole weight of 4 bits, kernels kept whole."""
    hardware = load_hardware("macros/yu_cicc_2020")
    shape = {"rows": rows, "cols": 256, "active_rows": rows, "cell_bits": 4}
    macro = hardware.macro
    changes = {"array": macro.array.model_copy(update=shape), "packing": "whole_kernel"}
    return hardware.model_copy(update={"macro": macro.model_copy(update=changes)})


def budget(limit: int, unit: Unit = "bitlines", rows: int = 256) -> ArrayBudget:
    return ArrayBudget(limit, chip(rows), unit)


def conv(
    name: str,
    reads: str,
    channels: tuple[int, int],
    size: int,
    *,
    group: str = "",
    groups: int = 1,
    kernel: int = 3,
    w_bits: int = 4,
) -> tuple[Node, ...]:
    """A convolution on arrays that keeps its size, its norm and its activation."""
    shapes = ((channels[0], size, size), (channels[1], size, size))
    node = Node(
        name,
        "conv",
        (reads,),
        *shapes,
        kernel=(kernel, kernel),
        groups=groups,
        prune_group=group or name,
        placement="cim" if w_bits else "digital",
        w_bits=w_bits,
        x_bits=w_bits,
    )
    norm = Node(f"{name}.norm", "batchnorm", (name,), shapes[1], shapes[1])
    return node, norm, Node(f"{name}.relu", "relu", (norm.name,), shapes[1], shapes[1])


def classifier(reads: str, channels: int, size: int, classes: int, w_bits: int = 4) -> list[Node]:
    """Flattening and a linear layer."""
    flat = (channels * size * size, 1, 1)
    linear = Node(
        "classifier",
        "linear",
        ("flat",),
        flat,
        (classes, 1, 1),
        placement="cim" if w_bits else "digital",
        w_bits=w_bits,
        x_bits=w_bits,
    )
    return [Node("flat", "flatten", (reads,), (channels, size, size), flat), linear]


def vgg(
    widths: Sequence[int],
    *,
    pooled: Sequence[int] = (0, 1, 3, 5, 7),
    w_bits: int = 4,
    size: int = 32,
    channels: int = 3,
) -> Blueprint:
    """Convolutions of 3 x 3 one after another, halved after those that are ``pooled``."""
    nodes: list[Node] = []
    last, given, side = "input", channels, size
    for index, width in enumerate(widths):
        name = f"conv{index}"
        nodes += conv(name, last, (given, width), side, w_bits=w_bits)
        last, given = nodes[-1].name, width
        if index in pooled:
            shapes = ((width, side, side), (width, side // 2, side // 2))
            pool = Node(f"pool{index}", "maxpool", (last,), *shapes, kernel=(2, 2), stride=(2, 2))
            nodes.append(pool)
            last, side = pool.name, side // 2
    nodes += classifier(last, given, side, 10, w_bits)
    return Blueprint((channels, size, size), 10, tuple(nodes))


def coupled(w_bits: int = 4) -> Blueprint:
    """A residual add, a depthwise and a grouped convolution, flattened into a classifier."""
    size = 4
    nodes = [
        *conv("stem", "input", (1, 8), size, group="wide", w_bits=w_bits),
        *conv("inner", "stem.relu", (8, 6), size, w_bits=w_bits),
        *conv("outer", "inner.relu", (6, 8), size, group="wide", w_bits=w_bits),
        Node("add", "add", ("outer.norm", "stem.relu"), (8, size, size), (8, size, size)),
        Node("add.relu", "relu", ("add",), (8, size, size), (8, size, size)),
        *conv("deep", "add.relu", (8, 8), size, group="wide", groups=8, w_bits=w_bits),
        *conv("parts", "deep.relu", (8, 12), size, groups=2, kernel=1, w_bits=w_bits),
        *classifier("parts.relu", 12, size, 5, w_bits),
    ]
    kept = tuple(node for node in nodes if node.name != "outer.relu")
    return Blueprint((1, size, size), 5, kept)
