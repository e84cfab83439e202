"""Genes, decoding, families, canonical form."""

import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint, Node
from cimsearch.errors import SpaceError
from cimsearch.layer_table import layer_table
from cimsearch.space import Candidate, Space
from cimsearch.space.steps import kept
from cimsearch.spec import load_space_spec
from cimsearch.spec.space import SpaceSpec

from . import families

SPACES = {name: Space(load_space_spec(name)) for name in ("vgg_tiny", "resnet8")}
SPACES |= families.SPACES
seeds = st.integers(0, 2**32 - 1)
named = st.sampled_from(sorted(SPACES))


def small_space() -> Space:
    spec = SPACES["vgg_tiny"].spec.model_dump(mode="python", by_alias=True)
    spec["stages"] = ({"width": (4, 6), "depth": (1, 2), "downsample": True},)
    spec["genes"] |= {"weight_bits": (2, 4), "activation_bits": (3,), "prune_ratio": (0.0, 0.5)}
    return Space(SpaceSpec.model_validate(spec))


@pytest.mark.parametrize(
    ("width", "ratio", "expected"),
    [
        (8, 0.0, 8),
        (8, 0.25, 6),
        (7, 0.5, 4),
        (5, 0.5, 3),
        (3, 0.75, 1),
        (1, 0.75, 1),
        (20, 0.625, 8),
    ],
)
def test_kept_rounds_half_up_and_leaves_one(width: int, ratio: float, expected: int) -> None:
    assert kept(width, ratio) == expected


@given(named, seeds)
@settings(max_examples=60, deadline=None)
def test_decoded_blueprints_are_consistent(name: str, seed: int) -> None:
    candidate = SPACES[name].sample(seed)
    for blueprint in (candidate.blueprint, candidate.parent):
        shapes = {"input": blueprint.input_shape}
        for node in blueprint.nodes:
            assert node.in_shape == shapes[node.inputs[0]], node.name
            assert all(shapes[i] == node.in_shape for i in node.inputs)
            assert min(node.out_shape) >= 1
            shapes[node.name] = node.out_shape
        assert blueprint.nodes[-1].out_shape == (blueprint.classes, 1, 1)
        groups: dict[str, set[int]] = {}
        for node in blueprint.nodes:
            if node.prune_group:
                groups.setdefault(node.prune_group, set()).add(node.out_shape[0])
        assert all(len(widths) == 1 for widths in groups.values())


@given(named, seeds)
@settings(max_examples=60, deadline=None)
def test_parent_is_the_unpruned_float_network(name: str, seed: int) -> None:
    candidate = SPACES[name].sample(seed)
    pairs = list(zip(candidate.blueprint.nodes, candidate.parent.nodes, strict=True))
    assert [a.name for a, _ in pairs] == [b.name for _, b in pairs]
    for node, parent in pairs:
        assert node.op == parent.op
        assert node.out_shape[0] <= parent.out_shape[0]
        assert node.out_shape[1:] == parent.out_shape[1:]
        assert (parent.w_bits, parent.x_bits, parent.adc_bits) == (0, 0, 0)
        assert not parent.encoding
        assert not parent.range_policy
        assert parent.placement != "cim"


@given(named, seeds)
@settings(max_examples=60, deadline=None)
def test_json_round_trip_keeps_hash(name: str, seed: int) -> None:
    candidate = SPACES[name].sample(seed)
    assert Blueprint.from_json(candidate.blueprint.to_json()) == candidate.blueprint
    again = Candidate.from_json(candidate.to_json())
    assert again == candidate
    assert again.hash == candidate.hash


@given(named, seeds)
@settings(max_examples=60, deadline=None)
def test_encode_inverts_choices_and_repair_keeps_valid_genes_active_part(
    name: str, seed: int
) -> None:
    space = SPACES[name]
    genes = space.sample_genes(1, seed)
    values = {g.name: g.choices[i] for g, i in zip(space.genes, genes[0], strict=True)}
    assert np.array_equal(space.encode(values), genes[0])
    active = space.active(genes)
    repaired = space.repair(genes)
    assert np.array_equal(repaired[active], genes[active])
    assert np.array_equal(space.repair(repaired), repaired)


@given(named, seeds, st.data())
@settings(max_examples=100, deadline=None)
def test_inactive_genes_never_reach_the_hash(name: str, seed: int, data: st.DataObject) -> None:
    space = SPACES[name]
    genes = space.sample_genes(1, seed)
    inactive = np.flatnonzero(~space.active(genes)[0])
    changed = genes.copy()
    for index in inactive:
        changed[0, index] = data.draw(st.integers(0, len(space.genes[index].choices) - 1))
    assert space.decode(genes[0]).hash == space.decode(changed[0]).hash
    assert np.array_equal(space.canonical(genes), space.canonical(changed))


def test_size_counts_the_different_candidates() -> None:
    space = small_space()
    choices = [range(len(gene.choices)) for gene in space.genes]
    every = np.array(list(itertools.product(*choices)), dtype=np.int64)
    assert len({row.tobytes() for row in space.canonical(every)}) == space.size
    assert len({space.decode(row).hash for row in every}) == space.size


