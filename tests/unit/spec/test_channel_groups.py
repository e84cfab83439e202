"""Studies that open groups of channels with different weight bits."""

from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.spec import Study, load_study
from tests.studies import TINY_STUDY

OWN = "genes: {adc_bits: [3, 4, 5]}\n"
ADAPT = """workers: 2
adapt:
  training: {epochs: 1, train_level: L0, score_level: L1, chips: 1}
  pruning: {order: quantise_then_prune}
"""
GROUPS = "genes: {weight_bits: [2, 4], high_share: [0.0, 0.25], high_bits: [8]}\n"


def load(folder: Path, old: str = "", new: str = "") -> Study:
    file = folder / "groups.yaml"
    file.write_text(TINY_STUDY.replace(OWN, GROUPS).replace(old, new) if old else TINY_STUDY)
    return load_study(str(file))


def test_a_study_opens_groups(tmp_path: Path) -> None:
    study = load(tmp_path, "summary", "summary")
    assert study.space.genes.high_share == (0.0, 0.25)
    assert study.space.genes.high_bits == (8,)
    genes = study.identity()["study"]["genes"]
    assert genes["high_share"] == [0.0, 0.25]


def test_the_identity_of_a_study_without_groups_is_that_of_before(tmp_path: Path) -> None:
    identity = load(tmp_path).identity()
    assert "high_share" not in identity["study"]["genes"]
    assert "high_bits" not in str(identity)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "high_bits: [8]",
            "high_bits: [8, 12]",
            "genes.high_bits: found high_bits 12; on yu_cicc_2020 high_bits may be 2, 3",
        ),
        ("weight_bits: [2, 4], ", "", "genes.high_bits: found 8; allowed is more than all"),
        (
            ", high_bits: [8]",
            "",
            "genes.high_share: found without high_bits; allowed is both or neither",
        ),
        (
            "high_share: [0.0, 0.25]",
            "high_share: [0.25], prune_ratio: [0.9]",
            "genes.high_share: found channel groups of layers that pruning leaves 1 channel of",
        ),
        (
            "workers: 2\n",
            ADAPT,
            "adapt.pruning.order: found quantise_then_prune; where layers have groups",
        ),
    ],
)
def test_what_goes_with_no_groups_is_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(SpecError) as error:
        load(tmp_path, old, new)
    assert said in str(error.value)
