"""Several workloads in a study's file: what they are called, and what cannot be."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.spec import Study, load_study
from cimsearch.spec.workload import MOST_WORKLOADS, over_workloads
from tests.studies import TINY_STUDY
from tests.workloads import ALSO, RECIPE, TWO_WORKLOADS

Write = Callable[[str, str], Path]

# What a study is made of when it has nothing beside its own space, since its first version.
FIELDS = {
    *("schema", "name", "data", "genes", "objectives", "accuracy_statistic", "calibration"),
    *("constraints", "sampler", "seed", "statistics", "recipe", "rungs", "halving"),
}


@pytest.fixture
def study(write: Write) -> Study:
    return load_study(str(write("two.yaml", TWO_WORKLOADS)))


def test_the_first_workload_is_called_as_its_space(study: Study) -> None:
    own, other = study.workloads
    assert (own.name, other.name) == ("vgg_tiny", "other")
    assert (own.space, own.data, own.recipe) == (study.space, study.spec.data, study.spec.recipe)
    assert other.data.split_seed == 1
    assert other.recipe.parent_epochs == 1
    # Choices that the study opens are those of all its workloads.
    assert own.space.genes.adc_bits == other.space.genes.adc_bits == (3, 4, 5)


def test_a_workload_without_a_recipe_is_trained_by_the_study_s(write: Write) -> None:
    text = TWO_WORKLOADS.replace(RECIPE, "")
    own, other = load_study(str(write("two.yaml", text))).workloads
    assert other.recipe == own.recipe


def test_a_study_of_several_survives_its_json(study: Study) -> None:
    again = Study.from_json(study.to_json())
    assert again.spec == study.spec
    assert again.workloads == study.workloads
    assert again.hash == study.hash


@pytest.mark.parametrize("name", ["quickstart", "digits_table"])
def test_studies_of_one_workload_are_what_they_were(name: str) -> None:
    study = load_study(name)
    assert len(study.workloads) == 1
    identity = study.identity()
    assert set(identity) == {"study", "space", "hardware"}
    assert set(identity["study"]) == FIELDS
    assert "also" not in json.loads(study.to_json())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: other", "name: another"),
        ("split_seed: 1", "split_seed: 2"),
        ("parent_lr: 0.1", "parent_lr: 0.15"),
        ("genes:", "over_workloads: worst\ngenes:"),
        (ALSO + RECIPE, ""),
    ],
)
def test_what_a_workload_is_makes_another_study(
    write: Write, study: Study, old: str, new: str
) -> None:
    assert load_study(str(write("b.yaml", TWO_WORKLOADS.replace(old, new)))).hash != study.hash


def test_where_data_and_spaces_lie_makes_none(write: Write, study: Study) -> None:
    shape = "shape: [1, 8, 8], classes: 10, split_seed: 1}"
    places = (f"{{kind: npz, path: a.npz, {shape}", f"{{kind: npz, path: b.npz, {shape}")
    digits = f"{{kind: digits, {shape}"
    first, second = (
        load_study(str(write("two.yaml", TWO_WORKLOADS.replace(digits, place))))
        for place in places
    )
    assert first.hash == second.hash != study.hash


def test_several_that_are_evaluated_alike_differ_by_name(write: Write) -> None:
    again = ALSO.replace("also:\n", "").replace("name: other", "name: third")
    text = TWO_WORKLOADS.replace("genes:", f"{again}genes:")
    names = [w.name for w in load_study(str(write("three.yaml", text))).workloads]
    assert names == ["vgg_tiny", "other", "third"]


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        (
            "name: other",
            "name: vgg_tiny",
            9,
            "also.0.name: found vgg_tiny, that of space; allowed is a name that no other workload "
            "has",
        ),
        (
            "genes:",
            f"{ALSO}genes:".replace("also:\n", ""),
            13,
            "also.1.name: found other, that of another workload; allowed is a name that no other "
            "workload has",
        ),
        ("name: other", "name: Other/1", 9, "also.0.name: "),
        (
            "    space: vgg_tiny",
            "    space: vgg_tinny",
            10,
            "also.0.space: spaces: no 'vgg_tinny'",
        ),
        (
            "    space: vgg_tiny",
            "    space: resnet8",
            11,
            "also.0.data.shape: found [1, 8, 8]; the space takes [3, 32, 32]",
        ),
        (
            "classes: 10, split_seed",
            "classes: 7, split_seed",
            11,
            "also.0.data.classes: found 7; the space has 10",
        ),
        (
            "qat_lr: 0.05}\ngenes",
            "qat_lr: 0.05, noise: [{on: weights, sigma_frac: 0.1, layers: stage9*}]}\ngenes",
            12,
            "also.0.recipe.noise.0.layers: found stage9*; allowed is a pattern that matches a "
            "layer of the space, such as stage0.layer0",
        ),
        ("name: other", "nam: other", 9, "also.0.nam: unknown field; did you mean name?"),
        (
            "genes:",
            "statistics: {layers: [{layer: stage0*, activity_frac: 0.1}]}\ngenes:",
            13,
            "statistics.layers.0.layer: found stage0*; allowed is a pattern that matches a layer "
            "of the space, such as vgg_tiny/stage0.layer0",
        ),
        (
            "genes:",
            "over_workloads: least\ngenes:",
            13,
            'over_workloads: found "least"; allowed is',
        ),
    ],
)
def test_bad_workloads_are_one_line_each(
    write: Write, old: str, new: str, line: int, expected: str
) -> None:
    path = write("two.yaml", TWO_WORKLOADS.replace(old, new, 1))
    with pytest.raises(SpecError) as told:
        load_study(str(path))
    (only,) = told.value.message.splitlines()
    assert only.startswith(f"{path}:{line}:")
    assert expected in only


def test_the_worst_of_one_workload_is_refused(write: Write) -> None:
    path = write("tiny.yaml", TINY_STUDY.replace("genes:", "over_workloads: worst\ngenes:"))
    with pytest.raises(
        SpecError, match="over_workloads: found worst of one workload; name others"
    ):
        load_study(str(path))


@pytest.mark.parametrize("execution", ["pipelined", "fused"])
def test_a_chip_that_overlaps_layers_runs_one_workload(execution: str, write: Write) -> None:
    write(
        "line.yaml",
        f"""
        schema: cimsearch/hardware/1
        kind: system
        extends: systems/enough_macros
        name: line
        summary: layers of one network in a line
        source: made for a test
        macro: macros/yu_cicc_2020
        execution: {execution}
        """,
    )
    text = TWO_WORKLOADS.replace("hardware: macros/yu_cicc_2020", "hardware: ./line.yaml")
    with pytest.raises(SpecError) as told:
        load_study(str(write("two.yaml", text)))
    (only,) = told.value.message.splitlines()
    found = f"found 2 workloads; on line, whose execution is {execution}, allowed is one"
    assert f"two.yaml:8:1: also: {found}" in only
    load_study(str(write("one.yaml", TINY_STUDY.replace("macros/yu_cicc_2020", "./line.yaml"))))


def test_a_chip_has_room_for_so_many_names(write: Write) -> None:
    entry = ALSO.replace("also:\n", "")
    more = "".join(entry.replace("other", f"w{n}") for n in range(MOST_WORKLOADS - 2))
    full = load_study(str(write("full.yaml", TWO_WORKLOADS.replace("genes:", f"{more}genes:"))))
    assert len(full.workloads) == MOST_WORKLOADS
    more += entry.replace("other", "one_too_many")
    with pytest.raises(SpecError, match=r"also: "):
        load_study(str(write("over.yaml", TWO_WORKLOADS.replace("genes:", f"{more}genes:"))))


def test_faults_that_workloads_share_are_told_once(write: Write) -> None:
    path = write("two.yaml", TWO_WORKLOADS.replace("adc_bits: [3, 4, 5]", "adc_bits: [3, 9]"))
    with pytest.raises(SpecError) as told:
        load_study(str(path))
    (only,) = told.value.message.splitlines()
    assert "genes.adc_bits: found adc_bits 9" in only


def test_one_value_of_several() -> None:
    assert over_workloads("mean", [0.5, 1.0]) == 0.75
    assert over_workloads("worst", [0.5, 1.0]) == 0.5
    third = 0.1 + 0.2
    assert over_workloads("mean", [third]) == over_workloads("worst", [third]) == third
