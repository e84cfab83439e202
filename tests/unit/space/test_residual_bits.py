"""The bits that what waits for an addition is kept in, as genes and as nodes."""

import itertools
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cimsearch.blueprint import Blueprint
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.space import Space
from cimsearch.space.network_family import network_spec
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec import load_space_spec
from cimsearch.spec.network import NetworkSpec
from cimsearch.spec.node import NodeSpec
from cimsearch.spec.space import LayerGenes, SpaceSpec

from .families import SPACES, varied
from .residuals import KEEPING, KEPT, PLAIN, SMALL, additions, keeping, with_residual

seeds = st.integers(0, 2**32 - 1)
named = st.sampled_from(sorted(KEEPING))
HEAD: dict[str, Any] = {"name": "one", "summary": "one network", "source": "tests"}


@given(named, st.integers(1, 12), seeds)
@settings(max_examples=40, deadline=None)
def test_every_column_is_that_of_the_decoded_blueprints(name: str, n: int, seed: int) -> None:
    space = KEEPING[name]
    genes = space.sample_genes(n, seed)
    table, expected = (
        space.layer_table(genes),
        layer_table([space.decode(row).blueprint for row in genes]),
    )
    for column in fields(LayerTable):
        found, wanted = getattr(table, column.name), getattr(expected, column.name)
        np.testing.assert_array_equal(found, wanted, err_msg=column.name)


@given(named, seeds)
@settings(max_examples=40, deadline=None)
def test_only_additions_differ_from_the_network_without(name: str, seed: int) -> None:
    space, plain = KEEPING[name], PLAIN[name]
    candidate = space.sample(seed)
    chosen = space.choices(candidate.genes)
    same = plain.decode(
        plain.encode({g.name: chosen.get(g.name, max(g.choices, key=str)) for g in plain.genes})
    )
    bare = tuple(
        replace(node, x_bits=0, x_signed=False) if node.op == "add" else node
        for node in candidate.blueprint.nodes
    )
    assert replace(candidate.blueprint, nodes=bare) == same.blueprint
    assert candidate.parent == same.parent
    for node in additions(candidate.blueprint):
        assert node.x_bits == chosen[f"{node.name}.residual_bits"]
    assert Blueprint.from_json(candidate.blueprint.to_json()) == candidate.blueprint


def test_words_are_the_network_of_before() -> None:
    for name, space in KEEPING.items():
        plain, words = PLAIN[name], keeping(PLAIN[name], 0)
        assert words.gene_names == plain.gene_names
        genes = plain.sample_genes(1, 3)[0]
        assert words.decode(genes).hash == plain.decode(genes).hash
        uniform = [s.uniform(weight_bits=4, activation_bits=3) for s in (space, words, plain)]
        assert len({found.hash for found in uniform}) == 1


def test_what_waits_has_the_sign_of_its_source() -> None:
    signs = {node.name: node.x_signed for node in additions(with_residual(4).blueprint)}
    # A stage's first block adds a convolution with a norm, others what an activation gave.
    assert signs == {
        "stage0.block0.add": False,
        "stage1.block0.add": True,
        "stage1.block1.add": False,
    }
    linear = with_residual(5, KEEPING["inverted"]).blueprint
    assert additions(linear)
    assert all(node.x_signed for node in additions(linear))
    assert not any(node.x_signed for node in additions(with_residual(0).blueprint))


def test_bits_of_additions_that_are_not_there_do_not_count() -> None:
    space = KEEPING["removable resnet"]
    kept = with_residual(5, space, weight_bits=5)
    # The depth leaves no block out that may be removed.
    values = space.choices(kept.genes) | {"stage0.block0.conv2.weight_bits": 0}
    filled = {gene.name: gene.choices[0] for gene in space.genes} | values
    removed = space.decode(space.encode(filled))
    assert "stage0.block0.add.residual_bits" in space.choices(kept.genes)
    assert "stage0.block0.add.residual_bits" not in space.choices(removed.genes)
    assert "stage1.block1.add.residual_bits" in space.choices(removed.genes)
    other = space.decode(space.encode(filled | {"stage0.block0.add.residual_bits": 2}))
    assert other.hash == removed.hash


def test_size_counts_canonical_forms() -> None:
    stages = ({"width": (4,), "depth": (1, 2), "downsample": False},)
    genes: dict[str, Any] = {
        "weight_bits": (2, 4),
        "activation_bits": (3,),
        "prune_ratio": (0.0,),
        "residual_bits": (3, 0),
    }
    space = varied("resnet8", stages=stages, genes=genes)
    every = itertools.product(*(range(len(gene.choices)) for gene in space.genes))
    assert space.size == len({tuple(row) for row in space.canonical(np.array(list(every)))})


def test_an_addition_begins_like_the_one_to_its_left() -> None:
    index = {name: i for i, name in enumerate(SMALL.gene_names)}
    first, second = (f"stage1.block{b}.add.residual_bits" for b in (0, 1))
    assert SMALL.genes[index[second]].neighbour == index[first]
    assert SMALL.genes[index[first]].neighbour == -1


def test_the_hash_of_a_space_without_residual_bits_is_that_of_before() -> None:
    spec = load_space_spec("resnet8")
    assert "residual_bits" not in spec.model_dump(mode="json")["genes"]
    assert keeping(Space(spec), 4, 8).spec.model_dump(mode="json")["genes"]["residual_bits"]