def test_a_layer_that_is_off_copies_its_left_neighbour_in_repair() -> None:
    space = SPACES["vgg_tiny"]
    names = list(space.gene_names)
    genes = np.zeros((1, len(names)), dtype=np.int64)
    left, right = (
        names.index("stage1.layer0.weight_bits"),
        names.index("stage1.layer1.weight_bits"),
    )
    genes[0, left], genes[0, right] = 3, 1
    assert space.repair(genes)[0, right] == 3
    genes[0, names.index("stage1.depth")] = 1
    assert space.repair(genes)[0, right] == 1


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        ([0, 1], r"found shape \(1, 2\); allowed is \(n, 22\)"),
        ([9] + [0] * 21, r"stage0.width: found 9; allowed is a whole number from 0 to 2"),
        ([-1] + [0] * 21, r"found -1"),
    ],
)
def test_bad_genes_are_refused(genes: list[int], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SPACES["vgg_tiny"].decode(tuple(genes))


@pytest.mark.parametrize("value", [0.5, -1.0, 3.0, 1e30, np.nan, np.inf, -np.inf, "1", None])
def test_what_is_no_index_is_refused_with_its_row_and_gene(value: Any) -> None:
    space = SPACES["vgg_tiny"]
    genes = space.sample_genes(3, 0).astype(float if isinstance(value, float) else object)
    genes[1, 0] = value
    message = re.escape(f"{space.gene_names[0]}: found {value!r}; allowed is a whole number from")
    for asked in (space.layer_table, space.active, space.canonical):
        with pytest.raises(SpaceError, match=rf"^genes\[1\]: {message}"):
            asked(genes)
    with pytest.raises(SpaceError, match=message):
        space.decode(genes[1])


@given(named, seeds)
@settings(max_examples=20, deadline=None)
def test_whole_floats_are_the_same_genes(name: str, seed: int) -> None:
    space = SPACES[name]
    genes = space.sample_genes(2, seed)
    same: list[Any] = [genes.astype(np.float64), genes.astype(np.uint8), genes.tolist()]
    for other in same:
        assert space.decode(other[0]) == space.decode(genes[0])
        found, expected = space.layer_table(other), space.layer_table(genes)
        assert np.array_equal(found.out_channels, expected.out_channels)


def test_vectors_of_different_lengths_are_refused() -> None:
    ragged: Any = [[0, 1], [0]]
    with pytest.raises(SpaceError, match="found vectors of different lengths"):
        SPACES["vgg_tiny"].layer_table(ragged)


def test_repair_refuses_what_is_not_a_number() -> None:
    space = SPACES["vgg_tiny"]
    genes: Any = space.sample_genes(2, 0).astype(np.float64)
    genes[1, 2] = np.nan
    with pytest.raises(SpaceError, match=rf"genes\[1\]: {space.gene_names[2]}: found nan"):
        space.repair(genes)


def test_encode_names_the_gene_that_is_wrong() -> None:
    space = small_space()
    values = {gene.name: gene.choices[0] for gene in space.genes}
    with pytest.raises(SpaceError, match=r"stage0.width: found 5; allowed is one of \[4, 6\]"):
        space.encode(values | {"stage0.width": 5})
    with pytest.raises(SpaceError, match="unknown"):
        space.encode(values | {"stage9.width": 5})


def test_uniform_is_the_largest_with_the_stated_bits_everywhere() -> None:
    space = SPACES["resnet8"]
    candidate = space.uniform(weight_bits=5, activation_bits=7, adc_bits=4, range_policy="layer")
    searched = [n for n in candidate.blueprint.nodes if n.placement == "cim"]
    assert len(searched) == 8
    assert {(n.w_bits, n.x_bits, n.adc_bits, n.range_policy) for n in searched} == {
        (5, 7, 4, "layer")
    }
    assert candidate.blueprint.weights == candidate.parent.weights
    assert candidate.blueprint.node("stem").out_shape[0] == 28


def test_a_one_dimensional_signal_keeps_height_one() -> None:
    spec = SPACES["vgg_tiny"].spec.model_dump(mode="python", by_alias=True)
    space = Space(SpaceSpec.model_validate(spec | {"input_shape": (2, 1, 64)}))
    nodes = space.sample(0).blueprint.nodes
    assert {node.out_shape[1] for node in nodes} == {1}
    assert {node.kernel for node in nodes if node.op == "conv"} == {(1, 3)}


def test_too_many_downsamplings_are_refused() -> None:
    spec = SPACES["vgg_tiny"].spec.model_dump(mode="python", by_alias=True)
    stage = {"width": (4,), "depth": (1,), "downsample": True}
    with pytest.raises(ValueError, match="found 4 stages with downsample"):
        SpaceSpec.model_validate(spec | {"stages": (stage,) * 4})


def test_a_resnet_that_halves_in_its_first_stage_is_refused() -> None:
    spec = SPACES["resnet8"].spec.model_dump(mode="python", by_alias=True)
    stages = tuple(stage | {"downsample": True} for stage in spec["stages"])
    with pytest.raises(ValueError, match="found true in the first stage, whose shortcut"):
        SpaceSpec.model_validate(spec | {"stages": stages})


def test_layer_table_pads_shorter_networks() -> None:
    space = SPACES["vgg_tiny"]
    short, long = space.decode((0,) * 22), space.uniform(weight_bits=8, activation_bits=8)
    table = layer_table([short.blueprint, long.blueprint])
    assert table.shape == (2, len(long.blueprint.nodes))
    used = len(short.blueprint.nodes)
    assert (table.op[0, used:] == -1).all()
    assert (table.op[0, :used] >= 0).all()
    assert table.out_channels[1, 0] == 20
    assert layer_table([]).shape == (0, 0)


def test_macs_and_weights_by_hand() -> None:
    node = Node("a", "conv", ("input",), (3, 8, 8), (16, 4, 4), kernel=(3, 3), stride=(2, 2))
    assert node.weights == 3 * 9 * 16
    assert node.macs == 3 * 9 * 16 * 16
