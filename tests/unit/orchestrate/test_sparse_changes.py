"""One-gene changes of a network with row groups that hold no weights."""

from pathlib import Path

from cimsearch.blueprint import Blueprint
from cimsearch.orchestrate.adapt.changes import one_gene_changes
from cimsearch.space import Candidate, space_of
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec import load_study
from tests.studies import TINY_STUDY
from tests.unit.orchestrate.test_row_sparsity import MACRO, OWN


def genes_changed(folder: Path, sparsity: float) -> set[str]:
    """Return the genes that may change of a pruned network of which every layer is so sparse."""
    (folder / "skipping.yaml").write_text(MACRO)
    text = TINY_STUDY.replace("macros/yu_cicc_2020", "./skipping.yaml")
    text = text.replace(OWN, f"genes: {{row_sparsity: [{sparsity}]}}\n")
    (folder / "tiny.yaml").write_text(text)
    study = load_study(str(folder / "tiny.yaml"))
    space = space_of(study)
    genes = tuple(len(gene.choices) - 1 for gene in space.genes)
    whole = space.decode(genes)
    fewer = {group: width - 1 for group, width in widths_of(whole.blueprint).items()}

    def pruned(blueprint: Blueprint) -> Blueprint:
        return with_widths(blueprint, fewer)

    network = Candidate(pruned(whole.blueprint), pruned(whole.parent))
    return {change.gene for change in one_gene_changes(study, genes, network)}


def test_no_change_moves_row_groups_that_hold_no_weights(tmp_path: Path) -> None:
    """With fewer inputs they would be of other rows, and trained weights would have to go."""
    dense, sparse = genes_changed(tmp_path, 0.0), genes_changed(tmp_path, 0.5)
    channels = {name for name in dense if name.endswith(".channels")}
    assert channels
    assert dense - channels == sparse - channels
    # Who reads the last group is in the digital unit: its channels may go.
    assert sparse & channels < channels
