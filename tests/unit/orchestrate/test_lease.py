"""One orchestrator runs a study: another is refused, and takes over when the first has died."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from cimsearch.errors import StorageError, StudyError
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.read.status import read_status
from cimsearch.orchestrate.run import lease
from cimsearch.orchestrate.run.progress import Progress
from cimsearch.spec import Study
from cimsearch.store import CimStorage, open_storage
from cimsearch.store import records as db
from tests.unit.orchestrate.quick import QuickExecutor, table


def url_of(directory: Path) -> str:
    return f"sqlite:///{directory / 'study.db'}"


@dataclass
class Elsewhere:
    """Another orchestrator that holds the lease, and renews it as long as it lives."""

    url: str

    def take(self, *, owner: str, seconds: float) -> None:
        storage = open_storage(self.url)
        study_id = db.list_studies(storage)[0].id
        db.take_lease(storage, study_id, owner=owner, seconds=seconds)
        storage.close()


@pytest.fixture
def finished(tiny_study: Study, tmp_path: Path) -> Elsewhere:
    launch(tiny_study, storage=url_of(tmp_path), executor=QuickExecutor(1, Random(0)))
    return Elsewhere(url_of(tmp_path))


def named(pid: int | None) -> str:
    """Return how another process of this place is called."""
    return lease.owner().replace(f":{os.getpid()} ", f":{pid} ")


def lease_now(url: str) -> db.LeaseRow | None:
    storage = open_storage(url)
    found = db.lease_of(storage, db.list_studies(storage)[0].id)
    storage.close()
    return found


def test_the_lease_is_held_while_the_study_runs_and_given_back(
    tiny_study: Study, tmp_path: Path
) -> None:
    seen: list[db.LeaseRow | None] = []

    def look(progress: Progress) -> None:
        seen.append(lease_now(url_of(tmp_path)))

    launch(
        tiny_study,
        storage=url_of(tmp_path),
        executor=QuickExecutor(1, Random(0)),
        on_progress=look,
    )
    assert seen
    assert all(row is not None and row.alive and row.owner == lease.owner() for row in seen)
    assert lease_now(url_of(tmp_path)) is None


def test_a_dead_holders_lease_is_waited_for(
    tiny_study: Study, finished: Elsewhere, tmp_path: Path
) -> None:
    before = table(finished.url)
    finished.take(owner="elsewhere:1", seconds=1.5)
    phases: list[str] = []
    launch(
        tiny_study,
        storage=finished.url,
        executor=QuickExecutor(1, Random(0)),
        on_progress=lambda progress: phases.append(progress.phase),
    )
    assert phases[0] == "waiting for another orchestrator's lease to end"
    assert phases[-1] == "finished"
    assert table(finished.url) == before


def test_the_lease_of_a_process_that_is_gone_here_is_taken_at_once(
    tiny_study: Study, finished: Elsewhere
) -> None:
    gone = multiprocessing.get_context("spawn").Process(target=os.getpid)
    gone.start()
    gone.join()
    finished.take(owner=named(gone.pid), seconds=3600.0)
    storage = open_storage(finished.url)
    shown = read_status(storage, tiny_study.name).lease
    assert shown is not None
    assert not shown.alive, "status takes a dead process for alive"
    storage.close()
    phases: list[str] = []
    launch(
        tiny_study,
        storage=finished.url,
        executor=QuickExecutor(1, Random(0)),
        on_progress=lambda progress: phases.append(progress.phase),
    )
    assert "waiting for another orchestrator's lease to end" not in phases


def test_the_same_name_in_another_place_is_another_process(
    tiny_study: Study, finished: Elsewhere
) -> None:
    """As of two containers, or two machines of one name: that it is gone here says nothing."""
    here = lease.owner().rpartition("(")[0]
    finished.take(owner=f"{here}(0ther1)", seconds=1.5)
    phases: list[str] = []
    launch(
        tiny_study,
        storage=finished.url,
        executor=QuickExecutor(1, Random(0)),
        on_progress=lambda progress: phases.append(progress.phase),
    )
    assert phases[0] == "waiting for another orchestrator's lease to end"


def test_a_living_holder_keeps_its_study(
    tiny_study: Study, finished: Elsewhere, renewing: Callable[[str], None]
) -> None:
    renewing(finished.url)
    with pytest.raises(StudyError, match=r"elsewhere:1") as caught:
        launch(tiny_study, storage=finished.url, executor=QuickExecutor(1, Random(0)))
    assert caught.value.hint


def test_the_lease_of_a_process_that_was_called_as_this_one_is_waited_for(
    tiny_study: Study, finished: Elsewhere
) -> None:
    finished.take(owner=lease.owner(), seconds=1.5)
    phases: list[str] = []
    launch(
        tiny_study,
        storage=finished.url,
        executor=QuickExecutor(1, Random(0)),
        on_progress=lambda progress: phases.append(progress.phase),
    )
    assert phases[0] == "waiting for another orchestrator's lease to end"
    assert phases[-1] == "finished"


def test_one_who_waits_for_a_lease_can_be_stopped(tiny_study: Study, finished: Elsewhere) -> None:
    finished.take(owner="elsewhere:1", seconds=3600.0)
    with pytest.raises(KeyboardInterrupt):
        launch(
            tiny_study,
            storage=finished.url,
            executor=QuickExecutor(1, Random(0)),
            on_progress=lambda _: signal.raise_signal(signal.SIGINT),
        )
    assert (found := lease_now(finished.url)) is not None
    assert found.owner == "elsewhere:1"


def test_a_database_that_cannot_be_written_for_a_while_ends_no_renewing(
    tiny_study: Study, finished: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, times = db.renew_lease, 0

    def renew(storage: CimStorage, study_id: int, *, seconds: float) -> None:
        nonlocal times
        times += 1
        if times < 3:
            raise StorageError("locked by another process")
        real(storage, study_id, seconds=seconds)

    def wait(_: Progress) -> None:
        limit = time.monotonic() + 30
        while times < 4:
            assert time.monotonic() < limit
            time.sleep(0.01)

    monkeypatch.setattr(lease, "_RENEW_S", 0.01)
    monkeypatch.setattr(db, "renew_lease", renew)
    launch(
        tiny_study,
        storage=finished.url,
        executor=QuickExecutor(1, Random(0)),
        on_progress=wait,
    )


@pytest.fixture
def renewing() -> Callable[[str], None]:
    """Return a function that lets another process hold a study's lease and renew it."""

    def start(url: str) -> None:
        process = multiprocessing.get_context("spawn").Process(
            target=_hold, args=(url,), daemon=True
        )
        process.start()
        limit = time.monotonic() + 30
        while lease_now(url) is None:
            assert time.monotonic() < limit
            time.sleep(0.05)

    return start


def _hold(url: str) -> None:
    storage = open_storage(url)
    study_id = db.list_studies(storage)[0].id
    db.take_lease(storage, study_id, owner="elsewhere:1", seconds=5.0)
    for _ in range(100):
        time.sleep(0.5)
        db.renew_lease(storage, study_id, seconds=5.0)
