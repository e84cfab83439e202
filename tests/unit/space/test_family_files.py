"""Space files of families of separable blocks: published networks, baselines, what is refused."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cimsearch.blueprint import Blueprint
from cimsearch.cost import estimate
from cimsearch.errors import SpecError
from cimsearch.search.baselines import baselines, uniform_genes
from cimsearch.space import Space, space_of
from cimsearch.spec import load_hardware, load_space_spec, load_study
from cimsearch.spec.space import SpaceSpec
from tests.studies import TINY_STUDY

from .families import BLOCKS, FIXED, GENES, INVERTED, REMOVABLE, SPACES, varied, with_values

GROUPED = ("grouped_8", "grouped_4", "grouped_2", "grouped_1")
CATALOGUE = ("dscnn_kws", "mobilenet_v1", "mobilenet_v2")


def conv_weights(network: Blueprint) -> int:
    return sum(node.weights for node in network.nodes if node.op == "conv")


def test_the_reference_networks_of_mlperf_tiny() -> None:
    space = Space(load_space_spec("dscnn_kws"))
    network = with_values(space, width_multiplier=0.25, depth=4, kernel=3, prune_ratio=0.0)
    assert network.weights == 9 * 5 * 64 + 4 * (9 * 64 + 64 * 64) + 64 * 12
    assert network.node("stem").out_shape == (64, 25, 5)
    assert [n.placement for n in network.nodes if n.name.endswith("depthwise")] == ["digital"] * 4
    wakes = Space(load_space_spec("mobilenet_v1"))
    network = with_values(wakes, width_multiplier=0.25, depth=6, kernel=3, prune_ratio=0.0)
    assert conv_weights(network) == mobilenet_v1(0.25)
    assert network.node("stage4.block1.pointwise").out_shape == (256, 3, 3)


def mobilenet_v1(multiplier: float) -> int:
    widths = [int(multiplier * x) for x in (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)]
    return 27 * widths[0] + sum(9 * a + a * b for a, b in pairwise(widths))


def test_the_whole_mobilenets() -> None:
    """Their convolutions have the weights of the published networks of width 1."""
    spec = load_space_spec("mobilenet_v1").model_dump(mode="python", by_alias=True)
    blocks = spec["blocks"] | {"width_multiplier": (1.0,), "depthwise": ("digital",)}
    space = varied("mobilenet_v1", blocks=blocks, kernel=3)
    assert conv_weights(space.uniform(weight_bits=8, activation_bits=8).blueprint) == 3_185_088
    stages = [
        {"width": (width,), "depth": (depth,), "downsample": False}
        for width, depth in zip((16, 24, 32, 64, 96, 160, 320), (1, 2, 3, 4, 3, 3, 1), strict=True)
    ]
    blocks |= {"stem": {"width": (32,)}, "expansion": (1, 6), "head": (1280,)}
    space = varied("mobilenet_v2", stages=tuple(stages), blocks=blocks, kernel=3, genes=FIXED)
    network = with_values(space, **{"stage0.expansion": 1})
    assert conv_weights(network) == 2_189_760


@pytest.mark.parametrize("name", CATALOGUE)
def test_uniform_baselines_of_a_study(name: str) -> None:
    study = load_study("quickstart")
    spec = load_space_spec(name)
    study = replace(study, space=spec)
    found = baselines(study)
    assert len(found) >= 2
    space = space_of(study)
    for candidate in found.values():
        layers = [n for n in candidate.blueprint.nodes if n.name.endswith("depthwise")]
        assert layers
        assert {n.placement for n in layers} == {"digital"}
        assert candidate.blueprint.weights == candidate.parent.weights
        assert estimate(candidate.blueprint, study.hardware).energy_pj > 0
    for genes in uniform_genes(study):
        assert space.decode(genes).blueprint.nodes


def changed(space: Space, **fields: Any) -> None:
    raw = space.spec.model_dump(mode="python", by_alias=True)
    SpaceSpec.model_validate(raw | fields)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("separable", {"blocks": None}, "missing; the family separable needs them"),
        ("vgg of kernels", {"blocks": BLOCKS}, "found some; the family vgg has none"),
        ("separable", {"blocks": INVERTED}, "found one; the family separable has none"),
        ("inverted", {"blocks": BLOCKS}, "missing; the family inverted_residual needs it"),
        ("vgg of kernels", {"genes": REMOVABLE}, "found 0, which removes a block"),
        ("separable", {"genes": REMOVABLE}, "found 0, which removes a block"),
        ("vgg of kernels", {"genes": GENES | {"weight_bits": (0,)}}, "found 0 alone"),
        ("inverted", {"genes": GENES}, "what the next one reads has a sign"),
        ("vgg of kernels", {"kernel": (3, 3)}, r"found a repeated choice in \[3, 3\]"),
        (
            "separable",
            {"blocks": BLOCKS | {"depthwise": ("diagonal", "grouped_8")}},
            "found 12; allowed are multiples of 8, the groups of blocks.depthwise",
        ),
    ],
)
def test_what_a_family_does_not_have_is_refused(
    name: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        changed(SPACES[name], **fields)


def test_an_unknown_way_is_named_in_the_file(write: Any) -> None:
    text = """
    schema: cimsearch/space/1
    name: mine
    summary: one
    source: me
    family: separable
    input_shape: [1, 8, 8]
    classes: 3
    stages: [{width: [8], depth: [1], downsample: false}]
    blocks: {stem: {width: [8]}, depthwise: [digital, grouped_3]}
    genes: {weight_bits: [4], activation_bits: [4], prune_ratio: [0.0]}
    first_layer: {placement: digital, bits: 8}
    classifier: {placement: digital, bits: 8}
    """
    with pytest.raises(SpecError, match="found \"grouped_3\"; allowed is 'digital', 'diagonal'"):
        load_space_spec(str(write("mine.yaml", text)))


def test_spaces_are_as_they_were_written_before_there_were_blocks() -> None:
    spec = load_space_spec("resnet8")
    assert "blocks" not in spec.model_dump(mode="json")
    assert SpaceSpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec
    other = load_space_spec("mobilenet_v2")
    assert SpaceSpec.model_validate_json(other.model_dump_json(by_alias=True)) == other


def keywords(how: str) -> Blueprint:
    """The reference network of the keyword-spotting space, every depthwise layer run so."""
    space = Space(load_space_spec("dscnn_kws"))
    changes = {"width_multiplier": 0.25, "depth": 4, "kernel": 3, "prune_ratio": 0.0}
    return with_values(space, **changes, execution=how)


def test_the_page_s_prices_are_those_of_the_cost_model() -> None:
    page = (Path(__file__).parents[3] / "docs" / "families.md").read_text(encoding="utf-8")
    _, rows = page.split("<!-- table: executions -->\n")
    found = [[c.strip() for c in row.split("|")[1:-1]] for row in rows.splitlines()[2:8]]
    assert [row[0] for row in found] == [f"`{how}`" for how in ("digital", "diagonal", *GROUPED)]
    for row in found:
        network, expected = keywords(row[0].strip("`")), [row[0]]
        expected.append(f"{network.weights:,}")
        for name in ("yu_cicc_2020", "chih_isscc_2021"):
            cost = estimate(network, load_hardware(f"macros/{name}"))
            expected += [f"{cost.energy_pj / 1e6:.2f}", f"{cost.latency_ns / 1e6:.2f}"]
            expected.append(f"{cost.macros}")
        assert row == expected


@pytest.mark.parametrize(
    ("space", "genes", "expected"),
    [
        ("vgg_tiny", "weight_bits: [0, 4]", "genes.weight_bits: found 0, which removes a block"),
        (
            "mobilenet_v2",
            "activation_bits: [1, 4]",
            "genes.activation_bits: found 1; allowed is 2",
        ),
        ("resnet8", "weight_bits: [0, 4]", ""),
    ],
)
def test_a_study_opens_what_its_space_has(
    write: Any, space: str, genes: str, expected: str
) -> None:
    shape = load_space_spec(space).input_shape
    text = TINY_STUDY.replace("space: vgg_tiny", f"space: {space}")
    text = text.replace("[1, 8, 8]", str(list(shape))).replace("adc_bits: [3, 4, 5]", genes)
    path = str(write("study.yaml", text))
    if expected:
        with pytest.raises(SpecError, match=expected):
            load_study(path)
        return
    named = [gene.name for gene in space_of(load_study(path)).genes if 0 in gene.choices]
    blocks = [f"stage{s}.block0.conv2.weight_bits" for s in range(3)]
    assert [name for name in named if name.endswith("bits")] == blocks


def test_genes_near_a_baseline_remove_nothing(write: Any) -> None:
    text = TINY_STUDY.replace("space: vgg_tiny", "space: resnet8").replace("1, 8, 8", "3, 32, 32")
    text = text.replace("adc_bits: [3, 4, 5]", "weight_bits: [0, 3]")
    study = load_study(str(write("study.yaml", text)))
    for genes in uniform_genes(study):
        layers = [n for n in space_of(study).decode(genes).blueprint.nodes if n.placement == "cim"]
        assert [node.w_bits for node in layers] == [3] * 8
