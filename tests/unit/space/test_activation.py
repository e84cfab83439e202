"""What activations are: a gene of the whole network, and of its float parent too."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cimsearch.blueprint import Blueprint
from cimsearch.cost import estimate
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.search.baselines import baselines, uniform_genes
from cimsearch.search.pricing import estimate_batch
from cimsearch.space import Space, space_of
from cimsearch.space.bypass import bypasses, without, without_those_of
from cimsearch.space.conditions import Value
from cimsearch.space.network_family import network_spec
from cimsearch.spec import load_hardware, load_study
from cimsearch.spec.network import NetworkSpec
from cimsearch.spec.space import LayerGenes
from tests.studies import TINY_STUDY

from .activations import ALL, PLAIN, SEARCHING, searching

named = st.sampled_from(sorted(SEARCHING))
seeds = st.integers(0, 2**32 - 1)
HEAD = {"name": "one", "summary": "one network", "source": "tests"}


def with_activation(space: Space, genes: np.ndarray, activation: str) -> np.ndarray:
    """Return genes (n, g) with another activation."""
    place = space.gene_names.index("activation")
    changed = genes.copy()
    changed[:, place] = space.genes[place].choices.index(activation)
    return changed


def plain_again(blueprint: Blueprint) -> Blueprint:
    """Return a network with ReLUs under the names that they have where nothing is searched."""
    ends = {f".{name}": ".relu" for name in ALL}

    def renamed(name: str) -> str:
        end = next((end for end in ends if name.endswith(end)), "")
        return name.removesuffix(end) + ends.get(end, "")

    return replace(
        blueprint,
        nodes=tuple(
            replace(
                node,
                name=renamed(node.name),
                inputs=tuple(map(renamed, node.inputs)),
                op="relu" if node.op == "hard_sigmoid" else node.op,
                limit=None,
            )
            for node in blueprint.nodes
        ),
    )


@given(named, st.integers(0, 8), seeds)
@settings(max_examples=60, deadline=None)
def test_every_column_is_that_of_the_decoded_blueprints(name: str, n: int, seed: int) -> None:
    space = SEARCHING[name]
    genes = space.sample_genes(n, seed)
    table = space.layer_table(genes)
    expected = layer_table([space.decode(row).blueprint for row in genes])
    for column in fields(LayerTable):
        found, wanted = getattr(table, column.name), getattr(expected, column.name)
        np.testing.assert_array_equal(found, wanted, err_msg=column.name)
    names = np.array([*space.node_names, ""])
    for row, vector in zip(space.node_indices(genes), genes, strict=False):
        nodes = [node.name for node in space.decode(vector).blueprint.nodes]
        assert [each for each in names[row].tolist() if each] == nodes


def test_prices_of_genes_are_those_of_the_networks() -> None:
    space, hardware = SEARCHING["resnet"], load_hardware("macros/yu_cicc_2020")
    drawn = space.sample_genes(2, 5)
    genes = np.concatenate([with_activation(space, drawn, name) for name in ALL])
    batch = estimate_batch(space, genes, hardware)
    reports = [estimate(space.decode(row).blueprint, hardware) for row in genes]
    assert batch.energy_pj.tolist() == pytest.approx([r.energy_pj for r in reports])
    assert batch.latency_ns.tolist() == pytest.approx([r.latency_ns for r in reports])
    relu, relu6, hard = batch.energy_pj.reshape(3, 2)
    assert relu.tolist() == relu6.tolist()
    assert (hard > relu).all()


@given(named, seeds)
@settings(max_examples=40, deadline=None)
def test_only_the_activations_differ_in_a_network_and_its_parent(name: str, seed: int) -> None:
    space = SEARCHING[name]
    drawn = space.sample_genes(1, seed)
    relu, relu6, hard = (space.decode(with_activation(space, drawn, a)[0]) for a in ALL)
    assert len({c.parent.hash for c in (relu, relu6, hard)}) == 3
    for found, op, limit in (
        (relu, "relu", None),
        (relu6, "relu", 6.0),
        (hard, "hard_sigmoid", None),
    ):
        for network in (found.blueprint, found.parent):
            activations = [n for n in network.nodes if n.op in ("relu", "hard_sigmoid")]
            assert {(node.op, node.limit) for node in activations} == {(op, limit)}
    # No activation gives what is negative: inputs have the signs that they have behind ReLUs.
    before, place = PLAIN[name], space.gene_names.index("activation")
    wanted = before.decode(np.delete(drawn[0], place)).blueprint
    assert plain_again(relu.blueprint) == plain_again(relu6.blueprint) == wanted
    if "removable resnet" not in name:
        assert plain_again(hard.blueprint) == wanted


def test_it_is_one_unordered_gene_whose_first_choice_the_baselines_have() -> None:
    for name, space in SEARCHING.items():
        gene = next(gene for gene in space.genes if gene.name == "activation")
        assert (gene.choices, gene.ordered, gene.needs) == (ALL, False, ())
        assert space.size == len(ALL) * PLAIN[name].size
        assert [g.name for g in space.genes if g.name != "activation"] == list(
            PLAIN[name].gene_names
        )


def test_baselines_have_the_first_choice(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(TINY_STUDY, encoding="utf-8")
    study = load_study(str(tmp_path / "study.yaml"))
    first = searching(Space(study.space), "hard_sigmoid", "relu")
    study = replace(study, space=first.spec)
    found = [space_of(study).decode(genes) for genes in uniform_genes(study)]
    found += [*baselines(study).values(), first.uniform(weight_bits=8, activation_bits=8)]
    for candidate in found:
        ops = {node.op for node in candidate.blueprint.nodes}
        assert "hard_sigmoid" in ops
        assert "relu" not in ops


def test_without_it_a_space_is_that_of_before() -> None:
    for name, space in PLAIN.items():
        assert 'activation"' not in space.spec.model_dump_json()
        assert "activation" not in space.gene_names
        assert searching(space).hash == space.hash
        assert SEARCHING[name].hash != space.hash
        again = type(space.spec).model_validate_json(SEARCHING[name].spec.model_dump_json())
        assert Space(again).hash == SEARCHING[name].hash


def test_a_list_of_one_is_no_gene_and_of_the_parent_too() -> None:
    space = searching(PLAIN["separable"], "hard_sigmoid")
    assert space.gene_names == PLAIN["separable"].gene_names
    candidate = space.sample(3)
    for network in (candidate.blueprint, candidate.parent):
        assert not any(node.op == "relu" for node in network.nodes)
        assert network.node("stem.hard_sigmoid").inputs == ("stem.norm",)


@pytest.mark.parametrize(
    ("activations", "said"),
    [
        (("relu", "relu"), "found a repeated choice"),
        (("gelu",), "Input should be 'relu', 'relu6' or 'hard_sigmoid'"),
    ],
)
def test_others_are_refused(activations: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        searching(PLAIN["vgg"], *activations)  # type: ignore[arg-type]


def test_a_network_of_ones_own_has_the_activations_that_it_has() -> None:
    one = searching(PLAIN["resnet"], "hard_sigmoid").sample(0)
    genes = LayerGenes(weight_bits=(4,), activation_bits=(4,), prune_ratio=(0.0,))
    spec = network_spec(one.parent, genes, HEAD, weights_sha256="")
    again = NetworkSpec.model_validate_json(spec.model_dump_json())
    found = Space(again).sample(0)
    ops = [(node.name, node.op) for node in one.parent.nodes]
    assert [(node.name, node.op) for node in found.parent.nodes] == ops
    with pytest.raises(ValidationError, match="activation"):
        NetworkSpec.model_validate({**dict(spec), "schema": spec.schema_, "activation": ["relu"]})


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_a_removed_block_leaves_a_hard_sigmoid_but_no_relu(seed: int) -> None:
    """Of what is one's output already a ReLU makes nothing else, a hard sigmoid does."""
    space = SEARCHING["removable resnet"]
    names, drawn = space.gene_names, space.sample_genes(1, seed)[0]
    for activation in ALL:
        values: dict[str, Value] = {
            gene.name: gene.choices[index] for gene, index in zip(space.genes, drawn, strict=True)
        } | {"activation": activation}
        block = "stage0.block0"
        whole, removed = (
            space.decode(space.encode(values | {f"{block}.conv2.weight_bits": bits}))
            for bits in (2, 0)
        )
        assert f"{block}.conv2.weight_bits" in names
        assert f"{block}.add" in bypasses(whole.blueprint)
        assert without(whole.blueprint, f"{block}.add") == removed.blueprint
        assert without(whole.parent, f"{block}.add") == removed.parent
        assert without_those_of(whole.blueprint, removed.blueprint) == removed.blueprint
        left = {node.name: node for node in removed.blueprint.nodes}
        behind = left.get(f"{block}.{activation}")
        assert (behind is not None) == (activation == "hard_sigmoid")
        if behind is not None:
            assert behind.inputs == ("stem.hard_sigmoid",)
