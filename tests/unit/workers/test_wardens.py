"""The processes of local workers: killed at any moment, closed, and what they see."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from cimsearch.errors import WorkerError
from cimsearch.workers import Executor, connect
from tests.commands import workers_below
from tests.unit.workers.driving import (
    all_of,
    children,
    end_of,
    gone,
    pid_in,
    wait_for_slots,
    wait_until,
)
from tests.unit.workers.jobs import job, run

pytestmark = pytest.mark.slow


@contextmanager
def local(workers: int = 1) -> Iterator[Executor]:
    """Give workers that nothing else has used."""
    executor = connect(workers=workers, run=run)
    try:
        yield executor
    finally:
        executor.close()


def runs_a_job(executor: Executor, token: str = "next") -> bool:
    wait_for_slots(executor)
    executor.submit(token, job("echo"))
    return end_of(executor, token).kind == "done"


@pytest.mark.parametrize("what", ["sleep", "stuck"])
def test_a_killed_warden_is_started_again(tmp_path: Path, what: str) -> None:
    with local(2) as executor:
        wait_for_slots(executor, 2)
        marks = [tmp_path / "first", tmp_path / "second"]
        for mark in marks:
            executor.submit(mark.name, job(what, seconds=60, mark=str(mark)))
        pids = [pid_in(mark) for mark in marks]
        (warden,) = children()
        warden.kill()
        events = all_of(executor, "first", "second")
        assert sorted(event.token for event in events) == ["first", "second"]
        assert {event.kind for event in events} == {"lost"}
        assert all(event.reason.startswith("KilledWorker: the worker at ") for event in events)
        wait_until(lambda: all(map(gone, pids)), timeout_s=20)
        assert runs_a_job(executor)


def test_wardens_that_keep_dying_are_an_error_after_all_ends() -> None:
    def kill_on() -> None:
        for _ in range(20):
            for warden in children():
                warden.kill()
            ends.extend(event.kind for event in executor.events(0.5))

    ends: list[str] = []
    with local() as executor:
        executor.submit("hopeless", job("sleep", seconds=60))
        with pytest.raises(WorkerError, match="ended 5 times in a row") as caught:
            kill_on()
        # It goes with the worker that has it, or has never been given to one.
        assert ends in (["lost"], ["interrupted"])
        with pytest.raises(WorkerError, match="ended 5 times in a row"):
            executor.submit("another", job("echo"))
    assert "cimsearch resume" in caught.value.hint


def test_a_job_that_ends_gives_wardens_another_chance() -> None:
    with local() as executor:
        for number in range(6):
            # The first may be given to a worker that is about to die with its warden.
            tokens = iter(f"{number}-{times}" for times in range(3))
            wait_until(lambda tokens=tokens: runs_a_job(executor, next(tokens)))  # type: ignore[misc]
            children()[0].kill()


def test_kills_at_any_moment_lose_and_double_nothing() -> None:
    with local(2) as executor:
        ends: dict[str, str] = {}
        number = kills = 0
        while len(ends) < 24:
            while number < 24 and executor.free_slots():
                executor.submit(f"{number}", job("sleep", seconds=0.03 * (number % 7)))
                number += 1
            if len(ends) >= 4 * kills and (wardens := children()):
                victims = wardens if kills % 3 == 2 else workers_below(wardens[0])
                for victim in victims[:1]:
                    victim.kill()
                kills += 1
            for event in executor.events(0.2):
                assert event.token not in ends
                ends[event.token] = event.kind
        assert kills >= 6
        assert set(ends.values()) <= {"done", "lost"}
        assert executor.events(0.5) == []


def test_workers_that_are_killed_as_they_start_are_started_again() -> None:
    with local(2) as executor:
        for _ in range(2):
            wait_until(lambda: bool(workers_below(children()[0])))
            for worker in workers_below(children()[0]):
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
        # The first may be given to one that is dead already.
        tokens = iter(("first", "second", "third"))
        wait_until(lambda: runs_a_job(executor, next(tokens)))
        wait_for_slots(executor, 2)


def test_closing_ends_all_processes_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with local(2) as executor:
        wait_for_slots(executor, 2)
        executor.submit("stuck", job("stuck", seconds=60, mark=str(tmp_path / "stuck")))
        pid_in(tmp_path / "stuck")
        (warden,) = children()
        pids = {warden.pid, *(child.pid for child in warden.children(recursive=True))}
        assert len(list(temporary.iterdir())) == 1
    wait_until(lambda: all(map(gone, pids)), timeout_s=20)
    assert not list(temporary.iterdir())


def test_workers_see_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "CIMSEARCH_STORAGE": "postgresql://u:hidden@h/d",
        "PGPASSWORD": "hidden",
        "PGPASSFILE": "/hidden",
        "MY_TOKEN": "hidden",
        "DATABASE_URL": "postgresql://u:hidden@h/d",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    with local() as executor:
        wait_for_slots(executor)
        executor.submit("look", job("environment"))
        seen = json.loads(end_of(executor, "look").payload)
        assert not secrets.keys() & seen.keys()
        assert seen["OMP_NUM_THREADS"] == "1"
        (warden,) = children()
        for process in (warden, *warden.children(recursive=True)):
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            assert b"hidden" not in environment
            assert b"hidden" not in " ".join(process.cmdline()).encode()
    assert os.environ["PGPASSWORD"] == "hidden"
