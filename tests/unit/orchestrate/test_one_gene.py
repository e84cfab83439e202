"""Which changes of one gene a trained network's weights allow, and which of them are scored."""

from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.networks import build
from cimsearch.orchestrate.adapt.changes import (
    OneGene,
    allows,
    one_gene_changes,
    worth_scoring,
)
from cimsearch.search.pricing import price
from cimsearch.space import AnySpace, Candidate, Space, space_of
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec import Study, load_space_spec, load_study
from cimsearch.spec.study import Bound
from cimsearch.training.prune import inherit

STUDIES = ("quickstart", "cifar10_resnet8", "macro_search")
SEEDS = st.integers(0, 2**32 - 1)
EXAMPLES = 5
"""Networks of each study: each is looked at in all its changes of one gene, dozens of them."""


@cache
def study_of(name: str) -> tuple[Study, AnySpace]:
    study = load_study(name)
    return study, space_of(study)


def genes_of(space: AnySpace, seed: int) -> tuple[int, ...]:
    return tuple(map(int, space.sample_genes(1, seed)[0]))


def pruned(candidate: Candidate) -> Candidate:
    """Return a network as pruning leaves it: fewer channels, and a parent as wide as it was."""
    widths = widths_of(candidate.blueprint)
    fewer = {group: max(1, width * 3 // 4) for group, width in widths.items()}
    parent = with_widths(candidate.parent, widths)
    return Candidate(with_widths(candidate.blueprint, fewer), parent, settings=candidate.settings)


@pytest.mark.parametrize("name", STUDIES)
@given(seed=SEEDS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_change_is_another_choice_of_one_gene(name: str, seed: int) -> None:
    study, space = study_of(name)
    genes = genes_of(space, seed)
    candidate = space.decode(genes)
    was = space.choices(genes)
    changes = one_gene_changes(study, genes, candidate)
    hashes = [change.candidate.hash for change in changes]
    assert len({*hashes, candidate.hash}) == len(changes) + 1
    for change in changes:
        assert was[change.gene] == change.before != change.after
        fill = {gene.name: gene.choices[0] for gene in space.genes}
        decoded = space.decode(space.encode(fill | was | {change.gene: change.after}))
        assert change.candidate.blueprint == decoded.blueprint
        assert change.candidate.settings == decoded.settings
        assert change.candidate.parent == candidate.parent


@pytest.mark.parametrize("name", STUDIES)
@given(seed=SEEDS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_pruned_network_keeps_its_widths_but_for_one_group(name: str, seed: int) -> None:
    study, space = study_of(name)
    genes = genes_of(space, seed)
    candidate = pruned(space.decode(genes))
    own = widths_of(candidate.blueprint)
    for change in one_gene_changes(study, genes, candidate):
        widths = widths_of(change.candidate.blueprint)
        if change.gene.endswith(".channels"):
            group = change.gene.removesuffix(".channels")
            assert widths == own | {group: change.after}
            assert change.before == own[group]
            assert 1 <= own[group] - widths[group] <= max(1, own[group] // 8)
        else:
            assert widths.items() <= own.items()


@pytest.mark.parametrize("name", STUDIES)
@given(seed=SEEDS)
@settings(max_examples=3, deadline=None)
def test_what_is_allowed_can_have_the_trained_weights(name: str, seed: int) -> None:
    study, space = study_of(name)
    genes = genes_of(space, seed)
    generator = torch.Generator().manual_seed(0)
    for candidate in (space.decode(genes), pruned(space.decode(genes))):
        trained = build(candidate.blueprint, study.hardware.macro, generator=generator)
        for change in one_gene_changes(study, genes, candidate)[::4]:
            machine = study.machine(change.candidate.settings)
            network = build(change.candidate.blueprint, machine.macro, generator=generator)
            inherit(network, trained)


def test_what_needs_weights_that_are_not_there_is_not_allowed() -> None:
    _, space = study_of("quickstart")
    genes = genes_of(space, 3)
    trained = space.decode(genes).blueprint
    own, refused = widths_of(trained), set()
    for place, gene in enumerate(space.genes):
        for choice in range(len(gene.choices)):
            moved = space.decode((*genes[:place], choice, *genes[place + 1 :])).blueprint
            widths = widths_of(moved)
            same = own.keys() == widths.keys() and all(widths[g] <= own[g] for g in own)
            assert allows(trained, moved) == same
            refused |= set() if same else {gene.name.rpartition(".")[2]}
    assert refused == {"width", "depth", "prune_ratio"}


def test_a_block_that_can_be_passed_by_may_go() -> None:
    space = Space(load_space_spec("resnet20"))
    values = {gene.name: gene.choices[-1] for gene in space.genes}
    trained = space.decode(space.encode(values)).blueprint
    gone = [
        space.decode(space.encode(values | {gene.name: 0})).blueprint
        for gene in space.genes
        if gene.choices[0] == 0 and gene.name.endswith("weight_bits")
    ]
    assert gone
    for moved in gone:
        assert len(moved.nodes) < len(trained.nodes)
        assert allows(trained, moved)
        assert not allows(moved, trained)


def scored(study: Study, space: AnySpace, seed: int, most: int) -> tuple[Candidate, list[OneGene]]:
    genes = genes_of(space, seed)
    candidate = space.decode(genes)
    changes = one_gene_changes(study, genes, candidate)
    return candidate, worth_scoring(changes, candidate, most, partial(price, study))


@given(seed=SEEDS, most=st.integers(0, 12))
@settings(max_examples=5, deadline=None)
def test_scored_are_the_nearest_choices_that_save_most(seed: int, most: int) -> None:
    study, space = study_of("quickstart")
    candidate, found = scored(study, space, seed, most)
    assert len(found) <= most
    before = price(study, candidate).report.energy_pj
    saved = [before - price(study, each.candidate).report.energy_pj for each in found]
    assert all(each > 0 for each in saved)
    first = len({each.gene for each in found})
    assert saved[:first] == sorted(saved[:first], reverse=True)
    assert len({each.gene for each in found[:first]}) == first
    for later in found[first:]:
        (nearest,) = [each for each in found[:first] if each.gene == later.gene]
        assert nearest.steps <= later.steps


def test_what_misses_a_constraint_is_not_scored() -> None:
    study, space = study_of("quickstart")
    _, found = scored(study, space, 3, 100)
    least = min(price(study, each.candidate).report.utilization for each in found)
    bounds = {"utilization": Bound(min=least + 1e-9)}
    strict = replace(study, spec=study.spec.model_copy(update={"constraints": bounds}))
    _, left = scored(strict, space, 3, 100)
    assert 0 < len(left) < len(found)
    assert all(price(strict, each.candidate).feasible for each in left)
