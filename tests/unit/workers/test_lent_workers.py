"""Workers of a dask cluster that others have started, with schedulers and nannies of its own."""

import importlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cimsearch.errors import WorkerError
from cimsearch.workers import Demands, Executor, connect
from tests.unit.workers.driving import (
    Lent,
    all_of,
    end_of,
    gone,
    lent,
    pid_in,
    wait_for_slots,
    wait_until,
)
from tests.unit.workers.jobs import job, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lent]:
    """Give a cluster of two workers; one declares a GPU."""
    with lent(tmp_path_factory.mktemp("cluster")) as made:
        made.add_worker()
        made.add_worker("--resources", "GPU=1")
        yield made


def joined(cluster: Lent, demands: Demands | None = None) -> Executor:
    return connect(workers=1, address=cluster.address, demands=demands, run=run)


def test_a_scheduler_at_an_address_is_used(cluster: Lent) -> None:
    executor = joined(cluster)
    try:
        wait_for_slots(executor, 2)
        executor.submit("far", job("echo", text="far"))
        assert end_of(executor, "far").payload == b"far"
    finally:
        executor.close()


def test_jobs_go_only_where_their_resources_are(cluster: Lent, tmp_path: Path) -> None:
    executor = joined(cluster, Demands(resources={"GPU": 1.0}))
    try:
        wait_for_slots(executor)
        assert executor.free_slots() == 1
        pids = set()
        for number in range(3):
            mark = tmp_path / f"{number}"
            executor.submit(mark.name, job("sleep", seconds=0.1, mark=str(mark)))
            assert executor.free_slots() == 0
            assert end_of(executor, mark.name).kind == "done"
            pids.add(pid_in(mark))
        assert len(pids) == 1
    finally:
        executor.close()


def test_resources_that_nobody_declares_give_no_slot(cluster: Lent) -> None:
    executor = joined(cluster, Demands(resources={"GPU": 2.0}))
    try:
        assert executor.free_slots() == 0
        assert executor.events(0.5) == []
    finally:
        executor.close()


@pytest.mark.parametrize("what", ["sleep", "stuck"])
def test_closing_stops_what_runs(cluster: Lent, tmp_path: Path, what: str) -> None:
    executor = joined(cluster)
    try:
        wait_for_slots(executor, 2)
        executor.submit("left", job(what, seconds=60, mark=str(tmp_path / "left")))
        pid = pid_in(tmp_path / "left")
    finally:
        executor.close()
    wait_until(lambda: gone(pid), timeout_s=10)
    assert cluster.scheduler.poll() is None


def test_limits_hold_on_lent_workers(cluster: Lent) -> None:
    executor = joined(cluster, Demands(time_s=1.0, memory_bytes=300_000_000))
    try:
        wait_for_slots(executor, 2)
        executor.submit("long", job("stuck", seconds=60))
        executor.submit("large", job("hold", megabytes=500, seconds=60))
        reasons = {event.token: event.reason for event in all_of(executor, "long", "large")}
        assert reasons == {
            "long": "time limit: ran longer than 1 s",
            "large": "memory limit: held more than 0.3 GB",
        }
    finally:
        executor.close()


ORPHAN = """
import sys, time
from cimsearch.workers import connect
from tests.unit.workers.jobs import job, run
executor = connect(workers=1, address=sys.argv[1], run=run)
while not executor.free_slots():
    time.sleep(0.05)
executor.submit("orphan", job("sleep", seconds=120, mark=sys.argv[2]))
while True:
    executor.events(1.0)
"""


def test_what_a_dead_orchestrator_ran_is_stopped(cluster: Lent, tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    orchestrator = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, cluster.address, str(tmp_path / "orphan")], cwd=root
    )
    pid = pid_in(tmp_path / "orphan")
    orchestrator.send_signal(signal.SIGKILL)
    orchestrator.wait()
    wait_until(lambda: gone(pid), timeout_s=20)


def test_a_killed_nanny_loses_its_attempt_alone(tmp_path: Path) -> None:
    with lent(tmp_path) as cluster:
        nannies = [cluster.add_worker(), cluster.add_worker()]
        executor = joined(cluster)
        try:
            wait_for_slots(executor, 2)
            executor.submit("stuck", job("stuck", seconds=60, mark=str(tmp_path / "stuck")))
            executor.submit("other", job("sleep", seconds=2))
            pid = pid_in(tmp_path / "stuck")
            nanny = psutil.Process(pid).parent()
            assert nanny is not None
            assert nanny.pid in [process.pid for process in nannies]
            nanny.kill()
            ends = {event.token: event for event in all_of(executor, "stuck", "other")}
            assert ends["stuck"].kind == "lost"
            assert ends["stuck"].reason.startswith("KilledWorker: the worker at tcp://127.0.0.1:")
            assert ends["other"].kind == "done"
            wait_until(lambda: gone(pid), timeout_s=10)
            wait_until(lambda: executor.free_slots() == 1)
        finally:
            executor.close()


