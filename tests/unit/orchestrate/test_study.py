"""Whole studies in this process; where accuracies matter, with real training."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import optuna
import pytest

import cimsearch
from cimsearch.errors import SpaceError, StudyError
from cimsearch.orchestrate.launch import launch, resume
from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.orchestrate.read.view import study_view
from cimsearch.orchestrate.run import waiting
from cimsearch.orchestrate.run.progress import Progress
from cimsearch.spec import Study, load_study
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.workers import Event, InlineExecutor
from tests.studies import TINY_STUDY, copy_database
from tests.unit.orchestrate.quick import QuickExecutor

pytestmark = pytest.mark.slow

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(waiting, "LONGEST_DELAY_S", 0.05)


def url(directory: Path) -> str:
    return f"sqlite:///{directory / 'cimsearch.db'}"


def result_of(directory: Path, name: str = "tiny") -> StudyResult:
    storage = open_storage(url(directory), create=False)
    row = db.find_study(storage, name)
    assert row is not None
    return read_result(storage, row.id)


def test_a_study_leaves_a_front_with_its_baselines(finished_study: Path) -> None:
    result = result_of(finished_study)
    assert result.count("complete") == result.budget == 4
    assert {b.name for b in result.baselines} == {"uniform 8 bit", "uniform 4 bit"}
    assert 1 <= len(result.front) <= 4
    for trial in result.front:
        assert trial.score is not None
        assert trial.objectives["accuracy"] == pytest.approx(trial.score.accuracy)
        assert trial.test is not None
        assert trial.test.split == "test"
        assert trial.score.split == "validation"
        assert trial.cost is not None
        assert trial.cost["energy_pj"] == trial.objectives["energy_pj"]
        assert trial.energy_measured_pj is not None
        assert trial.energy_measured_pj > 0
    energies = [trial.objectives["energy_pj"] for trial in result.front]
    assert energies == sorted(energies)
    assert all(b.test is not None for b in result.baselines)


def test_the_search_maximises_the_statistic_that_the_study_names(
    write: Write, tmp_path: Path
) -> None:
    text = TINY_STUDY.replace("rungs:", "accuracy_statistic: worst\nrungs:")
    text = text.replace("budget: {trials: 4}", "budget: {trials: 2}")
    study = load_study(str(write("tiny.yaml", text)))
    assert study.hash != load_study(str(write("mean.yaml", TINY_STUDY))).hash
    launch(study, storage=url(tmp_path), executor=QuickExecutor(1, Random(0)))
    result = result_of(tmp_path)
    assert result.count("complete") == 2
    assert any(t.score and t.score.accuracy_worst < t.score.accuracy for t in result.trials)
    for trial in result.trials:
        assert trial.score is not None
        assert trial.objectives["accuracy"] == trial.score.accuracy_worst
    for trial in result.front:
        assert trial.test is not None
        assert trial.test_accuracy == trial.test.accuracy_worst
    for baseline in result.baselines:
        assert baseline.test is not None
        assert baseline.test_accuracy == baseline.test.accuracy_worst
        assert baseline.objectives["accuracy"] == baseline.score.accuracy_worst
    assert study_view(result).accuracy_statistic == "worst"


def test_the_public_front_is_the_stored_front(finished_study: Path) -> None:
    front = cimsearch.pareto_front("tiny", storage=url(finished_study))
    assert [t.number for t in front] == [t.number for t in result_of(finished_study).front]
    assert all(t.candidate.blueprint.weights > 0 for t in front)


def test_front_events_replay_to_the_front(finished_study: Path) -> None:
    storage = open_storage(url(finished_study), create=False)
    row = db.find_study(storage, "tiny")
    assert row is not None
    on_front: set[int] = set()
    volume = 0.0
    for event in db.front_events(storage, row.id):
        (on_front.add if event.action == "add" else on_front.remove)(event.trial_id)
        assert event.hypervolume is not None
        assert event.hypervolume >= volume
        volume = event.hypervolume
    numbers = {t.number for t in db.trial_rows(storage, row.id) if t.trial_id in on_front}
    result = result_of(finished_study)
    assert numbers == {trial.number for trial in result.front}
    assert volume == pytest.approx(result.hypervolume)


def test_optuna_reads_the_study(finished_study: Path) -> None:
    storage = cimsearch.open_storage(url(finished_study))
    study = optuna.load_study(study_name="tiny", storage=storage)
    best = {trial.number for trial in study.best_trials}
    assert best == {trial.number for trial in result_of(finished_study).front}
    assert len(study.trials[0].params) == len(cimsearch.load_space("vgg_tiny").genes) + 5


def test_launching_it_again_trains_nothing(finished_study: Path) -> None:
    before = result_of(finished_study)
    study = load_study(str(finished_study / "tiny.yaml"))
    again = launch(study, storage=url(finished_study), executor=InlineExecutor())
    assert [t.objectives for t in again.trials] == [t.objectives for t in before.trials]
    assert [e.ended for e in again.evaluations] == [e.ended for e in before.evaluations]


def test_the_view_has_everything_a_report_shows(finished_study: Path) -> None:
    result = result_of(finished_study)
    view = study_view(result)
    assert {p.number for p in view.front} == {t.number for t in result.front}
    for point in view.front:
        assert sum(point.components.values()) == pytest.approx(point.values[1])
        assert sum(layer.energy_pj for layer in point.layers) == pytest.approx(point.values[1])
    assert view.hypervolume[-1][1] == pytest.approx(result.hypervolume)
    assert [v for _, v in view.hypervolume] == sorted(v for _, v in view.hypervolume)
    assert view.cost.trained == 4
    assert view.cost.cpu_hours > 0
    trust = view.credibility
    items: list[Any] = [*result.front, *result.baselines]
    costs = [item.cost for item in items if item.cost]
    shares = [
        sum(cost["components"][n] for n in trust.unvalidated) / cost["energy_pj"] for cost in costs
    ]
    assert trust.unvalidated_frac == pytest.approx(sum(shares) / len(shares))


def test_another_spec_of_the_same_name_says_what_differs(
    finished_study: Path, write: Write
) -> None:
    other = load_study(str(write("tiny.yaml", TINY_STUDY.replace("lag: 2", "lag: 3"))))
    with pytest.raises(StudyError) as caught:
        launch(other, storage=url(finished_study), executor=InlineExecutor())
    assert "study.sampler.lag: 2 in the database, 3 here" in caught.value.message
    assert "another name" in caught.value.hint


def test_an_unknown_study_lists_those_there_are(finished_study: Path) -> None:
    with pytest.raises(StudyError) as caught:
        resume("huge", storage=url(finished_study), executor=InlineExecutor())
    assert "tiny" in caught.value.hint


def test_a_score_is_reused_by_an_equal_job(
    finished_study: Path, write: Write, tmp_path: Path
) -> None:
    """A study that differs in its name and budget alone has the same jobs."""
    copy_database(finished_study, tmp_path)
    text = TINY_STUDY.replace("name: tiny", "name: twin").replace("trials: 4", "trials: 2")
    twin = launch(
        load_study(str(write("twin.yaml", text))),
        storage=url(tmp_path),
        executor=RefusingExecutor(),
    )
    first = result_of(finished_study)
    assert [t.reused for t in twin.trials] == [True, True]
    assert [t.objectives for t in twin.trials] == [t.objectives for t in first.trials[:2]]


class RefusingExecutor(InlineExecutor):
    """Fails every job that is not the test scoring of a new front."""

    def events(self, timeout_s: float) -> list[Event]:
        del timeout_s
        waiting, self._waiting = self._waiting, []
        return [Event(token, "failed", reason="nothing should run") for token, _ in waiting]


def test_a_failing_evaluation_is_recorded_and_the_study_goes_on(
    tiny_study: Study, tmp_path: Path
) -> None:
    result = launch(tiny_study, storage=url(tmp_path), executor=RefusingExecutor())
    assert result.count("failed") == 4
    assert {trial.reason for trial in result.trials} == {"nothing should run"}
    assert result.front == ()
    assert result.baselines == ()
    assert study_view(result).points[0].state == "failed"


class LosingExecutor(InlineExecutor):
    """Loses every attempt, as a worker does that dies of its job."""

    def events(self, timeout_s: float) -> list[Event]:
        del timeout_s
        waiting, self._waiting = self._waiting, []
        return [Event(token, "lost", reason="KilledWorker") for token, _ in waiting]


def test_a_poison_trial_fails_after_three_lost_attempts(tiny_study: Study, tmp_path: Path) -> None:
    result = launch(tiny_study, storage=url(tmp_path), executor=LosingExecutor())
    assert all(t.reason.startswith("poison: 3 workers died") for t in result.trials)
    storage = open_storage(url(tmp_path))
    for row in result.evaluations:
        assert [a.state for a in db.attempts(storage, row.id)] == ["lost"] * 3


def test_infeasible_candidates_are_priced_and_never_trained(write: Write, tmp_path: Path) -> None:
    text = TINY_STUDY + "constraints: {macros: {max: 5}}\n"
    study = load_study(str(write("tiny.yaml", text)))
    result = launch(study, storage=url(tmp_path), executor=QuickExecutor(1, Random(0)))
    infeasible = [t for t in result.trials if t.state == "infeasible"]
    assert infeasible
    assert result.count("complete") == 4
    for trial in infeasible:
        assert trial.constraints["macros"] > 0
        assert trial.objectives["accuracy"] == 0
        assert trial.objectives["energy_pj"] > 0
        assert trial.score is None
        assert not trial.on_front
    assert all(t.constraints["macros"] <= 0 for t in result.front)


def test_an_impossible_space_says_which_constraint_fails(write: Write, tmp_path: Path) -> None:
    text = TINY_STUDY + "constraints: {area_um2: {max: 1.0}, macros: {max: 1000}}\n"
    study = load_study(str(write("tiny.yaml", text)))
    with pytest.raises(SpaceError) as caught:
        launch(study, storage=url(tmp_path), executor=InlineExecutor())
    assert "no feasible candidate in 10000 samples" in caught.value.message
    assert "area_um2 fails in 100.0 %" in caught.value.message
    assert "macros fails in 0.0 %" in caught.value.message
    assert db.list_studies(open_storage(url(tmp_path))) == []


def test_progress_counts_up_to_the_end(tiny_study: Study, tmp_path: Path) -> None:
    seen: list[Progress] = []
    launch(tiny_study, storage=url(tmp_path), executor=RefusingExecutor(), on_progress=seen.append)
    assert seen[-1].phase == "finished"
    assert seen[-1].failed == 4
    assert [p.failed for p in seen] == sorted(p.failed for p in seen)
