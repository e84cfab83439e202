"""One-gene changes of networks whose layers have groups of channels of different weight bits."""

from pathlib import Path

import pytest
import torch

from cimsearch.networks import build
from cimsearch.orchestrate.adapt.changes import one_gene_changes
from cimsearch.space import Candidate, space_of
from cimsearch.space.widths import least_widths, widths_of, with_widths
from cimsearch.spec import Study, load_study
from cimsearch.training.prune import inherit
from tests.studies import TINY_STUDY

OWN = "genes: {adc_bits: [3, 4, 5]}\n"
GROUPS = "genes: {weight_bits: [2, 4], high_share: [0.0, 0.25, 1.0], high_bits: [6, 8]}\n"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "groups.yaml").write_text(TINY_STUDY.replace(OWN, GROUPS))
    return load_study(str(tmp_path / "groups.yaml"))


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
