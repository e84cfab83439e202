"""Families of separable blocks, ways to execute depthwise convolutions, and removed blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint
from cimsearch.cost import estimate
from cimsearch.search.table import every_candidate
from cimsearch.space import Space
from cimsearch.space.widths import depthwise, multiples_of, widths_of, with_widths
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.blocks import GROUPS

from .families import FIXED, GENES, INVERTED, REMOVABLE, SPACES, WAYS, small, with_values

HARDWARE = load_hardware("macros/yu_cicc_2020")
named = st.sampled_from(sorted(SPACES))
seeds = st.integers(0, 10_000)


@pytest.mark.parametrize("how", WAYS)
def test_ways_to_execute_a_depthwise_convolution(how: str) -> None:
    space = SPACES["separable"]
    vector = space.encode(
        {g.name: g.choices[-1] for g in space.genes} | {"stage1.block0.depthwise.execution": how}
    )
    candidate = space.decode(vector)
    node, parent = (
        network.node("stage1.block0.depthwise")
        for network in (candidate.blueprint, candidate.parent)
    )
    assert node.placement == ("digital" if how == "digital" else "cim")
    assert node.groups == GROUPS.get(how, node.out_shape[0])
    assert parent.groups == GROUPS.get(how, parent.out_shape[0])
    assert node.in_shape[0] == node.out_shape[0]
    assert node.prune_group == candidate.blueprint.node("stage0.block1.pointwise").prune_group
    assert (node.name in depthwise(candidate.blueprint)) == (how in ("digital", "diagonal"))
    chosen = space.choices(candidate.genes)
    of_arrays = [name for name in GENES if f"{node.name}.{name}" in chosen]
    expected = ["weight_bits", "activation_bits"]
    if how != "digital":
        expected += ["adc_bits", "encoding", "range_policy"]
        assert (node.adc_bits, node.encoding) == (5, "twos_complement")
    assert of_arrays == expected


def test_digital_and_diagonal_candidates_have_one_parent() -> None:
    space = Space(load_space_spec("dscnn_kws"))
    genes = {g.name: g.choices[0] for g in space.genes}
    parents = {}
    for how in WAYS:
        values = {n: how if n.endswith("execution") else v for n, v in genes.items()}
        parents[how] = space.decode(space.encode(values)).parent.hash
    assert parents["digital"] == parents["diagonal"]
    assert len(set(parents.values())) == len(WAYS) - 1


@given(named, seeds)
def test_kept_channels_can_be_cut_into_groups(name: str, seed: int) -> None:
    candidate = SPACES[name].sample(seed)
    for network in (candidate.blueprint, candidate.parent):
        multiples = multiples_of(network)
        for group, width in widths_of(network).items():
            assert width % multiples[group] == 0
        for node in network.nodes:
            assert node.in_shape[0] % node.groups == 0
            assert node.out_shape[0] % node.groups == 0


@given(named, seeds)
def test_a_candidate_is_its_parent_with_other_widths(name: str, seed: int) -> None:
    candidate = SPACES[name].sample(seed)
    narrow = with_widths(candidate.parent, widths_of(candidate.blueprint))
    for node, wanted in zip(narrow.nodes, candidate.blueprint.nodes, strict=True):
        assert (node.in_shape, node.out_shape) == (wanted.in_shape, wanted.out_shape)
        assert (node.groups, node.kernel) == (wanted.groups, wanted.kernel)


@given(named, seeds)
def test_signs_are_those_of_what_is_read(name: str, seed: int) -> None:
    network = SPACES[name].sample(seed).blueprint
    for node in network.nodes:
        if node.has_weights:
            assert node.x_signed == may_be_negative(network, node.inputs[0])


def may_be_negative(network: Blueprint, name: str) -> bool:
    if name == "input":
        return True
    node = network.node(name)
    if node.op == "relu":
        return False
    passes_on = node.op in ("add", "avgpool", "maxpool")
    return not passes_on or any(may_be_negative(network, read) for read in node.inputs)


def test_an_expansion_of_one_has_no_convolution_for_it() -> None:
    space = small("mobilenet_v2", blocks=INVERTED, genes=FIXED)
    names = [node.name for node in with_values(space, expansion=1).nodes]
    assert not any("expand" in name for name in names)
    network = with_values(space, **{"stage1.expansion": 1})
    node = network.node("stage1.block0.depthwise")
    assert node.inputs == ("stage0.block1.add",)
    assert (node.prune_group, node.x_signed) == ("stage0", True)
    inside = network.node("stage0.block1.depthwise")
    assert inside.out_shape[0] == 3 * network.node("stage0.block0.project").out_shape[0]
    genes = space.encode(
        {g.name: g.choices[0] for g in space.genes if g.name != "stage1.expansion"}
        | {"stage1.expansion": 1}
    )
    assert not any("stage1" in n and "expand." in n for n in space.choices(tuple(genes)))


def names_without(network: Blueprint, removed: Blueprint) -> set[str]:
    kept = {node.name for node in removed.nodes}
    return {node.name for node in network.nodes if node.name not in kept}


def test_bits_of_zero_remove_a_block_and_leave_its_input() -> None:
    space = small("resnet8", genes=REMOVABLE | {"encoding": ()})
    whole = with_values(space, prune_ratio=0.0)
    removed = with_values(space, prune_ratio=0.0, **{"stage0.block0.conv2.weight_bits": 0})
    gone = names_without(whole, removed)
    assert gone == {n.name for n in whole.nodes if n.name.startswith("stage0.block0.")}
    assert removed.node("stage0.block1.conv1").inputs == ("stem.relu",)
    assert estimate(removed, HARDWARE).energy_pj < estimate(whole, HARDWARE).energy_pj


def test_the_convolution_of_a_removed_block_s_shortcut_stays() -> None:
    space = SPACES["removable resnet"]
    vector = space.encode(
        {gene.name: gene.choices[-1] for gene in space.genes}
        | {"stage1.block0.conv2.weight_bits": 0, "stage1.block0.conv1.weight_bits": 2}
    )
    candidate = space.decode(vector)
    network = candidate.blueprint
    left = [n.name for n in network.nodes if n.name.startswith("stage1.block0.")]
    assert left == [f"stage1.block0.{x}" for x in ("shortcut", "shortcut.norm", "relu")]
    assert network.node("stage1.block0.relu").inputs == ("stage1.block0.shortcut.norm",)
    assert network.node("stage1.block0.shortcut").w_bits == 2
    assert [n.name for n in candidate.parent.nodes] == [n.name for n in network.nodes]
    chosen = [n for n in space.choices(candidate.genes) if n.startswith("stage1.block0.")]
    of_shortcut = [f"conv1.{field}" for field in GENES if field != "prune_ratio"]
    expected = [*of_shortcut, "conv2.weight_bits"]
    assert chosen == [f"stage1.block0.{name}" for name in expected]


def test_blocks_that_a_depth_may_leave_out_have_no_bits_of_zero() -> None:
    resnet, inverted = SPACES["removable resnet"], SPACES["removable inverted"]
    zeros = [[g.name for g in s.genes if 0 in g.choices] for s in (resnet, inverted)]
    zeros = [[n for n in names if n.endswith("weight_bits")] for names in zeros]
    blocks = ("stage0.block0", "stage1.block0", "stage1.block1")
    assert zeros == [
        [f"{block}.conv2.weight_bits" for block in blocks],
        ["stage1.block1.project.weight_bits"],
    ]


@pytest.mark.parametrize(("family", "size"), [("resnet8", 5 * 6 * 5), ("mobilenet_v2", 198)])
def test_a_space_with_removed_blocks_counts_and_lists_its_candidates(
    family: str, size: int
) -> None:
    genes = FIXED | {"weight_bits": (0, 4), "adc_bits": (4, 5)}
    stage = {"width": (8,), "depth": (1,), "downsample": True}
    if family == "mobilenet_v2":
        # A block: 2 of the expanding layer if there is one, 1 + 2 of the depthwise one, 2 of the
        # last; the second may be gone: (6 x 7) + (12 x 13).
        ways = {"stem": {"width": (4,)}, "depthwise": ("digital", "diagonal")}
        blocks, stages = ways | {"expansion": (1, 2)}, ({**stage, "depth": (2,)},)
        space = small(family, stages=stages, blocks=blocks, kernel=3, genes=genes)
    else:
        # The first block is gone or not: 1 + 2 x 2. That of the second stage has a shortcut with
        # the first's converter bits: 2 x (1 + 2). The one behind it is there or not: 1 + 2 x 2.
        first = {**stage, "downsample": False}
        space = small(family, stages=(first, {**stage, "depth": (1, 2)}), genes=genes)
    every = every_candidate(space)
    assert len(every) == len(np.unique(every, axis=0)) == space.size == size
    hashes = {space.decode(np.where(row < 0, 0, row)).hash for row in every}
    assert len(hashes) == size


def test_a_gene_copies_no_neighbour_of_other_choices() -> None:
    space = SPACES["removable resnet"]
    by_name = {gene.name: gene for gene in space.genes}
    assert by_name["stage1.block2.conv2.weight_bits"].neighbour == -1
    assert by_name["stage1.block2.conv2.activation_bits"].neighbour >= 0
    rng = np.random.default_rng(0)
    for row in space.repair(rng.integers(-9, 9, (20, len(space.genes)))):
        space.decode(row)
