"""The layer table of many gene vectors equals that of their decoded blueprints."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.errors import SpaceError
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.space import Genes, Space

from . import families
from .families import varied

seeds = st.integers(0, 2**32 - 1)


DEEP = (
    {"width": (5, 7), "depth": (3, 1, 2), "downsample": False},
    {"width": (6,), "depth": (2,), "downsample": True},
    {"width": (9, 16), "depth": (1, 4), "downsample": True},
)
EVERY_KNOB = {
    "weight_bits": (2, 5),
    "activation_bits": (1, 8, 3),
    "prune_ratio": (0.9, 0.0, 1 / 3, 0.5),
    "adc_bits": (4, 6),
    "encoding": ("offset", "differential_digital", "twos_complement"),
    "range_policy": ("column", "full_scale"),
}
FIXED = {"weight_bits": (4,), "activation_bits": (4,), "prune_ratio": (0.25,), "adc_bits": (5,)}
MIXED_ENDS = {
    "first_layer": {"placement": "cim", "bits": 4},
    "classifier": {"placement": "cim", "bits": 6},
}
SPACES = {
    "resnet8": varied("resnet8"),
    "vgg_tiny": varied("vgg_tiny"),
    "deep resnet": varied("resnet8", stages=DEEP, genes=EVERY_KNOB),
    "deep vgg": varied("vgg_tiny", stages=DEEP, genes=EVERY_KNOB, **MIXED_ENDS),
    "signal vgg": varied("vgg_tiny", input_shape=(2, 1, 50), stages=DEEP, kernel=5),
    "signal resnet": varied("resnet8", input_shape=(1, 1, 33), stages=DEEP, **MIXED_ENDS),
    "odd image": varied("resnet8", input_shape=(3, 31, 17), genes=EVERY_KNOB),
    "only depths": varied("vgg_tiny", stages=DEEP, genes=FIXED),
    "only a width": varied("resnet8", stages=({**DEEP[0], "depth": (2,)},), genes=FIXED),
    **families.SPACES,
}
named = st.sampled_from(sorted(SPACES))


def assert_same_as_decoded(space: Space, genes: Genes) -> None:
    table = space.layer_table(genes)
    expected = layer_table([space.decode(row).blueprint for row in genes])
    assert table.shape == expected.shape
    for column in fields(LayerTable):
        found, wanted = getattr(table, column.name), getattr(expected, column.name)
        assert found.dtype == wanted.dtype == np.int64
        np.testing.assert_array_equal(found, wanted, err_msg=column.name)


@given(named, st.integers(0, 12), seeds)
@settings(max_examples=150, deadline=None)
def test_every_column_is_that_of_the_decoded_blueprints(name: str, n: int, seed: int) -> None:
    space = SPACES[name]
    assert_same_as_decoded(space, space.sample_genes(n, seed))


@pytest.mark.parametrize("name", sorted(SPACES))
def test_a_batch_of_the_shortest_networks_alone_is_not_padded(name: str) -> None:
    space = SPACES[name]
    shortest = [
        g.choices.index(min(g.choices, key=float)) if g.name.endswith(".depth") else 0
        for g in space.genes
    ]
    genes = np.array([shortest] * 3, dtype=np.int64)
    assert_same_as_decoded(space, genes)
    assert (space.layer_table(genes).op >= 0).all()


@pytest.mark.parametrize("name", sorted(SPACES))
def test_nodes_and_layers_are_named_as_in_the_deepest_network(name: str) -> None:
    space = SPACES[name]
    deepest = space.uniform(weight_bits=4, activation_bits=4).blueprint.nodes
    assert space.node_names == tuple(node.name for node in deepest)
    assert space.spec.layer_names == tuple(node.name for node in deepest if node.has_weights)


@given(named, st.integers(0, 12), seeds)
def test_node_indices_name_the_nodes_of_the_table(name: str, n: int, seed: int) -> None:
    space = SPACES[name]
    genes = space.sample_genes(n, seed)
    indices, table = space.node_indices(genes), space.layer_table(genes)
    names, padding = np.array([*space.node_names, ""]), len(space.node_names)
    if n:
        indices = np.broadcast_to(indices, table.shape)
        np.testing.assert_array_equal(indices == padding, table.op == -1)
    for row, vector in zip(indices, genes, strict=False):
        nodes = [node.name for node in space.decode(vector).blueprint.nodes]
        assert [name for name in names[row].tolist() if name] == nodes


@pytest.mark.parametrize("name", sorted(SPACES))
def test_each_choice_of_each_gene_is_looked_up(name: str) -> None:
    space = SPACES[name]
    single = np.eye(len(space.genes), dtype=np.int64)
    rows = [
        single[column] * index
        for column, gene in enumerate(space.genes)
        for index in range(len(gene.choices))
    ]
    assert_same_as_decoded(space, np.array(rows))


def test_a_table_does_not_depend_on_what_else_is_in_the_batch() -> None:
    space = SPACES["deep vgg"]
    genes = space.sample_genes(64, 5)
    table = space.layer_table(genes)
    for row, vector in enumerate(genes):
        alone = space.layer_table(vector[None])
        nodes = alone.shape[1]
        for column in fields(LayerTable):
            one, many = getattr(alone, column.name)[0], getattr(table, column.name)[row]
            np.testing.assert_array_equal(one, many[:nodes])
        assert (table.op[row, nodes:] == -1).all()


@pytest.mark.parametrize("name", ["deep resnet", *families.SPACES])
def test_inactive_genes_leave_no_trace(name: str) -> None:
    space = SPACES[name]
    genes = space.sample_genes(50, 1)
    other = np.where(space.active(genes), genes, space.sample_genes(50, 2))
    assert not np.array_equal(genes, other)
    first, second = space.layer_table(genes), space.layer_table(other)
    for column in fields(LayerTable):
        np.testing.assert_array_equal(getattr(first, column.name), getattr(second, column.name))


def test_a_space_without_genes_has_one_network() -> None:
    stage = {"width": (4,), "depth": (2,), "downsample": True}
    space = varied("vgg_tiny", stages=(stage,), genes=FIXED)
    assert not space.genes
    assert_same_as_decoded(space, np.zeros((3, 0), dtype=np.int64))


def test_the_genes_are_not_written_to() -> None:
    space = SPACES["deep vgg"]
    genes = space.sample_genes(20, 3)
    before = genes.copy()
    space.layer_table(genes)
    np.testing.assert_array_equal(genes, before)


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        ([[0, 1]], r"found shape \(1, 2\); allowed is \(n, 22\)"),
        ([0] * 22, r"found shape \(22,\); allowed is \(n, 22\)"),
        (
            [[0] * 22, [9] + [0] * 21],
            r"genes\[1\]: stage0.width: found 9; allowed is a whole number from 0 to 2, an index "
            r"into \[8, 14, 20\]",
        ),
        ([[-1] + [0] * 21], r"genes\[0\]: stage0.width: found -1"),
    ],
)
def test_bad_genes_are_refused(genes: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SPACES["vgg_tiny"].layer_table(np.array(genes, dtype=np.int64))
