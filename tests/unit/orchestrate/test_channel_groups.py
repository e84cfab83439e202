"""One-gene changes of networks whose layers have groups of channels of different weight bits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cimsearch.networks import build
from cimsearch.orchestrate.adapt.changes import one_gene_changes
from cimsearch.orchestrate.read.adaptation import Adapting
from cimsearch.space import AnySpace, Candidate, space_of
from cimsearch.space.steps import high_channels
from cimsearch.space.widths import least_widths, widths_of, with_widths
from cimsearch.spec import Study, load_study
from cimsearch.spec.adaptation import Pruning
from cimsearch.training.channel_groups import channels_of_more_bits
from cimsearch.training.prune import inherit
from tests.studies import TINY_STUDY
from tests.unit.orchestrate.adapting import HOW, adapted_in
from tests.unit.space.grouped import parts_of

OWN = "genes: {adc_bits: [3, 4, 5]}\n"
GROUPS = "genes: {weight_bits: [2, 4], high_share: [0.0, 0.25, 1.0], high_bits: [6, 8]}\n"


def study_in(folder: Path, groups: str = GROUPS) -> Study:
    (folder / "groups.yaml").write_text(TINY_STUDY.replace(OWN, groups))
    return load_study(str(folder / "groups.yaml"))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return study_in(tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_the_weights_of_a_network_are_those_of_its_changes(study: Study, seed: int) -> None:
    space, stream = space_of(study), torch.Generator().manual_seed(0)
    genes = tuple(map(int, space.sample_genes(1, seed)[0]))
    whole = space.decode(genes)
    fewest = least_widths(whole.blueprint)
    widths = {g: max(fewest[g], w // 3) for g, w in widths_of(whole.blueprint).items()}
    narrow, parent = (with_widths(each, widths) for each in (whole.blueprint, whole.parent))
    pruned = Candidate(narrow, parent)
    for candidate in (whole, pruned):
        trained = build(candidate.blueprint, study.hardware.macro, generator=stream)
        changes = one_gene_changes(study, genes, candidate)
        assert any(change.gene.endswith(("weight_bits", "high_bits")) for change in changes)
        for change in changes:
            blueprint = change.candidate.blueprint
            inherit(build(blueprint, study.hardware.macro, generator=stream), trained)
            least = least_widths(blueprint)
            assert all(width >= least[group] for group, width in widths_of(blueprint).items())


def pruned_twice(space: AnySpace, genes: tuple[int, ...]) -> Candidate:
    """Return a network as two rounds of pruning leave it, and a parent as wide as it was."""
    whole, shares = space.decode(genes), space.shares(genes)
    blueprint, parent = whole.blueprint, whole.parent
    for frac in (0.7, 0.7):
        fewest = least_widths(blueprint)
        widths = {g: max(fewest[g], int(frac * w)) for g, w in widths_of(blueprint).items()}
        blueprint, parent = with_widths(blueprint, widths, shares), with_widths(parent, widths)
    return Candidate(blueprint, parent)


def highs(candidate: Candidate) -> dict[str, int]:
    """Return how many channels have more bits, by the layer in parts."""
    blueprint = candidate.blueprint
    return {low: blueprint.node(high).out_shape[0] for low, high, _ in parts_of(blueprint)}


@pytest.mark.parametrize("seed", range(3))
def test_of_a_network_that_was_pruned_twice_a_change_is_of_one_gene(
    study: Study, seed: int
) -> None:
    space = space_of(study)
    genes = tuple(map(int, space.sample_genes(1, seed)[0]))
    pruned = pruned_twice(space, genes)
    own = highs(pruned)
    assert own
    changes = one_gene_changes(study, genes, pruned)
    assert {change.gene.rpartition(".")[2] for change in changes} >= {"activation_bits"}
    for change in changes:
        if change.gene.endswith("bits"):
            assert highs(change.candidate) == own


@pytest.mark.parametrize("pruning", [False, True], ids=["whole", "pruned"])
@pytest.mark.parametrize("seed", range(3))
def test_other_shares_of_channels_are_changes_too(study: Study, seed: int, pruning: bool) -> None:
    space, stream = space_of(study), torch.Generator().manual_seed(0)
    genes = tuple(map(int, space.sample_genes(1, seed)[0]))
    candidate = pruned_twice(space, genes) if pruning else space.decode(genes)
    trained = build(candidate.blueprint, study.hardware.macro, generator=stream)
    before = channels_of_more_bits(trained)
    changes = one_gene_changes(study, genes, candidate)
    offered = {(c.gene, c.after): c for c in changes if c.gene.endswith("high_share")}
    shares = {g.name: g for g in space.genes if g.name.endswith("high_share")}
    was = {name: value for name, value in space.choices(genes).items() if name in shares}
    assert set(offered) == {
        (name, value) for name in was for value in shares[name].choices if value != was[name]
    }
    for (name, after), change in offered.items():
        moved = build(change.candidate.blueprint, study.hardware.macro, generator=stream)
        inherit(moved, trained)
        layer, now = name.removesuffix(".high_share"), channels_of_more_bits(moved)
        if float(after) < float(was[name]) < 1 and layer in now:
            # Those that lose their bits are of those that had more.
            assert not (now[layer] & ~before[layer]).any()


@pytest.fixture(scope="module")
def adapted(folder: Path, cache: Path) -> Adapting:
    few: dict[str, Any] = {"networks": 1, "max_accuracy_drop": 1.0, "test": None, "changes": 1}
    how = HOW.model_copy(
        update=few | {"pruning": Pruning(cost_frac=0.85, tune_epochs=0, images=64)}
    )
    study = study_in(folder, GROUPS.replace("0.0, 0.25, 1.0", "0.25, 0.4"))
    budget = study.spec.budget.model_copy(update={"trials": 2})
    update = {"adapt": how, "budget": budget}
    study = replace(study, spec=study.spec.model_copy(update=update))
    return adapted_in(folder, study, cache)


def test_a_network_that_is_adapted_keeps_the_shares_that_were_asked(adapted: Adapting) -> None:
    (chain,) = adapted.chains
    space, trial = space_of(adapted.plan.study), adapted.result.trials[adapted.numbers[0]]
    shares = space.shares(trial.candidate.genes)
    assert shares
    assert [step.kind for step in chain.steps] == ["trained", *["pruned", "trained"] * 2]
    for step in chain.trained:
        blueprint = step.candidate.blueprint
        for low, high, joined in parts_of(blueprint):
            channels = blueprint.node(joined).out_shape[0]
            assert blueprint.node(high).out_shape[0] == high_channels(channels, shares[low])
    assert adapted.changes_of(adapted.delivered()[chain.name])
