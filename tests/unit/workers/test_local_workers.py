"""Local workers and their jobs: killed, stuck, beyond a limit, unwanted, too many."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cimsearch.workers import Demands, Event, Executor, connect
from tests.unit.workers.driving import all_of, end_of, gone, pid_in, wait_for_slots, wait_until
from tests.unit.workers.jobs import job, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def free_pair() -> Iterator[Executor]:
    executor = connect(workers=2, demands=Demands(resources={"GPU": 1.0}), run=run)
    yield executor
    executor.close()


@pytest.fixture
def executor(free_pair: Executor) -> Executor:
    """Give two workers without limits, which declare what is asked for."""
    wait_for_slots(free_pair, 2)
    return free_pair


@pytest.fixture(scope="module")
def limited_pair() -> Iterator[Executor]:
    executor = connect(workers=2, demands=Demands(time_s=1.5, memory_bytes=300_000_000), run=run)
    yield executor
    executor.close()


@pytest.fixture
def limited(limited_pair: Executor) -> Executor:
    """Give two workers whose jobs have limits."""
    wait_for_slots(limited_pair, 2)
    return limited_pair


def test_a_killed_worker_loses_its_attempt_alone(executor: Executor, tmp_path: Path) -> None:
    executor.submit("doomed", job("sleep", seconds=60, mark=str(tmp_path / "doomed")))
    executor.submit("other", job("sleep", seconds=1))
    psutil.Process(pid_in(tmp_path / "doomed")).kill()
    ends = {event.token: event for event in all_of(executor, "doomed", "other")}
    assert ends["doomed"].kind == "lost"
    assert ends["doomed"].reason.startswith("KilledWorker: the worker at tcp://127.0.0.1:")
    assert ends["doomed"].reason.endswith(" died")
    assert ends["other"].kind == "done"
    wait_for_slots(executor, 2)


def test_a_worker_that_leaves_by_itself_is_lost(executor: Executor) -> None:
    executor.submit("leaves", job("die"))
    assert end_of(executor, "leaves").kind == "lost"
    wait_for_slots(executor, 2)


@pytest.mark.parametrize("what", ["sleep", "stuck"])
def test_the_time_limit_stops_code_and_others_go_on(
    limited: Executor, tmp_path: Path, what: str
) -> None:
    began = time.monotonic()
    limited.submit("endless", job(what, seconds=60, mark=str(tmp_path / "endless")))
    limited.submit("short", job("sleep", seconds=0.1))
    assert end_of(limited, "short").kind == "done"
    pid = pid_in(tmp_path / "endless")
    event = end_of(limited, "endless")
    assert time.monotonic() - began >= 1.5
    assert event.kind == "failed"
    assert event.reason == "time limit: ran longer than 1.5 s"
    assert event.worker.endswith(f":{pid}")
    wait_until(lambda: gone(pid))
    wait_for_slots(limited, 2)
    limited.submit("next", job("echo"))
    assert end_of(limited, "next").kind == "done"


def test_the_memory_limit_stops_code(limited: Executor) -> None:
    limited.submit("small", job("hold", megabytes=10, seconds=0.3))
    assert end_of(limited, "small").kind == "done"
    limited.submit("large", job("hold", megabytes=500, seconds=60))
    event = end_of(limited, "large")
    assert event.kind == "failed"
    assert event.reason == "memory limit: held more than 0.3 GB"


def test_a_limit_does_not_outlive_its_job(limited: Executor) -> None:
    workers = set()
    for number in range(6):
        limited.submit(f"{number}", job("sleep", seconds=0.4))
        event = end_of(limited, f"{number}")
        assert event.kind == "done"
        workers.add(event.worker)
    assert len(workers) <= 2


def test_jobs_that_end_near_their_limit_end_once(limited: Executor) -> None:
    waiting = [f"{number}" for number in range(8)]
    found: dict[str, Event] = {}
    while len(found) < 8:
        while waiting and limited.free_slots():
            seconds = 1.36 + 0.04 * (len(waiting) % 4)
            limited.submit(waiting.pop(), job("sleep", seconds=seconds))
        for event in limited.events(1.0):
            assert event.token not in found
            found[event.token] = event
    ends = {event.kind: event.reason for event in found.values()}
    assert ends.keys() <= {"done", "failed"}
    assert ends.get("failed", "time limit").startswith("time limit")


@pytest.mark.parametrize("what", ["sleep", "stuck"])
def test_a_cancelled_job_stops_for_real(executor: Executor, tmp_path: Path, what: str) -> None:
    executor.submit("unwanted", job(what, seconds=60, mark=str(tmp_path / "unwanted")))
    executor.submit("other", job("sleep", seconds=1))
    pid = pid_in(tmp_path / "unwanted")
    executor.cancel("unwanted", reason="a test")
    wait_until(lambda: gone(pid))
    assert end_of(executor, "other").kind == "done"
    wait_for_slots(executor, 2)
    assert executor.events(0.5) == []


def test_a_result_of_a_cancelled_job_is_dropped(executor: Executor, tmp_path: Path) -> None:
    executor.submit("fast", job("sleep", seconds=0.1, mark=str(tmp_path / "fast")))
    pid_in(tmp_path / "fast")
    # Its answer comes in meanwhile, and is not asked for until after.
    time.sleep(0.5)
    executor.cancel("fast", reason="a test")
    assert executor.events(0.5) == []
    wait_for_slots(executor, 2)
    executor.submit("next", job("echo"))
    assert end_of(executor, "next").kind == "done"


def test_progress_of_a_cancelled_job_is_dropped(executor: Executor) -> None:
    executor.submit("told", job("report", times=100, pause_s=0.1))
    wait_until(lambda: bool(executor.events(0.1)))
    executor.cancel("told", reason="a test")
    assert executor.events(1.5) == []


def test_workers_import_no_more_than_their_jobs_need(executor: Executor) -> None:
    executor.submit("look", job("modules"))
    found = set(json.loads(end_of(executor, "look").payload))
    assert "distributed" in found
    assert not {"torch", "cimsearch.workers.preloaded"} & found


def test_a_job_that_prints_much_is_not_held_up(executor: Executor) -> None:
    executor.submit("talks", job("print", characters=1_000_000))
    assert end_of(executor, "talks").kind == "done"


def test_more_jobs_than_slots_wait_their_turn(executor: Executor) -> None:
    for token in "abcde":
        executor.submit(token, job("echo", text=token))
    assert executor.free_slots() == 0
    executor.cancel("e", reason="a test")
    events = all_of(executor, *"abcd")
    assert sorted(event.payload for event in events) == [b"a", b"b", b"c", b"d"]
    assert executor.events(0.2) == []
