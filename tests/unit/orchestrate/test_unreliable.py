"""Workers that die or answer twice and late, databases that go away: the study is the same."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Connection, Engine

from cimsearch.errors import LeaseLostError, StorageError, StorageUnreachableError, StudyError
from cimsearch.orchestrate.launch import launch, resume
from cimsearch.orchestrate.run import loop, waiting
from cimsearch.orchestrate.run.lease import LEASE_S
from cimsearch.orchestrate.run.progress import Progress
from cimsearch.spec import Study, load_study
from cimsearch.store import database, open_storage
from cimsearch.store import records as db
from cimsearch.workers import Event
from tests.studies import TINY_STUDY
from tests.unit.orchestrate.quick import QuickExecutor, Table, UnreliableExecutor, table


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    (folder / "tiny.yaml").write_text(TINY_STUDY, encoding="utf-8")
    tiny = load_study(str(folder / "tiny.yaml"))
    limits = tiny.spec.limits.model_copy(update={"losses": 20, "drain_s": 5.0})
    budget = tiny.spec.budget.model_copy(update={"trials": 12})
    return replace(tiny, spec=tiny.spec.model_copy(update={"budget": budget, "limits": limits}))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait shorter than for real clusters and servers."""
    monkeypatch.setattr(waiting, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(waiting, "LONGEST_DELAY_S", 0.05)
    monkeypatch.setattr(loop, "_AWAY_LOOK_S", 0.01)


def url_of(directory: Path) -> str:
    return f"sqlite:///{directory / 'study.db'}"


@pytest.fixture(scope="module")
def undisturbed(study: Study, folder: Path) -> Table:
    launch(study, storage=url_of(folder), executor=QuickExecutor(1, Random(0)))
    rows = table(url_of(folder))
    assert len(rows) == 12
    return rows


def attempts_of(url: str) -> list[list[db.AttemptState]]:
    storage = open_storage(url)
    row = db.list_studies(storage)[0]
    found = [
        [a.state for a in db.attempts(storage, e.id)] for e in db.evaluations(storage, row.id)
    ]
    storage.close()
    return found


def check_sound(url: str, undisturbed: Table) -> None:
    """Check that no trial is lost, none was applied twice, nothing runs."""
    assert table(url) == undisturbed
    states = attempts_of(url)
    assert all(each.count("done") == 1 for each in states if each)
    assert not any("running" in each for each in states)


@pytest.mark.parametrize("seed", range(4))
def test_lost_late_and_doubled_results_change_nothing(
    study: Study, tmp_path: Path, undisturbed: Table, seed: int
) -> None:
    executor = UnreliableExecutor(3, Random(seed))
    launch(study, storage=url_of(tmp_path), executor=executor)
    check_sound(url_of(tmp_path), undisturbed)
    states = [state for each in attempts_of(url_of(tmp_path)) for state in each]
    assert {"lost", "late"} & set(states), "nothing was disturbed"
    assert executor.submitted == len(states)


@dataclass
class Interrupting(QuickExecutor):
    """Cuts every first attempt off, as a cluster that is of no use any more does."""

    seen: set[bytes] = field(default_factory=set)

    def fate(self, token: str, payload: bytes) -> list[Event]:
        if payload not in self.seen:
            self.seen.add(payload)
            return [Event(token, "interrupted", reason="its scheduler is gone")]
        return super().fate(token, payload)


def test_an_attempt_that_a_cluster_cut_off_is_no_loss(
    study: Study, tmp_path: Path, undisturbed: Table
) -> None:
    executor = Interrupting(3, Random(0))
    limits = study.spec.limits.model_copy(update={"losses": 1})
    strict = replace(study, spec=study.spec.model_copy(update={"limits": limits}))
    launch(strict, storage=url_of(tmp_path), executor=executor)
    check_sound(url_of(tmp_path), undisturbed)
    states = [each for each in attempts_of(url_of(tmp_path)) if each]
    assert all(each == ["interrupted", "done"] for each in states)


class Server:
    """A database that goes away before a transaction, or after its commit and before the reply."""

    def __init__(self, rng: Random, share: float) -> None:
        self.rng, self.share, self.times = rng, share, 0
        self._writing = database.writing

    @contextmanager
    def writing(self, engine: Engine) -> Iterator[Connection]:
        self._may_go()
        with self._writing(engine) as conn:
            yield conn
        self._may_go()

    def _may_go(self) -> None:
        if self.rng.random() < self.share:
            self.times += 1
            raise StorageUnreachableError("the server is away")


@pytest.mark.parametrize("seed", range(4))
def test_a_database_that_goes_away_is_waited_for(
    study: Study,
    tmp_path: Path,
    undisturbed: Table,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(Random(seed), 0.0)
    monkeypatch.setattr(database, "writing", server.writing)

    def start_going(progress: Progress) -> None:
        server.share = 0.0 if progress.phase == "finished" else 0.1

    executor = QuickExecutor(3, Random(seed))
    launch(study, storage=url_of(tmp_path), executor=executor, on_progress=start_going)
    assert server.times > 5
    check_sound(url_of(tmp_path), undisturbed)


def test_a_database_that_stays_away_ends_the_study_and_loses_nothing(
    study: Study, tmp_path: Path, undisturbed: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_LONGEST_AWAY_S", 0.2)
    server = Server(Random(1), 0.0)

    def go_for_good(progress: Progress) -> None:
        server.share = float(progress.done >= 4)

    with monkeypatch.context() as patch:
        patch.setattr(database, "writing", server.writing)
        with pytest.raises(StorageUnreachableError):
            launch(
                study,
                storage=url_of(tmp_path),
                executor=QuickExecutor(2, Random(1)),
                on_progress=go_for_good,
            )
    end_lease(url_of(tmp_path))
    resume(study.name, storage=url_of(tmp_path), executor=QuickExecutor(2, Random(2)))
    check_sound(url_of(tmp_path), undisturbed)


def end_lease(url: str) -> None:
    """Let the lease end of an orchestrator that could not say it has stopped."""
    storage = open_storage(url)
    study_id = db.list_studies(storage)[0].id
    with storage.session.writing() as conn:
        conn.exec_driver_sql("DELETE FROM study_lease")
    assert db.lease_of(storage, study_id) is None
    storage.close()


def test_a_database_that_is_away_while_a_study_stops_adds_nothing_to_it(
    study: Study, tmp_path: Path, undisturbed: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(Random(0), 0.0)

    def stop_and_go(progress: Progress) -> None:
        if progress.phase == "waiting for the database":
            server.share = 0.0
        elif progress.done >= 4 and progress.running and not server.times:
            server.share = 1.0
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(database, "writing", server.writing)
        with pytest.raises(KeyboardInterrupt):
            launch(
                study,
                storage=url_of(tmp_path),
                executor=QuickExecutor(2, Random(0)),
                on_progress=stop_and_go,
            )
    assert server.times
    storage = open_storage(url_of(tmp_path))
    found = db.evaluations(storage, db.list_studies(storage)[0].id, role="test")
    storage.close()
    assert found == [], "the front of an unfinished search was to be tested"
    resume(study.name, storage=url_of(tmp_path), executor=QuickExecutor(2, Random(2)))
    check_sound(url_of(tmp_path), undisturbed)


class Taken(QuickExecutor):
    """Hands the study to another orchestrator while it runs."""

    url: str = ""

    def fate(self, token: str, payload: bytes) -> list[Event]:
        if self.submitted == 5:
            end_lease(self.url)
            storage = open_storage(self.url)
            study_id = db.list_studies(storage)[0].id
            db.take_lease(storage, study_id, owner="other:1", seconds=LEASE_S)
            storage.close()
        return super().fate(token, payload)


def test_one_whose_study_was_taken_over_writes_nothing_more(
    study: Study, tmp_path: Path, undisturbed: Table
) -> None:
    executor = Taken(2, Random(0))
    executor.url = url_of(tmp_path)
    with pytest.raises(LeaseLostError):
        launch(study, storage=url_of(tmp_path), executor=executor)
    before = attempts_of(url_of(tmp_path))
    assert sum(len(each) for each in before) <= 6
    end_lease(url_of(tmp_path))
    resume(study.name, storage=url_of(tmp_path), executor=QuickExecutor(2, Random(2)))
    check_sound(url_of(tmp_path), undisturbed)


class Deleting(QuickExecutor):
    """Deletes the study while it runs, as a user of Optuna's dashboard may."""

    url: str = ""

    def fate(self, token: str, payload: bytes) -> list[Event]:
        if self.submitted == 5:
            storage = open_storage(self.url)
            storage.delete_study(db.list_studies(storage)[0].id)
            storage.close()
        return super().fate(token, payload)


def test_a_study_that_is_deleted_while_it_runs_says_so(study: Study, tmp_path: Path) -> None:
    executor = Deleting(2, Random(0))
    executor.url = url_of(tmp_path)
    with pytest.raises(StudyError, match="was deleted while it ran"):
        launch(study, storage=url_of(tmp_path), executor=executor)
    launch(study, storage=url_of(tmp_path), executor=QuickExecutor(2, Random(0)))


def test_a_disk_that_is_full_ends_the_study_with_one_line(
    study: Study, tmp_path: Path, undisturbed: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = database.writing

    @contextmanager
    def full(engine: Engine) -> Iterator[Connection]:
        with real(engine) as conn:
            pages = conn.exec_driver_sql("PRAGMA page_count").scalar()
            conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            yield conn

    def fill(progress: Progress) -> None:
        if progress.done == 3:
            monkeypatch.setattr(database, "writing", full)

    with pytest.raises(StorageError, match="full"):
        launch(
            study,
            storage=url_of(tmp_path),
            executor=QuickExecutor(2, Random(0)),
            on_progress=fill,
        )
    monkeypatch.setattr(database, "writing", real)
    end_lease(url_of(tmp_path))
    resume(study.name, storage=url_of(tmp_path), executor=QuickExecutor(2, Random(0)))
    check_sound(url_of(tmp_path), undisturbed)
