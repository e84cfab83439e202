"""Stale accuracies found anew: in which order, what that changes, and what may go wrong."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cimsearch.errors import StudyError
from cimsearch.evaluate import Job, Score
from cimsearch.orchestrate.derive.reprice import reprice
from cimsearch.orchestrate.derive.rescore import rescore
from cimsearch.orchestrate.derive.share import export_study, import_study
from cimsearch.orchestrate.derive.stale_work import Change
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.read.results import StudyResult
from cimsearch.orchestrate.read.stale import stale_labels
from cimsearch.spec import load_study
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.workers import Event, InlineExecutor
from tests.unit.orchestrate.repriced import (
    SteadyExecutor,
    assert_whole,
    quick_study,
    result_of,
    steady,
    steady_score,
)

BASELINES = ["uniform 8 bit", "uniform 4 bit"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished study, and what it is on noisier hardware."""
    folder = tmp_path_factory.mktemp("made")
    found = quick_study(folder)
    reprice("tiny", str(folder / "noisy.yaml"), storage=found, new_name="noisy")
    return folder


@pytest.fixture
def url(made: Path, tmp_path: Path) -> Iterator[str]:
    """Return a database of the test's own with both, and the files they were made of."""
    for file in made.iterdir():
        shutil.copy(file, tmp_path)
    found = f"sqlite:///{tmp_path / 'cimsearch.db'}"
    yield found
    assert_whole(found)


def evaluations(url: str, name: str = "noisy") -> list[db.EvaluationRow]:
    storage = open_storage(url)
    row = db.find_study(storage, name)
    assert row is not None
    found = db.evaluations(storage, row.id)
    storage.close()
    return found


def on_own_hardware(result: StudyResult) -> bool:
    """Tell whether every trial has the accuracy that a job on the study's hardware finds."""
    rows = {row.id: row for row in result.evaluations}
    for trial in result.trials:
        row = rows[trial.evaluation_id or 0]
        job = Job.from_json(row.job)
        found = Score.from_json(steady_score(job).decode())
        if job.hardware != result.study.hardware or trial.score != found or row.key != job.key:
            return False
        if trial.objectives["accuracy"] != found.accuracy:
            return False
    return True


def test_every_accuracy_becomes_that_of_its_own_hardware(url: str) -> None:
    told: list[tuple[Change, int]] = []
    before = result_of(url, "noisy")
    one = SteadyExecutor(1, steady().rng)
    done = rescore("noisy", storage=url, executor=one, on_change=lambda *e: told.append(e))
    after = result_of(url, "noisy")
    assert not on_own_hardware(before)
    assert on_own_hardware(after)
    assert done.stale == ()
    assert done.failed == {}
    assert stale_labels(after) == {}
    assert [left for _, left in told] == list(range(13, -1, -1))
    assert [change.label for change in done.changes[:2]] == BASELINES
    priced = [tuple(trial.objectives.values())[1:] for trial in before.trials]
    assert [tuple(trial.objectives.values())[1:] for trial in after.trials] == priced
    assert {trial.number for trial in after.front} == set(done.front)
    old = {f"trial {t.number}": t.objectives["accuracy"] for t in before.trials}
    new = {f"trial {t.number}": t.objectives["accuracy"] for t in after.trials}
    for change in done.changes[2:]:
        assert (change.before, change.after) == (old[change.label], new[change.label])
    assert not any(trial.reused for trial in after.trials)


def test_rescoring_again_does_nothing(url: str) -> None:
    rescore("noisy", storage=url, executor=steady())
    before, executor = evaluations(url), steady()
    assert rescore("noisy", storage=url, executor=executor).changes == ()
    assert executor.submitted == 0
    assert evaluations(url) == before


def test_the_front_alone_is_rescored_until_nothing_on_it_is_stale(url: str) -> None:
    done = rescore("noisy", storage=url, executor=SteadyExecutor(1, steady().rng), front_only=True)
    result = result_of(url, "noisy")
    stale = set(stale_labels(result))
    assert stale == set(done.stale)
    assert not stale & {f"trial {trial.number}" for trial in result.front}
    assert not stale & set(BASELINES)
    # With one at a time, each was on the front, or a baseline, when it was found anew.
    assert len(done.changes) < 14 or not stale


def test_a_run_that_was_cut_off_goes_on_where_it_was(url: str) -> None:
    class Cut(SteadyExecutor):
        def events(self, timeout_s: float) -> list[Event]:
            if self.submitted > 6:
                raise KeyboardInterrupt
            return super().events(timeout_s)

    cut = Cut(2, steady().rng)
    with pytest.raises(KeyboardInterrupt):
        rescore("noisy", storage=url, executor=cut)
    assert cut.running == {}
    assert_whole(url)
    left = len(stale_labels(result_of(url, "noisy")))
    assert 0 < left < 14
    again = steady()
    rescore("noisy", storage=url, executor=again)
    assert again.submitted == left
    assert on_own_hardware(result_of(url, "noisy"))


