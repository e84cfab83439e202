"""The classical networks of the catalogue on a macro file: weights, bitlines, usage, macros.

Bitlines are ``ceil(channels / floor(wordlines / kernel area)) x outputs`` with cells that hold a
whole weight, biases apart; the counts of weights are those of the networks themselves.
"""

import numpy as np
import pytest

from cimsearch.blueprint import Blueprint
from cimsearch.cost import estimate_table
from cimsearch.layer_table import layer_table
from cimsearch.space import Space
from cimsearch.spec import Hardware, load_hardware, load_space_spec
from cimsearch.spec.space import SpaceSpec

WORDLINES = BITLINES = 256
MACRO = """
schema: cimsearch/hardware/1
kind: macro
extends: macros/charge_28nm
name: whole_weights
summary: 256 x 256 cells that hold a whole weight of 8 bits
source: assumed, no chip
array: {rows: 256, cols: 256, active_rows: 256, cell_bits: 8}
weights: {encoding: offset}
basis: {array: assumed}
"""


@pytest.fixture(scope="module")
def hardware(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Hardware]:
    """The macro in both packings."""
    room = tmp_path_factory.mktemp("macros")
    found = {}
    for packing in ("whole_kernel", "dense"):
        path = room / f"{packing}.yaml"
        path.write_text(f"{MACRO.lstrip()}packing: {packing}\n", encoding="utf-8")
        found[packing] = load_hardware(str(path))
    return found


def all_on_arrays(name: str) -> Space:
    """Return a space of the catalogue whose first and last layers are on arrays too."""
    spec = load_space_spec(name).model_dump(mode="python", by_alias=True)
    ends = {end: {"placement": "cim", "bits": 8} for end in ("first_layer", "classifier")}
    return Space(SpaceSpec.model_validate(spec | ends))


def largest(space: Space) -> Blueprint:
    return space.uniform(weight_bits=8, activation_bits=8).blueprint


def resnet8() -> Blueprint:
    """The published widths, which are not the largest of the space."""
    space = all_on_arrays("resnet8")
    values = {gene.name: gene.choices[-1] for gene in space.genes}
    values |= {gene.name: 0.0 for gene in space.genes if gene.name.endswith("prune_ratio")}
    widths = {f"stage{s}.width": width for s, width in enumerate((16, 32, 64))}
    return space.decode(space.encode(values | widths)).blueprint


def counted(network: Blueprint, hardware: Hardware, without: str = "none") -> tuple[int, int]:
    """Return weights and bitlines of the layers on arrays whose name does not end so."""
    mapping = estimate_table(layer_table([network]), hardware).mapping
    bitlines = np.broadcast_to(mapping.bitlines, (1, len(network.nodes)))[0]
    chosen = [n.placement == "cim" and not n.name.endswith(without) for n in network.nodes]
    weights = sum(node.weights for node, on in zip(network.nodes, chosen, strict=True) if on)
    return weights, int(bitlines[chosen].sum())


def table() -> dict[str, Blueprint]:
    """The networks of the catalogue by name."""
    names = {"VGG9": "vgg9", "VGG16": "vgg16", "ResNet18": "resnet18", "quarter": "vgg9_quarter"}
    found = {name: largest(Space(load_space_spec(space))) for name, space in names.items()}
    return found | {"ResNet-8": resnet8()}


NETWORKS = table()


@pytest.mark.parametrize(
    ("name", "without", "weights", "bitlines", "usage_frac", "macros"),
    [
        ("VGG9", "none", 9_217_728, 38_592, 0.933, 150.75),
        ("VGG16", "none", 14_710_464, 61_440, 0.935, 240.0),
        ("ResNet18", "none", 11_159_232, 47_296, 0.922, 184.75),
        ("ResNet18", "shortcut", 10_987_200, 46_400, 0.925, 181.25),
        ("ResNet-8", "none", 77_360, 570, 0.530, 2.23),
        ("quarter", "none", 294_320, 1_482, 0.776, 5.79),
    ],
)
def test_whole_kernels(
    hardware: dict[str, Hardware],
    name: str,
    without: str,
    weights: int,
    bitlines: int,
    usage_frac: float,
    macros: float,
) -> None:
    found = counted(NETWORKS[name], hardware["whole_kernel"], without)
    assert found == (weights, bitlines)
    assert weights / (bitlines * WORDLINES) == pytest.approx(usage_frac, abs=5e-4)
    assert bitlines / BITLINES == pytest.approx(macros, abs=5e-3)


def test_dense_rows(hardware: dict[str, Hardware]) -> None:
    weights, bitlines = counted(NETWORKS["VGG9"], hardware["dense"])
    assert (weights, bitlines) == (9_217_728, 36_288)
    assert weights / (bitlines * WORDLINES) == pytest.approx(0.992, abs=5e-4)


def test_published_widths() -> None:
    """The catalogue's largest networks have the widths that the table is of."""
    found = {
        name: [node.out_shape[0] for node in NETWORKS[name].nodes if node.op == "conv"]
        for name in ("VGG9", "VGG16")
    }
    assert found["VGG9"] == [64, 128, 256, 256, 512, 512, 512, 512]
    assert found["VGG16"] == [64, 64, 128, 128, *[256] * 3, *[512] * 6]
