"""One-gene changes of networks whose additions keep what waits in few bits."""

import pytest
import torch

from cimsearch.cost import estimate
from cimsearch.networks import build
from cimsearch.orchestrate.adapt.changes import one_gene_changes
from cimsearch.space import Candidate
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec import Study, load_study
from cimsearch.training.prune import inherit
from tests.unit.space.residuals import SMALL, additions, with_residual


@pytest.fixture(scope="module")
def study() -> Study:
    whole = load_study("digits_table")
    return Study(whole.spec, SMALL.spec, whole.hardware)


@pytest.mark.parametrize("pruned", [False, True])
def test_neighbours_of_residual_bits_are_offered(study: Study, pruned: bool) -> None:
    whole = with_residual(4)
    candidate = whole
    if pruned:
        widths = {group: width // 2 for group, width in widths_of(whole.blueprint).items()}
        narrow, parent = (with_widths(b, widths) for b in (whole.blueprint, whole.parent))
        candidate = Candidate(narrow, parent)
    stream = torch.Generator().manual_seed(0)
    trained = build(candidate.blueprint, study.hardware.macro, generator=stream)
    changes = [
        change
        for change in one_gene_changes(study, whole.genes, candidate)
        if change.gene.endswith("residual_bits")
    ]
    found = {(change.gene, change.before, change.after, change.steps) for change in changes}
    choices = next(g.choices for g in SMALL.genes if g.name.endswith("residual_bits"))
    assert found == {
        (f"{node.name}.residual_bits", 4, bits, abs(choices.index(bits) - choices.index(4)))
        for node in additions(whole.blueprint)
        for bits in choices
        if bits != 4
    }
    before = estimate(candidate.blueprint, study.hardware).energy_pj
    for change in changes:
        blueprint = change.candidate.blueprint
        inherit(build(blueprint, study.hardware.macro, generator=stream), trained)
        saves = estimate(blueprint, study.hardware).energy_pj < before
        assert saves == (change.after in (2, 3))
