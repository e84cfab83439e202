"""Steering a study with the command line."""

import json
from pathlib import Path

import pytest

from cimsearch.cli.run import start_text
from cimsearch.errors import UsageError
from cimsearch.space import Space
from cimsearch.spec import load_study
from tests.unit.cli.verbs import verb
from tests.unit.orchestrate.repriced import quick_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished study."""
    made = tmp_path_factory.mktemp("steering")
    quick_study(made, trials=3)
    return made


def test_enqueue_says_what_becomes_of_each_candidate(folder: Path) -> None:
    assert "over: the budget is used up" in verb(folder, "status", "tiny")
    facts = json.loads(verb(folder, "trial", "tiny", "1", "--json"))
    space = Space(load_study(str(folder / "tiny.yaml")).space)
    new = space.sample(11)
    listed = [facts["genes"], space.choices(space.sample(12).genes)]
    (folder / "mine.json").write_text(json.dumps(listed), encoding="utf-8")
    indices = ",".join(map(str, new.genes))
    names = ("--genes", indices, "--genes", str(folder / "mine.json"))
    out = verb(folder, "study", "enqueue", "tiny", *names)
    assert out.splitlines() == [
        "trial 3: added, to be trained",
        "trial 4: added, to be trained",
        "trial 1: has this candidate already",
        "run what was added with: cimsearch resume tiny",
    ]
    status = json.loads(verb(folder, "status", "tiny", "--json"))
    assert (status["waiting"], status["ended_by"]) == (2, None)


@pytest.mark.parametrize("text", ["8 bit", "nothing.json", "numbers.json"])
def test_genes_that_say_nothing_are_refused(folder: Path, text: str) -> None:
    (folder / "numbers.json").write_text("[1, 2]", encoding="utf-8")
    given = str(folder / text) if text.endswith("json") else text
    with pytest.raises(UsageError, match="--genes: "):
        verb(folder, "study", "enqueue", "tiny", "--genes", given)


def test_what_a_study_began_with_in_words() -> None:
    fates = {"reused": 12, "to_train": 3, "outside": 5}
    assert start_text({"study": "old", "baselines": False, "fates": fates}) == (
        "began from old: 12 with their scores, 3 of its front to be trained, "
        "5 left out as they are not in the space"
    )
    why = ["hardware.rows 512", "stage0.width 20", "..."]
    assert start_text(
        {"study": "old", "baselines": False, "fates": {"outside": 5}, "outside": why}
    ) == (
        "began from old: 5 left out as they are not in the space (hardware.rows 512; "
        "stage0.width 20; ...)"
    )
    begun = start_text({"study": None, "baselines": True, "fates": {"baselines": 2}})
    assert begun == "began: 2 uniform baselines"
