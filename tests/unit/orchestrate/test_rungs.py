"""Studies of several rungs: whoever runs them, however often disturbed, they are the same."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from cimsearch.evaluate import Job
from cimsearch.orchestrate.launch import launch, resume
from cimsearch.orchestrate.read.results import StudyResult
from cimsearch.orchestrate.read.status import read_status
from cimsearch.orchestrate.read.view import study_view
from cimsearch.orchestrate.run import waiting
from cimsearch.orchestrate.run.progress import Progress, silent
from cimsearch.space import Candidate
from cimsearch.spec import Study, load_study
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.store.check import check_database
from cimsearch.workers import Event
from tests.studies import TINY_STUDY
from tests.unit.orchestrate.quick import QuickExecutor, Table, UnreliableExecutor, table
from tests.workloads import copied

Write = Callable[[str, str], Path]

RUNG = "  - {epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}\n"
RUNGS = (
    RUNG.replace("epochs: 1", "epochs: 0").replace("chips: 2", "chips: 1")
    + RUNG
    + RUNG.replace("epochs: 1", "epochs: 3")
)
TRIALS = 22


TEXT = (
    TINY_STUDY.replace(RUNG, RUNGS).replace("trials: 4", f"trials: {TRIALS}")
    + "halving: {cohort: 9, eta: 3}\nlimits: {losses: 20}\n"
)


@pytest.fixture
def study(write: Write) -> Study:
    return load_study(str(write("tiny.yaml", TEXT)))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(waiting, "LONGEST_DELAY_S", 0.05)


def url_of(directory: Path, name: str = "study") -> str:
    return f"sqlite:///{directory / name}.db"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResult, str]:
    """Return what a run without disturbance found, and the URL of its database, only to read."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "tiny.yaml").write_text(TEXT, encoding="utf-8")
    return run(load_study(str(folder / "tiny.yaml")), url_of(folder)), url_of(folder)


@pytest.fixture
def undisturbed(whole: tuple[StudyResult, str]) -> Table:
    return table(whole[1])


def run(study: Study, url: str, executor: QuickExecutor | None = None) -> StudyResult:
    return launch(study, storage=url, executor=executor or QuickExecutor(1, Random(0)))


def test_the_best_of_each_cohort_go_on(whole: tuple[StudyResult, str]) -> None:
    result, _ = whole
    # Cohorts of 9, 9 and 4 promote 3, 3 and 1; of these 7, cohorts of 3, 3 and 1 one each.
    assert result.by_rung == (TRIALS, 7, 3)
    assert result.budget == TRIALS
    rungs = {trial.number: trial.rung for trial in result.trials}
    for trial in result.trials:
        assert (trial.promoted_from is None) == (trial.rung == 0)
        if trial.promoted_from is not None:
            below = result.trials[trial.promoted_from]
            assert trial.number > below.number
            assert rungs[below.number] == trial.rung - 1
            assert below.candidate.hash == trial.candidate.hash
            assert below.genes == trial.genes
    hashes = [trial.candidate.hash for trial in result.trials if trial.rung == 0]
    assert len(set(hashes)) == len(hashes)
    cohort = [trial for trial in result.trials if trial.rung == 0][:9]
    best = max(cohort, key=lambda trial: trial.objectives["accuracy"])
    assert best.number in {trial.promoted_from for trial in result.trials}


def test_jobs_are_of_their_rung(study: Study, whole: tuple[StudyResult, str]) -> None:
    result, _ = whole
    jobs = {row.id: Job.from_json(row.job) for row in result.evaluations}
    rungs = study.spec.rungs
    for trial in result.trials:
        assert trial.evaluation_id is not None
        job = jobs[trial.evaluation_id]
        assert (job.rung, job.earlier) == (rungs[trial.rung], rungs[: trial.rung])
    for row in result.evaluations:
        if row.role != "trial":
            assert (jobs[row.id].rung, jobs[row.id].earlier) == (rungs[2], rungs[:2])
    tested = {row.label for row in result.evaluations if row.role == "test"}
    expected = {f"trial {trial.number}" for trial in result.front}
    assert tested == expected | {baseline.name for baseline in result.baselines}