def test_what_fails_stays_stale_with_its_reason(url: str) -> None:
    class Failing(SteadyExecutor):
        def fate(self, token: str, payload: bytes) -> list[Event]:
            job = Job.from_json(payload.decode())
            if job.candidate_hash == unlucky:
                return [Event(token, "failed", reason="training diverged")]
            if job.candidate_hash == deadly:
                return [Event(token, "lost", reason="the worker died")]
            return super().fate(token, payload)

    unlucky, deadly = (t.candidate.hash for t in result_of(url, "noisy").trials[:2])
    executor = Failing(2, steady().rng)
    done = rescore("noisy", storage=url, executor=executor)
    assert done.failed["trial 0"] == "training diverged"
    assert done.failed["trial 1"].startswith("poison: 3 workers died running it")
    assert set(done.stale) == {"trial 0", "trial 1"}
    assert executor.submitted == 14 + 2
    assert set(stale_labels(result_of(url, "noisy"))) == {"trial 0", "trial 1"}


def test_a_score_that_the_database_has_is_not_found_again(url: str, tmp_path: Path) -> None:
    rescore("noisy", storage=url, executor=steady())
    path = str(tmp_path / "noisy.yaml")
    reprice("tiny", path, storage=url, new_name="other")
    executor = steady()
    done = rescore("other", storage=url, executor=executor)
    assert executor.submitted == 0
    assert len(done.changes) == 14
    first, second = result_of(url, "noisy"), result_of(url, "other")
    assert [t.objectives for t in first.trials] == [t.objectives for t in second.trials]
    assert first.hypervolume == second.hypervolume


def test_a_study_on_that_hardware_takes_the_scores_that_were_found(
    url: str, tmp_path: Path
) -> None:
    rescore("noisy", storage=url, executor=steady())
    text = (tmp_path / "tiny.yaml").read_text(encoding="utf-8")
    text = text.replace("name: tiny", "name: own").replace("macros/yu_cicc_2020", "./noisy.yaml")
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    launch(load_study(str(tmp_path / "own.yaml")), storage=url, executor=steady())
    own, rescored = result_of(url, "own"), result_of(url, "noisy")
    by_hash = {trial.candidate.hash: trial for trial in rescored.trials}
    shared = [trial for trial in own.trials if trial.candidate.hash in by_hash]
    assert shared  # the first proposals are drawn alike
    for trial in shared:
        assert trial.reused
        assert trial.objectives == by_hash[trial.candidate.hash].objectives


def test_only_what_was_repriced_here_is_rescored(url: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="'tiny' was not repriced in this database") as caught:
        rescore("tiny", storage=url, executor=steady())
    assert "cimsearch study reprice tiny --hardware NAME" in caught.value.hint
    export_study("noisy", str(tmp_path / "noisy.cimstudy"), storage=url)
    import_study(str(tmp_path / "noisy.cimstudy"), name="theirs", storage=url)
    with pytest.raises(StudyError, match="'theirs' was not repriced in this database"):
        rescore("theirs", storage=url, executor=steady())


@pytest.mark.slow
def test_networks_are_really_trained_on_the_hardware_they_are_rescored_on(
    finished_study: Path, tmp_path: Path
) -> None:
    from tests.studies import copy_database
    from tests.unit.orchestrate.repriced import CHEAP, NOISY

    copy_database(finished_study, tmp_path)
    url = f"sqlite:///{tmp_path / 'cimsearch.db'}"
    (tmp_path / "noisy.yaml").write_text(NOISY, encoding="utf-8")
    (tmp_path / "cheap.yaml").write_text(CHEAP, encoding="utf-8")
    reprice("tiny", str(tmp_path / "noisy.yaml"), storage=url, new_name="noisy")
    done = rescore("noisy", storage=url, executor=InlineExecutor(), front_only=True)
    assert done.changes
    assert {change.label for change in done.changes} >= set(BASELINES)
    assert any(change.before != change.after for change in done.changes)
    assert stale_labels(result_of(url, "noisy")).keys() == set(done.stale)
    # What only costs another price has the score, to the bit, that was kept for it.
    reprice("tiny", str(tmp_path / "cheap.yaml"), storage=url, new_name="cheap")
    row = next(each for each in evaluations(url, "cheap") if each.role == "trial")
    job = json.loads(row.job)
    storage = open_storage(url)
    study = result_of(url, "cheap").study
    storage.close()
    job["hardware"] = study.hardware.model_dump(mode="json")
    inline = InlineExecutor()
    inline.submit("there", json.dumps(job).encode())
    payload = inline.events(0.0)[-1].payload
    kept, found = Score.from_json(row.score or ""), Score.from_json(payload.decode())
    assert found.accuracy_per_chip == kept.accuracy_per_chip
    assert found.ideal_accuracy == kept.ideal_accuracy
