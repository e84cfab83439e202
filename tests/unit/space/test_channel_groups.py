"""Groups of a layer's channels with different weight bits, as genes and as nodes."""

import itertools
from collections import Counter
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cimsearch.blueprint import parent_names
from cimsearch.errors import SpaceError
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.search.domain import domain_of
from cimsearch.search.operators import Parents, children_of
from cimsearch.search.table import every_candidate
from cimsearch.space import Space
from cimsearch.space.network_family import network_spec
from cimsearch.space.shapes import shapes_of
from cimsearch.space.steps import high_channels
from cimsearch.space.widths import multiples_of, widths_of, with_widths
from cimsearch.spec import load_space_spec
from cimsearch.spec.space import SpaceSpec

from .families import REMOVABLE, SPACES, varied
from .grouped import GROUPED, RESNET, VGG, grouped, parts_of, with_share

seeds = st.integers(0, 2**32 - 1)
named = st.sampled_from(sorted(GROUPED))
FIXED_BITS: dict[str, Any] = {
    "activation_bits": (4,),
    "prune_ratio": (0.0,),
    "adc_bits": (),
    "encoding": (),
    "range_policy": (),
}
HEAD = {"name": "one", "summary": "one network", "source": "tests"}


def test_shares_are_rounded_and_leave_both_parts_a_channel() -> None:
    assert [high_channels(8, share) for share in (0.0, 0.25, 0.5, 1.0)] == [0, 2, 4, 8]
    assert [high_channels(7, 0.25), high_channels(6, 0.25), high_channels(10, 0.25)] == [2, 2, 3]
    assert [high_channels(2, 0.01), high_channels(2, 0.99), high_channels(9, 0.99)] == [1, 1, 8]


@given(named, st.integers(1, 12), seeds)
@settings(max_examples=60, deadline=None)
def test_every_column_is_that_of_the_decoded_blueprints(name: str, n: int, seed: int) -> None:
    space = GROUPED[name]
    genes = space.sample_genes(n, seed)
    blueprints = [space.decode(row).blueprint for row in genes]
    table, expected = space.layer_table(genes), layer_table(blueprints)
    for column in fields(LayerTable):
        found, wanted = getattr(table, column.name), getattr(expected, column.name)
        np.testing.assert_array_equal(found, wanted, err_msg=column.name)
    names = np.array([*space.node_names, ""])[space.node_indices(genes)]
    for row, blueprint in zip(np.broadcast_to(names, table.shape), blueprints, strict=True):
        assert [name for name in row if name] == [node.name for node in blueprint.nodes]


@given(named, seeds)
@settings(max_examples=40, deadline=None)
def test_parts_are_one_layer_of_the_parent(name: str, seed: int) -> None:
    space = GROUPED[name]
    candidate = space.sample(seed)
    blueprint, parent = candidate.blueprint, candidate.parent
    assert all(node.op != "concat" for node in parent.nodes)
    assert set(parent_names(blueprint).values()) == {node.name for node in parent.nodes}
    for low, high, joined in parts_of(blueprint):
        first, second, join = map(blueprint.node, (low, high, joined))
        assert first.inputs == second.inputs
        assert first.w_bits < second.w_bits
        assert (first.x_bits, first.adc_bits) == (second.x_bits, second.adc_bits)
        assert (first.prune_group, second.prune_group) == ("", "")
        assert first.out_shape[0] + second.out_shape[0] == join.out_shape[0]
        share = space.choices(candidate.genes).get(f"{low}.high_share")
        if share is not None:
            assert second.out_shape[0] == high_channels(join.out_shape[0], float(share))


@given(named, seeds)
@settings(max_examples=40, deadline=None)
def test_groups_change_no_width(name: str, seed: int) -> None:
    space, plain = GROUPED[name], SPACES[name]
    candidate = space.sample(seed)
    chosen = space.choices(candidate.genes)
    same = plain.decode(
        plain.encode({g.name: chosen.get(g.name, max(g.choices, key=str)) for g in plain.genes})
    )
    assert widths_of(candidate.blueprint) == widths_of(same.blueprint)
    assert candidate.parent == same.parent
    assert candidate.blueprint.macs == same.blueprint.macs


@pytest.mark.parametrize("space", [VGG, RESNET], ids=["vgg", "resnet"])
def test_a_share_of_1_is_the_uniform_network_of_more_bits(space: Space) -> None:
    whole = with_share(space, 1.0, high_bits=8, activation_bits=4)
    uniform = space.uniform(weight_bits=8, activation_bits=4)
    assert whole.blueprint == uniform.blueprint
    assert (whole.blueprint.hash, whole.parent.hash) == (
        uniform.blueprint.hash,
        uniform.parent.hash,
    )


