"""What every executor does, on real evaluations."""

import time
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from cimsearch.errors import WorkerError
from cimsearch.evaluate import Score
from cimsearch.workers import Event, Executor, InlineExecutor, connect
from tests.golden.test_contracts import a_job

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["inline", "dask"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    made = InlineExecutor() if request.param == "inline" else connect(workers=1)
    yield made
    made.close()


def ended(executor: Executor, token: str, timeout_s: float = 90.0) -> Event:
    limit = time.monotonic() + timeout_s
    while time.monotonic() < limit:
        for event in executor.events(1.0):
            assert event.token == token
            return event
    raise AssertionError(f"attempt {token} never ended")


def wait_for_slot(executor: Executor) -> None:
    limit = time.monotonic() + 60
    while not executor.free_slots():
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_a_job_comes_back_as_a_score(executor: Executor) -> None:
    wait_for_slot(executor)
    executor.submit("good", a_job().to_json().encode())
    assert executor.free_slots() == 0
    event = ended(executor, "good")
    assert event.kind == "done", event.reason
    score = Score.from_json(event.payload.decode())
    assert len(score.accuracy_per_chip) == 2
    assert event.worker
    assert executor.free_slots() == 1


def test_what_fails_comes_back_with_its_reason(executor: Executor) -> None:
    wait_for_slot(executor)
    executor.submit("bad", b'{"schema": "nonsense"}')
    event = ended(executor, "bad")
    assert event.kind == "failed"
    assert "job schema is 'nonsense'" in event.reason
    assert executor.free_slots() == 1


def test_nothing_happens_without_jobs(executor: Executor) -> None:
    assert executor.events(0.01) == []


def test_a_dying_worker_loses_its_attempt_and_is_replaced() -> None:
    executor = connect(workers=1)
    try:
        before = processes()
        long = a_job()
        long = replace(long, recipe=long.recipe.model_copy(update={"parent_epochs": 500}))
        executor.submit("doomed", long.to_json().encode())
        time.sleep(1.0)
        for process in before:
            process.kill()
        event = ended(executor, "doomed")
        assert event.kind == "lost"
        assert "KilledWorker" in event.reason
        wait_for_slot(executor)
        executor.submit("next", a_job().to_json().encode())
        assert ended(executor, "next").kind == "done"
    finally:
        executor.close()


def processes() -> list[psutil.Process]:
    """Return the live worker processes of this test process."""
    children = psutil.Process().children(recursive=True)
    found = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    assert found
    return found


def test_an_address_without_a_scheduler_is_told() -> None:
    with pytest.raises(WorkerError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9"):
        connect(workers=1, address="tcp://127.0.0.1:9")


def test_a_scheduler_at_an_address_is_used(dask_address: str) -> None:
    executor = connect(workers=1, address=dask_address)
    try:
        wait_for_slot(executor)
        executor.submit("far", a_job().to_json().encode())
        assert ended(executor, "far").kind == "done"
    finally:
        executor.close()


def test_a_scheduler_that_dies_is_an_error_of_ours() -> None:
    from distributed import LocalCluster

    cluster = LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    )
    executor = connect(workers=1, address=str(cluster.scheduler_address))
    wait_for_slot(executor)
    cluster.close()
    time.sleep(1.0)
    with pytest.raises(WorkerError, match="the dask scheduler is gone") as caught:
        executor.free_slots()
    assert "cimsearch resume" in caught.value.hint
    executor.close()


@pytest.fixture
def dask_address() -> Iterator[str]:
    """Return the address of a scheduler that this test, not the executor, has started."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as cluster:
        yield str(cluster.scheduler_address)