def test_fronts_never_mix_rungs(whole: tuple[StudyResult, str]) -> None:
    result, url = whole
    assert result.front
    assert {trial.rung for trial in result.front} == {2}
    assert [trial.rung for trial in result.last_rung] == [2] * 3
    assert check_database(url).findings == ()
    storage = open_storage(url)
    row = db.list_studies(storage)[0]
    rungs = {t.trial_id: t.rung for t in db.trial_rows(storage, row.id)}
    events = db.front_events(storage, row.id)
    storage.close()
    assert {event.rung for event in events} == {0, 1, 2}
    assert all(event.rung == rungs[event.trial_id] for event in events)
    last = [event.hypervolume for event in events if event.rung == 2][-1]
    assert last == pytest.approx(result.hypervolume)


@pytest.mark.parametrize("workers", [2, 8])
def test_any_number_of_workers_gives_the_same_trials(
    study: Study, tmp_path: Path, undisturbed: Table, workers: int
) -> None:
    run(study, url_of(tmp_path), QuickExecutor(workers, Random(workers)))
    assert table(url_of(tmp_path)) == undisturbed


@pytest.mark.parametrize("sampler", ["nsga2", "auto"])
def test_whatever_proposes(write: Write, study: Study, tmp_path: Path, sampler: str) -> None:
    assert study.path is not None
    text = study.path.read_text().replace("optuna_nsga2", sampler)
    other = load_study(str(write("tiny.yaml", text)))
    tables = []
    for workers in (1, 4):
        url = url_of(tmp_path, f"{workers}")
        found = run(other, url, QuickExecutor(workers, Random(workers)))
        assert found.by_rung == (TRIALS, 7, 3)
        tables.append(table(url))
    assert tables[0] == tables[1]


@pytest.mark.parametrize("seed", range(2))
def test_lost_late_and_doubled_results_change_nothing(
    study: Study, tmp_path: Path, undisturbed: Table, seed: int
) -> None:
    run(study, url_of(tmp_path), UnreliableExecutor(3, Random(seed)))
    assert table(url_of(tmp_path)) == undisturbed


class StoppedError(Exception):
    """The orchestrator was stopped."""


class Stopping(QuickExecutor):
    """Ends the orchestrator after so many evaluations."""

    last: int = 0

    def fate(self, token: str, payload: bytes) -> list[Event]:
        if self.submitted > self.last:
            raise StoppedError
        return super().fate(token, payload)


@pytest.mark.parametrize("seed", range(2))
def test_stopped_anywhere_and_resumed_a_study_gives_the_same_trials(
    study: Study, tmp_path: Path, undisturbed: Table, seed: int
) -> None:
    rng, url = Random(seed), url_of(tmp_path)
    executor = Stopping(3, rng)
    executor.last = 3
    with pytest.raises(StoppedError):
        run(study, url, executor)
    finished = False
    while not finished:
        executor = Stopping(rng.randrange(1, 5), rng)
        executor.last = rng.randrange(4, 12)
        try:
            resume(study.name, storage=url, executor=executor)
            finished = True
        except StoppedError:
            pass
    assert table(url) == undisturbed


def test_a_larger_budget_goes_on_and_trains_nothing_twice(
    study: Study, whole: tuple[StudyResult, str], tmp_path: Path
) -> None:
    url = copied(whole[1], tmp_path)
    more = resume(study.name, storage=url, trials=TRIALS + 5, executor=QuickExecutor(3, Random(1)))
    assert more.by_rung[0] == TRIALS + 5
    keys = [row.key for row in more.evaluations if row.role == "trial"]
    assert len(set(keys)) == len(keys)
    assert check_database(url).findings == ()


