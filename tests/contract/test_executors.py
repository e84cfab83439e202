"""What every executor does: with jobs of the tests, and with real evaluations."""

from collections.abc import Iterator

import pytest

from cimsearch.errors import WorkerError
from cimsearch.evaluate import Score
from cimsearch.evaluate.report import Report
from cimsearch.workers import Executor, InlineExecutor, connect, connection
from tests.golden.test_contracts import a_job
from tests.unit.workers.driving import all_of, end_of, wait_for_slots
from tests.unit.workers.jobs import job, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["inline", "dask"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    made = InlineExecutor(run) if request.param == "inline" else connect(workers=1, run=run)
    yield made
    made.close()


@pytest.fixture(scope="module", params=["inline", "dask"])
def evaluator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Executor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        made = InlineExecutor() if request.param == "inline" else connect(workers=1)
    yield made
    made.close()


def test_a_job_comes_back_as_a_score(evaluator: Executor) -> None:
    wait_for_slots(evaluator)
    evaluator.submit("good", a_job().to_json().encode())
    assert evaluator.free_slots() == 0
    events = all_of(evaluator, "good")
    end = events.pop()
    assert end.kind == "done", end.reason
    score = Score.from_json(end.payload.decode())
    assert len(score.accuracy_per_chip) == 2
    assert end.worker
    assert evaluator.free_slots() == 1
    assert events
    assert {(event.token, event.kind) for event in events} == {("good", "progress")}
    assert Report.from_json(events[0].payload.decode()).epochs > 0
    assert {event.worker for event in events} == {end.worker}


def test_what_fails_comes_back_with_its_reason(evaluator: Executor) -> None:
    wait_for_slots(evaluator)
    evaluator.submit("bad", b'{"schema": "nonsense"}')
    event = end_of(evaluator, "bad")
    assert event.kind == "failed"
    assert "job schema is 'nonsense'" in event.reason
    assert evaluator.free_slots() == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("plain", "ValueError: wrong (jobs.py:"),
        ("unpicklable", "UnpicklableError: (its text cannot be told) (jobs.py:"),
        ("exit", "SystemExit: 3 (jobs.py:"),
    ],
)
def test_whatever_a_job_raises_is_a_reason(executor: Executor, kind: str, reason: str) -> None:
    wait_for_slots(executor)
    executor.submit(kind, job("raise", kind=kind))
    event = end_of(executor, kind)
    assert event.kind == "failed"
    assert event.reason.startswith(reason)
    executor.submit("after", job("echo", text="still here"))
    assert end_of(executor, "after").payload == b"still here"


def test_nothing_happens_without_jobs(executor: Executor) -> None:
    assert executor.events(0.01) == []


def test_progress_comes_at_most_once_a_second_and_before_the_end(executor: Executor) -> None:
    wait_for_slots(executor)
    executor.submit("told", job("report", times=25, pause_s=0.05))
    *progress, end = all_of(executor, "told")
    assert (end.kind, end.payload) == ("done", b"reported")
    assert {event.kind for event in progress} == {"progress"}
    epochs = [Report.from_json(event.payload.decode()).epoch for event in progress]
    assert epochs[0] == 0
    assert len(epochs) == 2
    assert epochs[1] >= 15


def test_a_cancelled_job_tells_nothing(executor: Executor) -> None:
    wait_for_slots(executor)
    executor.submit("unwanted", job("echo"))
    executor.cancel("unwanted", reason="a test")
    wait_for_slots(executor)
    executor.submit("wanted", job("echo"))
    assert end_of(executor, "wanted").kind == "done"


def test_cancelling_what_has_ended_does_nothing(executor: Executor) -> None:
    wait_for_slots(executor)
    executor.submit("ended", job("echo"))
    end_of(executor, "ended")
    executor.cancel("ended", reason="a test")
    executor.cancel("unknown", reason="a test")
    assert executor.free_slots() == 1
    assert executor.events(0.01) == []


def test_an_address_without_a_scheduler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_CONNECT_S", 1)
    with pytest.raises(WorkerError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9"):
        connect(workers=1, address="tcp://127.0.0.1:9")


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(WorkerError, match=r"no dask scheduler answers at nonsense://x"):
        connect(workers=1, address="nonsense://x")