def test_a_scheduler_that_dies_is_an_error_after_its_attempts(tmp_path: Path) -> None:
    with lent(tmp_path) as cluster:
        cluster.add_worker()
        executor = joined(cluster)
        try:
            wait_for_slots(executor)
            executor.submit("doomed", job("sleep", seconds=60, mark=str(tmp_path / "doomed")))
            pid = pid_in(tmp_path / "doomed")
            cluster.scheduler.kill()
            event = end_of(executor, "doomed")
            assert (event.kind, event.reason) == ("interrupted", "its scheduler is gone")
            for ask in (executor.free_slots, lambda: executor.events(0.1)):
                with pytest.raises(WorkerError, match="the dask scheduler is gone") as caught:
                    ask()
                assert "cimsearch resume" in caught.value.hint
            wait_until(lambda: gone(pid), timeout_s=30)
        finally:
            executor.close()


def test_workers_that_nobody_can_stop_are_not_used(tmp_path: Path) -> None:
    with lent(tmp_path) as cluster:
        cluster.add_worker("--no-nanny")
        executor = joined(cluster)
        try:
            cluster.add_worker()
            wait_for_slots(executor)
            wait_until(lambda: workers_known(executor) == 2)
            assert executor.free_slots() == 1
        finally:
            executor.close()


def workers_known(executor: Executor) -> int:
    from cimsearch.workers.dask import DaskExecutor

    assert isinstance(executor, DaskExecutor)
    return len(executor._connection.slots(0.0))


def test_a_worker_that_takes_the_address_of_another_runs_nothing_twice(tmp_path: Path) -> None:
    with lent(tmp_path) as cluster:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        cluster.add_worker("--worker-port", f"{port}")
        executor = joined(cluster)
        try:
            wait_for_slots(executor)
            executor.submit("doomed", job("sleep", seconds=60, mark=str(tmp_path / "doomed")))
            psutil.Process(pid_in(tmp_path / "doomed")).kill()
            event = end_of(executor, "doomed")
            assert event.kind == "lost"
            assert event.reason.startswith(f"KilledWorker: the worker at tcp://127.0.0.1:{port} ")
            (tmp_path / "doomed").unlink()
            wait_for_slots(executor)
            executor.submit("next", job("echo"))
            assert end_of(executor, "next").kind == "done"
            assert not (tmp_path / "doomed").exists()
        finally:
            executor.close()


def test_workers_that_cannot_run_jobs_are_an_error(
    cluster: Lent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def run(payload, on_report): ...", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    only_here = importlib.import_module("only_here")
    executor = connect(workers=1, address=cluster.address, run=only_here.run)
    try:
        wait_for_slots(executor)
        executor.submit("strange", job("echo"))
        assert end_of(executor, "strange").kind == "interrupted"
        with pytest.raises(WorkerError, match="cannot run jobs: RuntimeError") as caught:
            executor.events(0.1)
        assert "install this version of cimsearch" in caught.value.hint
    finally:
        executor.close()


def test_a_worker_that_works_for_others_gives_no_slot(cluster: Lent, tmp_path: Path) -> None:
    first, second = joined(cluster), joined(cluster)
    try:
        wait_for_slots(first, 2)
        first.submit("mine", job("sleep", seconds=60, mark=str(tmp_path / "mine")))
        pid_in(tmp_path / "mine")
        wait_until(lambda: second.free_slots() == 1)
        assert first.free_slots() == 1
        first.cancel("mine", reason="a test")
        wait_for_slots(second, 2)
    finally:
        first.close()
        second.close()


class Started:
    """A cluster that was started for an executor, of workers that stop coming."""

    def __init__(self, address: str) -> None:
        self.scheduler_address = address
        self.problem = ""
        self.closed = False

    def check(self) -> None:
        if self.problem:
            raise WorkerError(self.problem)

    def close(self) -> None:
        self.closed = True


def test_a_cluster_that_gives_no_more_workers_is_an_error_after_all_ends(cluster: Lent) -> None:
    from cimsearch.workers.dask import DaskExecutor

    started = Started(cluster.address)
    executor = DaskExecutor(workers=2, cluster=started, run=run)
    try:
        wait_for_slots(executor, 2)
        executor.submit("first", job("sleep", seconds=1))
        executor.submit("second", job("sleep", seconds=1))
        executor.submit("waits", job("echo"))
        started.problem = "no more workers"
        ends = {event.token: event.kind for event in all_of(executor, "first", "second", "waits")}
        assert ends == {"first": "done", "second": "done", "waits": "interrupted"}
        for ask in (executor.free_slots, lambda: executor.events(0.1)):
            with pytest.raises(WorkerError, match="no more workers"):
                ask()
    finally:
        executor.close()
    assert started.closed
