"""The share of row groups without weights as a gene, and in nodes and layer tables."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.space import Space
from cimsearch.space.network_family import network_spec
from cimsearch.spec.space import LayerGenes
from cimsearch.units import millionths

from .families import SPACES, varied
from .grouped import GROUPS

SHARES = (0.5, 0.0, 0.25)
HEAD = {"name": "one", "summary": "one network", "source": "tests"}


def sparse(space: Space, **genes: Any) -> Space:
    """Return the space with row sparsity beside its other genes."""
    own = dict(space.spec.genes) | {"row_sparsity": SHARES} | genes
    return Space(
        space.spec.model_copy(update={"genes": type(space.spec.genes).model_validate(own)})
    )


SPARSE = {name: sparse(space) for name, space in SPACES.items()}
VGG = sparse(varied("vgg_tiny"), weight_bits=(2, 4), **GROUPS)


@given(st.sampled_from(sorted(SPARSE)), st.integers(1, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_every_column_is_that_of_the_decoded_blueprints(name: str, n: int, seed: int) -> None:
    space = SPARSE[name]
    genes = space.sample_genes(n, seed)
    blueprints = [space.decode(row).blueprint for row in genes]
    table, expected = space.layer_table(genes), layer_table(blueprints)
    for column in fields(LayerTable):
        found, wanted = getattr(table, column.name), getattr(expected, column.name)
        np.testing.assert_array_equal(found, wanted, err_msg=column.name)


def test_layers_have_their_share_and_parents_and_depthwise_ones_none() -> None:
    space = SPARSE["separable"]
    names = [name for name in space.gene_names if name.endswith(".row_sparsity")]
    assert names
    assert not any("depthwise" in name for name in names)
    candidate = space.sample(1)
    chosen = space.choices(candidate.genes)
    for node in candidate.blueprint.nodes:
        share = chosen.get(f"{node.name}.row_sparsity", 0.0)
        assert node.row_sparsity == share
        assert node.row_sparsity_ppm == millionths(float(share))
    assert any(node.row_sparsity for node in candidate.blueprint.nodes)
    assert not any(node.row_sparsity for node in candidate.parent.nodes)


def test_both_parts_of_a_layer_and_a_shortcut_have_the_share_of_the_layer() -> None:
    candidate = VGG.sample(3)
    joins = [node for node in candidate.blueprint.nodes if node.op == "concat"]
    assert joins
    for join in joins:
        low, high = (candidate.blueprint.node(name) for name in join.inputs)
        assert low.row_sparsity == high.row_sparsity
    resnet = SPARSE["removable resnet"].sample(2).blueprint
    for node in resnet.nodes:
        if node.name.endswith(".shortcut"):
            first = [n for n in resnet.nodes if n.name == node.name.replace("shortcut", "conv1")]
            assert all(n.row_sparsity == node.row_sparsity for n in first)


def test_without_it_a_space_is_that_of_before() -> None:
    space = SPACES["separable"]
    assert "row_sparsity" not in space.spec.model_dump_json()
    assert not any("row_sparsity" in name for name in space.gene_names)
    assert SPARSE["separable"].hash != space.hash
    again = Space(type(space.spec).model_validate_json(SPARSE["separable"].spec.model_dump_json()))
    assert again.hash == SPARSE["separable"].hash
    uniform = SPARSE["separable"].uniform(weight_bits=8, activation_bits=8)
    assert uniform.blueprint == space.uniform(weight_bits=8, activation_bits=8).blueprint
    for wrong, said in (
        ((1.0,), r"row_sparsity\.0\n.*less than 1"),
        ((-0.1,), r"row_sparsity\.0\n.*greater than or equal to 0"),
        ((0.5, 0.5), "found a repeated choice"),
    ):
        with pytest.raises(ValidationError, match=said):
            sparse(space, row_sparsity=wrong)


def test_a_network_of_ones_own_has_it_in_every_searched_layer() -> None:
    one = SPACES["vgg of kernels"].sample(0)
    genes = LayerGenes(
        weight_bits=(4,), activation_bits=(4,), prune_ratio=(0.0,), row_sparsity=SHARES
    )
    space = Space(network_spec(one.parent, genes, HEAD, weights_sha256=""))
    searched = [n for n in space.sample(1).blueprint.nodes if n.placement == "cim"]
    assert {f"{node.name}.row_sparsity" for node in searched} <= set(space.gene_names)
    assert any(node.row_sparsity for node in searched)
