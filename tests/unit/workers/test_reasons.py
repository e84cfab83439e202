"""What is said of attempts that were lost or failed, and of clusters that are of no use."""

import asyncio
import subprocess
from typing import Any, cast

import pytest

from cimsearch.workers import limits
from cimsearch.workers.executor import Demands, Event
from cimsearch.workers.gone import cannot_begin, died, died_of
from cimsearch.workers.limits import Watch, _gigabytes, _hold, was_stopped
from cimsearch.workers.order import Order
from cimsearch.workers.shim import run_attempt

ADDRESS = "tcp://127.0.0.1:1"


def test_lost_attempts_name_their_worker() -> None:
    assert died(ADDRESS) == f"KilledWorker: the worker at {ADDRESS} died"
    text = died_of(ADDRESS, OSError("two\n  lines"))
    assert text == f"KilledWorker: the worker at {ADDRESS} died: OSError: two lines"


@pytest.mark.parametrize(
    ("error", "unable"),
    [
        (ModuleNotFoundError("No module named 'cimsearch'"), True),
        (AttributeError("module has no attribute 'work'"), True),
        (RuntimeError("Error during deserialization of the task graph.\nSee"), True),
        (RuntimeError("another"), False),
        (OSError("a disk"), False),
    ],
)
def test_a_cluster_without_cimsearch_is_told(error: Exception, unable: bool) -> None:
    told = cannot_begin(ADDRESS, error)
    assert (told is not None) is unable
    assert told is None or "\n" not in told.message


@pytest.mark.parametrize(
    ("memory_bytes", "text"),
    [(2_000_000_000, "2.0"), (2_500_000_000, "2.5"), (250_000_000, "0.25"), (10**10, "10.0")],
)
def test_memory_is_told_as_the_study_says_it(memory_bytes: int, text: str) -> None:
    assert _gigabytes(memory_bytes) == text


def test_only_limits_stop_a_job() -> None:
    assert was_stopped(Event("t", "failed", reason="time limit: ran longer than 1 s"))
    assert was_stopped(Event("t", "failed", reason="memory limit: held more than 2.0 GB"))
    assert not was_stopped(Event("t", "failed", reason="ValueError: time limit: 3"))
    assert not was_stopped(Event("t", "lost", reason=died(ADDRESS)))


def test_a_worker_that_dies_is_not_watched_any_more() -> None:
    nobody = cast("Any", None)  # there is nothing to tell

    async def watch_and_kill() -> None:
        process = subprocess.Popen(["sleep", "60"])
        watch = Watch("t", "topic", process.pid, Demands(time_s=50.0))
        limits._watches["t"] = watching = asyncio.create_task(_hold(watch, nobody))
        await asyncio.sleep(0.2)
        assert not watching.done()
        process.kill()
        process.wait()
        await asyncio.wait_for(watching, 10.0)

    asyncio.run(watch_and_kill())
    assert "t" not in limits._watches


def test_long_texts_are_cut() -> None:
    def run(payload: bytes, on_report: object) -> bytes:
        raise ValueError("x" * 100_000)

    told: list[Event] = []
    event = run_attempt("t", b"", run, told.append)
    assert not told
    assert event.kind == "failed"
    assert len(event.reason) < 3000


def test_an_order_survives_json() -> None:
    order = Order(1, 2, {"GPU": 1.0}, "/tmp/x", ("", "/a b"), ("a.module",))
    assert "\n" not in order.to_json()
    assert Order.from_json(order.to_json()) == order
