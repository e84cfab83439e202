"""Studies that open the bits that what waits for an addition is kept in."""

from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.search.baselines import baselines, uniform_genes
from cimsearch.space import space_of
from cimsearch.spec import Study, load_study
from tests.studies import TINY_STUDY
from tests.unit.space.residuals import additions

RESNET = TINY_STUDY.replace("space: vgg_tiny", "space: resnet8").replace(
    "shape: [1, 8, 8]", "shape: [3, 32, 32]"
)
OWN = "genes: {adc_bits: [3, 4, 5]}\n"


def load(folder: Path, genes: str, text: str = RESNET) -> Study:
    data = "data: {kind: npz, path: d.npz, shape: [3, 32, 32], classes: 10}"
    lines = [
        data if line.startswith("data:") and "32" in line else line for line in text.split("\n")
    ]
    file = folder / "residual.yaml"
    file.write_text("\n".join(lines).replace(OWN, f"genes: {{{genes}}}\n"))
    return load_study(str(file))


def test_a_study_opens_residual_bits(tmp_path: Path) -> None:
    study = load(tmp_path, "residual_bits: [4, 8, 0]")
    assert study.space.genes.residual_bits == (4, 8, 0)
    assert study.identity()["study"]["genes"]["residual_bits"] == [4, 8, 0]
    names = [name for name in space_of(study).gene_names if name.endswith("residual_bits")]
    assert len(names) == 3


def test_the_identity_of_a_study_without_is_that_of_before(tmp_path: Path) -> None:
    assert "residual_bits" not in str(load(tmp_path, "adc_bits: [3, 4, 5]").identity())


@pytest.mark.parametrize(
    ("choices", "bits"), [("[4, 8, 0]", 0), ("[4, 8]", 8), ("[6]", 6), ("[0]", 0)]
)
def test_baselines_keep_words_and_searches_begin_next_to_them(
    tmp_path: Path, choices: str, bits: int
) -> None:
    study = load(tmp_path, f"residual_bits: {choices}")
    for candidate in baselines(study).values():
        assert {node.x_bits for node in additions(candidate.blueprint)} == {0}
    for genes in uniform_genes(study):
        nearest = space_of(study).decode(genes).blueprint
        assert {node.x_bits for node in additions(nearest)} == {bits}


@pytest.mark.parametrize(
    ("genes", "text", "said"),
    [
        (
            "residual_bits: [4, 24]",
            RESNET,
            "genes.residual_bits.1",
        ),
        (
            "residual_bits: [4, 8]",
            TINY_STUDY,
            "genes.residual_bits: found 4, 8; the family vgg adds nothing: allowed is to leave",
        ),
        ("residual_bits: [4, 4]", RESNET, "found a repeated choice in [4, 4]"),
    ],
)
def test_choices_that_no_addition_has_are_refused(
    tmp_path: Path, genes: str, text: str, said: str
) -> None:
    with pytest.raises(SpecError) as error:
        load(tmp_path, genes, text)
    assert said in str(error.value)


SYSTEM = """
schema: cimsearch/hardware/1
kind: system
name: narrow
summary: words of 8 bits
source: made for a test
extends: systems/enough_macros
macro: macros/yu_cicc_2020
digital: {word_bits: 8}
basis: {digital.word_bits: assumed}
"""


def test_more_bits_than_a_word_are_refused(tmp_path: Path) -> None:
    (tmp_path / "narrow.yaml").write_text(SYSTEM)
    text = RESNET.replace("hardware: macros/yu_cicc_2020", "hardware: ./narrow.yaml")
    assert load(tmp_path, "residual_bits: [4, 8, 0]", text).space.genes.residual_bits == (4, 8, 0)
    with pytest.raises(SpecError) as error:
        load(tmp_path, "residual_bits: [4, 9, 12]", text)
    said = "found residual_bits 9, 12; words of narrow have 8 bits: allowed is up to 8, or 0, the"
    assert f"genes.residual_bits: {said} word" in str(error.value)
