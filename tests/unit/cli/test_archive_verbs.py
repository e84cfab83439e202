"""Giving a study to others with the command line, and looking at one that was given."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cimsearch.cli import cli
from cimsearch.errors import StorageError, StudyError, UsageError
from cimsearch.orchestrate.derive.share import export_study, import_study
from cimsearch.orchestrate.launch import launch
from cimsearch.spec import load_study
from cimsearch.store import open_storage
from cimsearch.store.records import list_studies
from cimsearch.training.seal import is_whole, metadata_of
from cimsearch.workers import InlineExecutor
from tests.commands import cimsearch
from tests.studies import copy_database
from tests.unit.store.archives import counts, forged, members_of

FROZEN = Path(__file__).parents[2] / "data" / "archive_1.cimstudy"


@pytest.fixture(scope="module")
def given(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of the finished study."""
    folder = tmp_path_factory.mktemp("given")
    path = folder / "tiny.cimstudy"
    done = cimsearch("study", "export", "tiny", str(path), cwd=finished_study)
    assert done.stdout == f"{path}\n"
    assert [p.name for p in folder.iterdir()] == ["tiny.cimstudy"]
    return path


def verb(*arguments: str, storage: str) -> str:
    """Run a verb in this process and return what it prints."""
    done = CliRunner().invoke(cli, [*arguments, "--storage", storage], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def shown(*arguments: str, storage: str) -> Any:
    """Return what a reading verb prints as JSON."""
    return json.loads(verb(*arguments, "--json", storage=storage))


def test_every_reading_verb_shows_an_imported_study_as_its_owner_sees_it(
    finished_study: Path, given: Path, database_url: str, tmp_path: Path
) -> None:
    own = f"sqlite:///{finished_study / 'cimsearch.db'}"
    out = verb("study", "import", str(given), storage=database_url)
    front = shown("front", "tiny", storage=own)
    assert out == (
        f"imported tiny: 4 trials, {len(front['front'])} on the front\n"
        "it is read-only: look at it with `cimsearch front tiny`\n"
    )
    assert shown("front", "tiny", storage=database_url) == front
    for k in map(str, range(4)):
        theirs = shown("trial", "tiny", k, storage=own)
        assert shown("trial", "tiny", k, storage=database_url) == theirs
    status, theirs = (
        shown("status", "tiny", storage=database_url),
        shown("status", "tiny", storage=own),
    )
    same = ("study", "budget", "done", "failed", "front", "hypervolume", "reference")
    assert {key: status[key] for key in same} == {key: theirs[key] for key in same}
    assert (status["waiting"], status["running"]) == (0, 0)
    for name, storage in (("a", database_url), ("b", own)):
        verb("report", "tiny", "-o", str(tmp_path / name), storage=storage)
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()


def test_it_stands_beside_ones_own_under_another_name_and_can_only_be_read(
    finished_study: Path, given: Path, tmp_path: Path
) -> None:
    copy_database(finished_study, tmp_path)
    storage = f"sqlite:///{tmp_path / 'cimsearch.db'}"
    with pytest.raises(StudyError, match="a study named 'tiny' exists already") as caught:
        verb("study", "import", str(given), storage=storage)
    assert "--as NAME" in caught.value.hint
    with pytest.raises(UsageError, match="--as: found 'Theirs'"):
        verb("study", "import", str(given), "--as", "Theirs", storage=storage)
    verb("study", "import", str(given), "--as", "theirs", storage=storage)
    front = shown("front", "tiny", storage=storage)
    assert shown("front", "theirs", storage=storage) == front | {"study": "theirs"}
    assert [row["study"] for row in shown("status", storage=storage)] == ["tiny", "theirs"]

    text = (finished_study / "tiny.yaml").read_text().replace("name: tiny", "name: theirs")
    (tmp_path / "theirs.yaml").write_text(text)
    for refused in (("resume", "theirs"), ("launch", str(tmp_path / "theirs.yaml"))):
        with pytest.raises(StudyError, match=r"imported from tiny\.cimstudy and can only be read"):
            verb(*refused, storage=storage)
    # Given on, it is the owner's file but for the name.
    on = tmp_path / "on.cimstudy"
    verb("study", "export", "theirs", str(on), storage=storage)
    before, after = members_of(given), members_of(on)
    differing = {name for name in before if before[name] != after[name]}
    assert differing == {"manifest.json", "study.json", "spec/study.json"}


def test_bad_use_is_one_clear_line_and_leaves_nothing(
    finished_study: Path, given: Path, tmp_path: Path
) -> None:
    (tmp_path / "cut.cimstudy").write_bytes(given.read_bytes()[:-30])
    done = cimsearch("study", "import", "cut.cimstudy", cwd=tmp_path, expect=4)
    assert "Traceback" not in done.stderr
    assert "cut.cimstudy is not the file of a study, or damaged" in done.stderr
    url, path = f"sqlite:///{tmp_path / 'cimsearch.db'}", str(tmp_path / "a.cimstudy")
    with pytest.raises(StorageError, match="no cimsearch database"):
        verb("study", "export", "tiny", path, storage=url)
    with pytest.raises(UsageError, match=r"a.cimstudy cannot be read: No such file"):
        verb("study", "import", path, storage=url)
    assert [p.name for p in tmp_path.iterdir()] == ["cut.cimstudy"]
    copy_database(finished_study, tmp_path)
    with pytest.raises(UsageError, match=r"allowed is a name that ends in \.cimstudy"):
        verb("study", "export", "tiny", str(tmp_path / "cimsearch.db"), storage=url)
    with pytest.raises(StudyError, match="no study 'tony'"):
        verb("study", "export", "tony", path, storage=url)
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        verb("study", "export", "tiny", str(tmp_path / "no" / "a.cimstudy"), storage=url)


def test_file_of_the_first_version_is_read_for_ever(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    found = import_study(str(FROZEN), storage=url, name="old")
    assert (found.name, found.trials, found.front) == ("old", 2, 1)
    front = shown("front", "old", storage=url)
    assert front["hypervolume"] == 0.3571082705739689
    (point,) = front["front"]
    assert (point["number"], point["test_accuracy"]) == (1, 0.37)
    assert point["objectives"] == {
        "accuracy": 0.45999999999999996,
        "energy_pj": 316879.5582840715,
        "latency_ns": 19308.75,
    }


def unknown_score(lines: list[dict[str, Any]]) -> None:
    lines[-1]["score"]["schema"] = "cimsearch/score/99"


def price_without_layers(lines: list[dict[str, Any]]) -> None:
    next(line for line in lines if line["role"] == "trial")["cost"].pop("layers")


def gene_of_another_space(lines: list[dict[str, Any]]) -> None:
    lines[0]["params"]["stage0.width"] = 1 - lines[0]["params"].pop("stage0.depth")


def worse_trial_on_the_front(lines: list[dict[str, Any]]) -> None:
    lines.pop()


@pytest.mark.parametrize(
    ("member", "change"),
    [
        ("evaluations.jsonl", unknown_score),
        ("evaluations.jsonl", price_without_layers),
        ("trials.jsonl", gene_of_another_space),
        ("front.jsonl", worse_trial_on_the_front),
    ],
)
def test_file_whose_contents_cannot_be_read_is_refused(
    given: Path,
    tmp_path: Path,
    member: str,
    change: Callable[[list[dict[str, Any]]], None],
) -> None:
    path = forged(given, tmp_path / "forged.cimstudy", member, change)
    url = f"sqlite:///{tmp_path / 'a.db'}"
    open_storage(url).close()
    with pytest.raises(StorageError) as caught:
        import_study(str(path), storage=url)
    assert "\n" not in caught.value.message
    storage = open_storage(url)
    assert set(counts(storage).values()) == {0}
    storage.close()


@pytest.mark.slow
def test_trained_networks_go_along_while_they_are_kept(
    finished_study: Path, tmp_path: Path
) -> None:
    copy_database(finished_study, tmp_path)
    shutil.copytree(finished_study / "cache", tmp_path / "cache")
    url = f"sqlite:///{tmp_path / 'cimsearch.db'}"
    study = load_study(str(finished_study / "tiny.yaml"))
    result = launch(study, storage=url, executor=InlineExecutor())
    path = tmp_path / "a.cimstudy"
    export_study("tiny", str(path), storage=url, weights=True)
    networks = {n: c for n, c in members_of(path).items() if n.startswith("weights/")}
    front = sorted(trial.number for trial in result.front)
    assert list(networks) == [f"weights/trial-{number}.safetensors" for number in front]
    for content in networks.values():
        assert is_whole(content)
        assert json.loads(metadata_of(content)["layers"])
    there = f"sqlite:///{tmp_path / 'there.db'}"
    assert import_study(str(path), storage=there).front == len(front)

    shutil.rmtree(tmp_path / "cache")
    before = path.read_bytes()
    with pytest.raises(StudyError, match=f"network of trial {front[0]} is not in") as caught:
        export_study("tiny", str(path), storage=url, weights=True)
    assert "CIMSEARCH_CACHE" in caught.value.hint
    assert "without --weights" in caught.value.hint
    assert path.read_bytes() == before
    storage = open_storage(there)
    assert [row.name for row in list_studies(storage)] == ["tiny"]
    storage.close()
