"""Networks of several workloads side by side: genes, names, candidates and tables."""

import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.errors import SpaceError
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.search.domain import domain_of
from cimsearch.space import Candidate, Space, StudySpace
from cimsearch.spec import load_space_spec, load_study

VGG, RESNET = (Space(load_space_spec(name)) for name in ("vgg_tiny", "resnet8"))
SPACE = StudySpace((("digits", VGG), ("photos.of_things", RESNET)))
MACHINES = load_study("macro_search").machines
ON_MACHINES = StudySpace((("digits", VGG), ("again", VGG)), MACHINES)
OWN = len(VGG.genes)
seeds = st.integers(0, 10_000)
spaces = st.sampled_from([SPACE, ON_MACHINES])


def test_genes_are_those_of_the_workloads_one_after_another() -> None:
    expected = [f"digits/{name}" for name in VGG.gene_names]
    expected += [f"photos.of_things/{name}" for name in RESNET.gene_names]
    assert list(SPACE.gene_names) == expected
    assert SPACE.size == VGG.size * RESNET.size
    assert ON_MACHINES.gene_names[2 * OWN].startswith("hardware.")
    assert MACHINES is not None
    assert ON_MACHINES.size == VGG.size**2 * MACHINES.count


@given(seeds)
def test_every_member_is_the_network_of_its_own_genes(seed: int) -> None:
    genes = SPACE.sample_genes(1, seed)[0]
    candidate = SPACE.decode(genes)
    expected = {
        "digits": VGG.decode(genes[:OWN]),
        "photos.of_things": RESNET.decode(genes[OWN:]),
    }
    assert dict(candidate.members) == expected
    assert candidate.genes == tuple(genes)
    weights = [member.blueprint.weights for member in expected.values()]
    assert candidate.blueprint.weights == sum(weights)
    assert candidate.blueprint.macs == sum(m.blueprint.macs for m in expected.values())
    for name, member in expected.items():
        for node in member.blueprint.nodes:
            there = candidate.blueprint.node(f"{name}/{node.name}")
            assert there.inputs == tuple(f"{name}/{given}" for given in node.inputs)
            assert (there.w_bits, there.out_shape) == (node.w_bits, node.out_shape)


@given(spaces, seeds)
def test_what_is_switched_off_follows_each_workload_s_own_depth(
    space: StudySpace, seed: int
) -> None:
    genes = space.sample_genes(8, seed)
    active, start = space.active(genes), 0
    for _, part in space.parts:
        end = start + len(part.genes)
        assert (active[:, start:end] == part.active(genes[:, start:end])).all()
        repaired = space.repair(genes)[:, start:end]
        assert (repaired == part.repair(genes[:, start:end])).all()
        start = end
    hashes = {space.decode(row).hash for row in genes}
    assert len(hashes) == len(np.unique(space.canonical(genes), axis=0))


@given(spaces, seeds)
def test_tables_are_those_of_the_decoded_networks(space: StudySpace, seed: int) -> None:
    genes = space.sample_genes(5, seed)
    table, places = space.layer_table(genes), space.node_indices(genes)
    names = [*space.node_names, ""]
    for row, vector in enumerate(genes):
        network = space.decode(vector).blueprint
        alone = layer_table([network])
        real = np.broadcast_to(table.op, table.shape)[row] >= 0
        for field in fields(LayerTable):
            column = np.broadcast_to(getattr(table, field.name), table.shape)[row]
            assert (column[real] == getattr(alone, field.name)[0]).all(), field.name
        found = [names[place] for place in np.broadcast_to(places, table.shape)[row][real]]
        assert found == [node.name for node in network.nodes]


@given(spaces, seeds)
def test_candidates_survive_their_json_and_their_choices(space: StudySpace, seed: int) -> None:
    candidate = space.sample(seed)
    again = Candidate.from_json(candidate.to_json())
    assert again == candidate
    assert again.hash == candidate.hash
    chosen = space.choices(candidate.genes)
    anything = {gene.name: gene.choices[0] for gene in space.genes}
    encoded = space.encode(anything | chosen)
    assert space.decode(encoded).hash == candidate.hash


def test_a_network_alone_is_written_as_ever() -> None:
    assert "members" not in json.loads(VGG.sample(0).to_json())


def test_equal_networks_of_other_workloads_are_other_candidates() -> None:
    one = StudySpace((("a", VGG), ("b", VGG)))
    genes = VGG.sample_genes(2, 3)
    same = one.decode(np.concatenate([genes[0], genes[0]]))
    assert len(one.gene_names) == len(set(one.gene_names)) == 2 * OWN
    assert dict(same.members)["a"] == dict(same.members)["b"]
    swapped = (np.concatenate(pair) for pair in ((genes[0], genes[1]), (genes[1], genes[0])))
    assert len({one.decode(each).hash for each in swapped}) == 2


def test_the_uniform_baseline_is_that_of_every_workload() -> None:
    uniform = SPACE.uniform(weight_bits=4, activation_bits=8)
    for name, space in SPACE.parts:
        assert dict(uniform.members)[name] == space.uniform(weight_bits=4, activation_bits=8)
    assert uniform.settings == ()


def test_stages_of_workloads_are_groups_of_their_own() -> None:
    groups = [variable.group for variable in domain_of(SPACE).variables]
    expected = [f"digits/{v.group}" for v in domain_of(VGG).variables]
    expected += [f"photos.of_things/{v.group}" for v in domain_of(RESNET).variables]
    assert groups == expected
    assert "digits/stage0" in groups


def test_an_unknown_choice_is_named_with_its_workload() -> None:
    values = SPACE.choices(SPACE.sample(0).genes)
    with pytest.raises(SpaceError, match=r"unknown \['stage0.width'\]"):
        SPACE.encode(values | {"stage0.width": 8})