@pytest.mark.parametrize("family", ["vgg_tiny", "dscnn_kws"])
def test_families_that_add_nothing_have_none(family: str) -> None:
    data = load_space_spec(family).model_dump(mode="python", by_alias=True)
    genes = data["genes"] | {"residual_bits": (4, 8)}
    said = f"found 4, 8; the family {data['family']} adds nothing: allowed is"
    with pytest.raises(ValidationError, match=said):
        SpaceSpec.model_validate(data | {"genes": genes})


def test_inverted_residuals_of_one_block_a_stage_have_none() -> None:
    spec = SPACES["inverted"].spec
    stages = ({"width": (8,), "depth": (1,), "downsample": False},)
    data = spec.model_dump(mode="python", by_alias=True) | {"stages": stages}
    SpaceSpec.model_validate(data)
    genes = data["genes"] | {"residual_bits": (4,)}
    with pytest.raises(ValidationError, match="the family inverted_residual adds nothing"):
        SpaceSpec.model_validate(data | {"genes": genes})


@pytest.mark.parametrize("bits", [(1,), (17,), (4, 4), (-1,)])
def test_bits_that_are_none_are_refused(bits: tuple[int, ...]) -> None:
    genes = dict(load_space_spec("resnet8").genes) | {"residual_bits": bits}
    with pytest.raises(ValidationError):
        LayerGenes.model_validate(genes)


def test_other_widths_keep_the_bits() -> None:
    blueprint, pruned = (with_residual(4, prune_ratio=ratio).blueprint for ratio in (0.0, 0.5))
    assert with_widths(blueprint, widths_of(pruned)) == pruned
    assert all(node.x_bits == 4 for node in additions(pruned))


def test_a_network_of_its_own_has_the_gene_too() -> None:
    parent = SMALL.uniform(weight_bits=4, activation_bits=4).parent
    genes = SMALL.spec.genes.model_copy(update={"residual_bits": KEPT})
    space = Space(network_spec(parent, genes, HEAD, weights_sha256=""))
    found = [name for name in space.gene_names if name.endswith("residual_bits")]
    assert found == [f"{node.name}.residual_bits" for node in additions(parent)]
    rows = space.sample_genes(20, 3)
    table, expected = (
        space.layer_table(rows),
        layer_table([space.decode(row).blueprint for row in rows]),
    )
    for column in fields(LayerTable):
        np.testing.assert_array_equal(getattr(table, column.name), getattr(expected, column.name))
    assert {node.x_bits for node in additions(with_residual(5, space).blueprint)} == {5}


def of_one_block(inputs: tuple[str, str], **genes: Any) -> Space:
    """Return a network of its own of one block, whose addition reads ``inputs`` in this order."""
    nodes = (
        NodeSpec(name="stem", op="conv", channels=4, kernel=(3, 3)),
        NodeSpec(name="conv", op="conv", channels=4, kernel=(3, 3)),
        NodeSpec(name="relu", op="relu"),
        NodeSpec(name="last", op="conv", channels=4, kernel=(3, 3)),
        NodeSpec(name="side", op="conv", channels=4, kernel=(1, 1), inputs=("stem",)),
        NodeSpec(name="add", op="add", inputs=inputs),
        NodeSpec(name="pool", op="avgpool", kernel=(4, 4)),
        NodeSpec(name="fc", op="linear", channels=3),
    )
    read = {name for node in nodes for name in node.inputs}
    kept = tuple(node for node in nodes if node.name != "side" or "side" in read)
    given = {"weight_bits": (4,), "activation_bits": (4,), "prune_ratio": (0.0,)} | genes
    return Space(
        NetworkSpec(
            schema_="cimsearch/space/1",
            family="network",
            input_shape=(1, 4, 4),
            classes=3,
            genes=LayerGenes(**given),
            nodes=kept,
            **HEAD,
        )
    )


@pytest.mark.parametrize(
    ("inputs", "waits"),
    [
        (("last", "stem"), "stem"),
        (("stem", "last"), "stem"),
        (("relu", "last"), "relu"),
        # Neither is computed from the other.
        (("last", "side"), "side"),
        (("side", "last"), "last"),
    ],
)
def test_of_a_network_of_its_own_waits_what_the_other_is_computed_from(
    inputs: tuple[str, str], waits: str
) -> None:
    candidate = of_one_block(inputs, residual_bits=(5,)).sample(0)
    (node,) = additions(candidate.blueprint)
    assert (node.inputs[1], node.x_bits, node.x_signed) == (waits, 5, waits != "relu")
    assert additions(candidate.parent)[0].inputs == node.inputs
    # Without the gene it is the network that was imported.
    assert additions(of_one_block(inputs).sample(0).blueprint)[0].inputs == inputs


def test_a_network_of_its_own_that_adds_nothing_has_none() -> None:
    parent = varied("vgg_tiny").uniform(weight_bits=4, activation_bits=4).parent
    genes = SMALL.spec.genes.model_copy(update={"residual_bits": (4,)})
    with pytest.raises(ValidationError, match="found 4; the network adds nothing"):
        network_spec(parent, genes, HEAD, weights_sha256="")
