"""Killing real processes at random moments of a study: nothing recorded is lost or done twice."""

import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.commands import Background
from tests.faults.studies import Disturbed, Table

pytestmark = pytest.mark.slow

WORKER_KILLS, WARDEN_KILLS, ORCHESTRATOR_KILLS = 6, 2, 3


@pytest.fixture
def study(tmp_path: Path) -> Disturbed:
    return Disturbed.at(tmp_path)


@pytest.fixture
def moments(request: pytest.FixtureRequest) -> random.Random:
    """Return where the moments of this test's kills come from."""
    return random.Random(request.node.name)


def wait_a_moment(moments: random.Random) -> None:
    """Wait up to half an evaluation, so that kills hit anywhere in it."""
    time.sleep(moments.uniform(0.0, 0.7))


def workers_at_work(
    running: Background, study: Disturbed, moments: random.Random
) -> list[psutil.Process]:
    """Wait until there are workers and one is at an evaluation, and a moment; return them."""
    running.wait_until(lambda: study.at_work() > 0 and bool(running.workers()))
    workers = running.workers()
    wait_a_moment(moments)
    return workers


def kill(process: psutil.Process) -> None:
    """Kill a process, unless it has just ended by itself."""
    with suppress(psutil.NoSuchProcess):
        process.kill()


def run_and_kill_orchestrator(study: Disturbed, moments: random.Random, *, after: int) -> None:
    """Run a study until so many evaluations have ended, kill it, and check what is left."""
    before = study.done()
    running = study.start()
    running.wait_until(study.has_ended(after, at_work=True))
    wait_a_moment(moments)
    family = psutil.Process(running.process.pid).children(recursive=True)
    running.process.kill()
    running.process.wait()
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left, "processes outlived the orchestrator"
    now = {trial.number: trial for trial in study.done()}
    assert all(now[t.number] == t for t in before), "a recorded trial was touched"


def is_locked(file: Path) -> bool:
    """Return whether a process is in the middle of writing to a SQLite file."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


@contextmanager
def frozen(running: Background, file: Path) -> Iterator[None]:
    """Stop the orchestrator for the block, at a moment when it does not hold the database."""
    process = running.process

    def stop_outside_of_a_transaction() -> bool:
        process.send_signal(signal.SIGSTOP)
        if locked := is_locked(file):
            process.send_signal(signal.SIGCONT)
        return not locked

    running.wait_until(stop_outside_of_a_transaction)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_killed_workers_cost_an_attempt_each(
    study: Disturbed, undisturbed: Table, moments: random.Random
) -> None:
    running = study.start()
    for _ in range(WORKER_KILLS):
        kill(moments.choice(workers_at_work(running, study, moments)))
    assert running.finish() == 0, running.text()
    study.check_sound(undisturbed)
    ended = [attempt for attempts in study.attempts() for attempt in attempts]
    lost = [attempt for attempt in ended if attempt.state == "lost"]
    assert 1 <= len(lost) <= WORKER_KILLS
    assert all((a.reason or "").startswith("KilledWorker: the worker at") for a in lost)


def test_a_killed_warden_is_replaced(
    study: Disturbed, undisturbed: Table, moments: random.Random
) -> None:
    running = study.start()
    for _ in range(WARDEN_KILLS):
        workers = workers_at_work(running, study, moments)
        kill(running.warden())
        psutil.wait_procs(workers, timeout=30)
        assert not any(map(psutil.Process.is_running, workers)), "workers outlived their warden"
    assert running.finish() == 0, running.text()
    study.check_sound(undisturbed)


def test_a_killed_orchestrator_loses_nothing_and_leaves_no_process(
    study: Disturbed, undisturbed: Table, moments: random.Random
) -> None:
    for n in range(ORCHESTRATOR_KILLS):
        run_and_kill_orchestrator(study, moments, after=2 * n)
    study.run()
    study.check_sound(undisturbed)
    ended = [attempt.state for attempts in study.attempts() for attempt in attempts]
    assert "interrupted" in ended
    assert "lost" not in ended, "a worker was blamed for the orchestrator's end"


def test_two_orchestrators_never_run_a_study_at_once(study: Disturbed, undisturbed: Table) -> None:
    """And two workers that nobody kills find what one finds, each evaluation at first try."""
    running = study.start()
    running.wait_until(study.has_ended(1))
    with frozen(running, study.directory / "study.db"):
        text = study.run(expect=1)
    assert f":{running.process.pid}" in text
    assert "being run by" in text
    assert running.finish() == 0, running.text()
    study.check_sound(undisturbed)
    assert all(len(attempts) == 1 for attempts in study.attempts())