SMALL_SPACE = """
schema: cimsearch/space/1
name: small
summary: twelve networks
source: made for a test
family: vgg
input_shape: [1, 8, 8]
classes: 10
stages:
  - {width: [8], depth: [1], downsample: true}
  - {width: [14], depth: [1], downsample: true}
genes: {weight_bits: [2, 3, 4, 6], activation_bits: [4], prune_ratio: [0.0]}
first_layer: {placement: digital, bits: 8}
classifier: {placement: digital, bits: 8}
"""


@pytest.mark.parametrize("workers", [1, 4])
def test_a_space_that_is_exhausted_has_its_last_cohort_promoted(
    write: Write, study: Study, tmp_path: Path, workers: int
) -> None:
    assert study.path is not None
    write("small.yaml", SMALL_SPACE)
    text = study.path.read_text().replace("space: vgg_tiny", "space: ./small.yaml")
    small = load_study(str(write("tiny.yaml", text)))
    executor = QuickExecutor(workers, Random(workers))
    assert run(small, url_of(tmp_path), executor).by_rung == (12, 4, 2)


def test_progress_and_status_tell_of_rungs(study: Study, tmp_path: Path) -> None:
    shown: list[Progress] = []
    launch(
        study,
        storage=url_of(tmp_path),
        executor=QuickExecutor(2, Random(0)),
        on_progress=shown.append,
    )
    silent(shown[-1])
    assert shown[-1].by_rung == (TRIALS, 7, 3)
    assert (shown[-1].done, shown[-1].budget, shown[-1].to_do) == (TRIALS, TRIALS, 0)
    searching = [p for p in shown if p.phase == "searching"]
    # All that is to come is counted from the beginning: 22 candidates, 10 promotions, 2 baselines.
    assert max(p.to_do for p in searching) == TRIALS + 10 + 2
    assert [p.to_do for p in searching] == sorted((p.to_do for p in searching), reverse=True)
    storage = open_storage(url_of(tmp_path))
    status = read_status(storage, study.name)
    storage.close()
    assert (status.done, status.by_rung) == (TRIALS, (TRIALS, 7, 3))
    assert [each.shared for each in status.agreements] == [7, 3]
    assert status.infeasible == 0


def test_the_view_is_of_the_last_rung(whole: tuple[StudyResult, str]) -> None:
    result, _ = whole
    view = study_view(result)
    assert {point.number for point in view.scored} == {trial.number for trial in result.last_rung}
    assert view.chips == 2
    assert view.search.endswith("22 trained candidates, of cohorts of 9 the best 1/3 promoted")
    assert [rung.epochs for rung in view.rungs] == [0, 1, 3]
    assert [rung.scored for rung in view.rungs] == [TRIALS, 7, 3]
    assert [bool(rung.agreement) for rung in view.rungs] == [True, True, False]
    assert view.cost.trained == TRIALS + 7 + 3
    assert view.hypervolume[-1][1] == pytest.approx(result.hypervolume)


def test_epochs_of_a_candidate_count_once(whole: tuple[StudyResult, str]) -> None:
    result, _ = whole
    all_epochs = [row for row in result.evaluations if row.role != "trial"]
    parents = {
        (Candidate.from_json(row.candidate).parent.hash, row.role == "test")
        for row in result.evaluations
    }
    at_rungs = 0 * TRIALS + 1 * 7 + 3 * 3
    expected = at_rungs + 4 * len(all_epochs) + 2 * len(parents)
    assert study_view(result).cost.epochs == expected


def test_what_a_sampler_noted_stays_with_a_promoted_candidate(
    whole: tuple[StudyResult, str],
) -> None:
    storage = open_storage(whole[1])
    rows = db.trial_rows(storage, db.list_studies(storage)[0].id)
    storage.close()
    of = {row.trial_id: row for row in rows}
    for row in rows:
        if row.promoted_from is not None:
            below = of[row.promoted_from]
            assert row.user_attrs["sampler"] == below.user_attrs["sampler"]
            assert json.dumps(dict(row.params)) == json.dumps(dict(below.params))