@pytest.mark.parametrize("name", ["vgg_tiny", "resnet8"])
def test_a_share_of_0_is_the_network_without_groups(name: str) -> None:
    plain, space = varied(name), grouped(varied(name), high_bits=(10, 12))
    for seed in range(5):
        genes = plain.sample_genes(1, seed)[0]
        chosen = {g.name: g.choices[i] for g, i in zip(plain.genes, genes, strict=True)}
        filled = {g.name: chosen.get(g.name, g.choices[0]) for g in space.genes}
        shares = {g.name: 0.0 for g in space.genes if g.name.endswith("high_share")}
        found, wanted = space.decode(space.encode(filled | shares)), plain.decode(genes)
        assert (found.blueprint.hash, found.parent.hash) == (
            wanted.blueprint.hash,
            wanted.parent.hash,
        )


def test_bits_that_no_channel_has_do_not_count() -> None:
    layer = "stage1.layer0"
    of = {share: with_share(VGG, share) for share in (0.0, 0.25, 1.0)}
    counts = {share: VGG.choices(found.genes) for share, found in of.items()}
    for share, chosen in counts.items():
        assert (f"{layer}.weight_bits" in chosen) == (share < 1)
        assert (f"{layer}.high_bits" in chosen) == (share > 0)
    index = VGG.gene_names.index(f"{layer}.high_bits")
    other = np.array(of[0.0].genes)
    other[index] = 1 - other[index]
    assert VGG.decode(other).hash == of[0.0].hash
    assert (VGG.canonical(other[None]) == VGG.canonical(np.array([of[0.0].genes]))).all()


def test_size_counts_canonical_forms() -> None:
    stages = ({"width": (4, 6), "depth": (1, 2), "downsample": True},)
    genes: dict[str, Any] = {
        "weight_bits": (2, 4),
        "activation_bits": (3,),
        "prune_ratio": (0.0, 0.5),
    }
    space = grouped(varied("vgg_tiny", stages=stages, genes=genes))
    every = itertools.product(*(range(len(gene.choices)) for gene in space.genes))
    assert space.size == len({tuple(row) for row in space.canonical(np.array(list(every)))})


@pytest.mark.parametrize("family", ["resnet8", "mobilenet_v2"])
@pytest.mark.parametrize("shares", [(0.25, 1.0), (0.25, 0.5), (1.0,), (0.0, 1.0)])
def test_a_network_has_one_name_where_blocks_may_be_removed(
    family: str, shares: tuple[float, ...]
) -> None:
    """Where all channels have more bits, the fewer ones only say that the block is there."""
    stage = {"width": (8,), "depth": (2,), "downsample": False}
    blocks = {"stem": {"width": (8,)}, "depthwise": ("digital",), "expansion": (1,)}
    plain = varied(
        family,
        stages=(stage,),
        genes=REMOVABLE | FIXED_BITS | {"weight_bits": (0, 2, 4)},
        **({"blocks": blocks} if family == "mobilenet_v2" else {}),
    )
    space = grouped(plain, high_share=shares, high_bits=(8,))
    every = np.array([*itertools.product(*(range(len(g.choices)) for g in space.genes))])
    rows = [tuple(row) for row in space.canonical(every).tolist()]
    hashes = [space.decode(row).hash for row in every]
    assert len(set(rows)) == len(set(hashes)) == len(set(zip(rows, hashes, strict=True)))
    assert space.size == len(set(rows))
    assert sorted(map(tuple, every_candidate(space).tolist())) == sorted(set(rows))
    for row, of in zip(every, rows, strict=True):
        chosen = {g.name: g.choices[i] for g, i in zip(space.genes, of, strict=True) if i >= 0}
        assert space.choices(tuple(row)) == chosen


def test_children_have_all_shares_and_valid_genes() -> None:
    domain, rng = domain_of(VGG), np.random.default_rng(0)
    vectors = domain.sample(8, rng)
    children = children_of(domain, Parents(vectors, np.arange(8)), 40, rng)
    found = Counter(
        gene.choices[int(row[index])]
        for row in children
        for index, gene in enumerate(VGG.genes)
        if gene.name.endswith("high_share")
    )
    assert set(found) == {0.0, 0.25, 0.5, 1.0}
    assert len({VGG.decode(row.astype(np.int64)).hash for row in children}) > 30


def test_the_hash_of_a_space_without_groups_is_that_of_before() -> None:
    spec = load_space_spec("vgg_tiny")
    assert "high_share" not in spec.model_dump(mode="json")["genes"]
    assert Space(spec).hash != VGG.hash


def test_layers_are_named_with_their_parts() -> None:
    names = VGG.spec.layer_names
    assert names[:3] == ("stage0.layer0", "stage0.layer1", "stage0.layer1.high")
    blueprint = with_share(VGG, 0.25).blueprint
    assert tuple(node.name for node in blueprint.nodes if node.has_weights) == names
    assert set(SPACES["separable"].spec.layer_names) < set(GROUPED["separable"].spec.layer_names)


@pytest.mark.parametrize(
    ("genes", "said"),
    [
        ({"high_share": (0.25,)}, "found without high_bits; allowed is both or neither"),
        ({"high_bits": (8,)}, "found without high_share; allowed is both or neither"),
        (
            {"high_share": (0.25,), "high_bits": (3, 8)},
            "found 3; allowed is more than all weight_bits, of which 4 is the most",
        ),
        (
            {"high_share": (0.25,), "high_bits": (8,), "prune_ratio": (0.0, 0.95)},
            "channel groups of layers that pruning leaves 1 channel of",
        ),
        ({"high_share": (0.5, 0.5), "high_bits": (8,)}, "found a repeated choice"),
        ({"high_share": (1.5,), "high_bits": (8,)}, "less than or equal to 1"),
    ],
)
def test_genes_that_make_no_groups_are_refused(genes: dict[str, Any], said: str) -> None:
    data = load_space_spec("vgg_tiny").model_dump(mode="python", by_alias=True)
    own = {"weight_bits": (2, 4), "activation_bits": (4,), "prune_ratio": (0.0,)}
    with pytest.raises(ValidationError, match=said):
        SpaceSpec.model_validate(data | {"genes": own | genes})


@pytest.mark.parametrize("space", [VGG, RESNET], ids=["vgg", "resnet"])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_parts_keep_their_share_at_other_widths(space: Space, share: float) -> None:
    blueprint, pruned = (
        with_share(space, share, prune_ratio=ratio).blueprint for ratio in (0.0, 0.5)
    )
    assert with_widths(blueprint, {}) == blueprint
    found = with_widths(blueprint, widths_of(pruned))
    for node, wanted in zip(found.nodes, pruned.nodes, strict=True):
        # A share of rounded channels is rounded again.
        assert abs(node.out_shape[0] - wanted.out_shape[0]) <= 1
        assert node.out_shape == wanted.out_shape or not node.prune_group
    for low, high, joined in parts_of(found):
        parts = found.node(low).out_shape[0] + found.node(high).out_shape[0]
        assert parts == found.node(joined).out_shape[0]


@pytest.mark.parametrize("name", sorted(GROUPED))
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_the_share_that_was_asked_holds_however_often_widths_are_changed(
    name: str, seed: int
) -> None:
    space = GROUPED[name]
    narrow = space.sample(seed)
    chosen = {g.name: g.choices[i] for g, i in zip(space.genes, narrow.genes, strict=True)}
    unpruned = {g: 0.0 for g in chosen if g.endswith("prune_ratio")}
    wide = space.decode(space.encode(chosen | unpruned))
    shares = space.shares(wide.genes)
    assert set(shares) == {low for low, _, _ in parts_of(wide.blueprint)}
    between = {g: (w + widths_of(wide.blueprint)[g]) // 2
               for g, w in widths_of(narrow.blueprint).items()}  # fmt: skip
    multiples = multiples_of(wide.blueprint)
    between = {g: max(w // multiples[g], 1) * multiples[g] for g, w in between.items()}
    found = with_widths(wide.blueprint, between, shares)
    found = with_widths(found, widths_of(narrow.blueprint), shares)
    assert found == narrow.blueprint


def test_a_layer_in_parts_keeps_two_channels() -> None:
    blueprint = with_share(VGG, 0.25).blueprint
    assert (
        with_widths(blueprint, {"stage1.layer0": 2}).node("stage1.layer0.high").out_shape[0] == 1
    )
    with pytest.raises(SpaceError, match=r"stage1\.layer0: found 1 channel of a layer in parts"):
        with_widths(blueprint, {"stage1.layer0": 1})


def test_what_holds_whole_layers_refuses_parts() -> None:
    blueprint = with_share(VGG, 0.25).blueprint
    for change in (
        lambda: shapes_of(blueprint),
        lambda: network_spec(blueprint, VGG.spec.genes, HEAD, weights_sha256=""),
    ):
        with pytest.raises(SpaceError, match=r"groups of channels with different weight bits"):
            change()
