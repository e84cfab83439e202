"""The dask executor: a LocalCluster on this machine, or a scheduler at an address.

One task per free slot, so that dask never queues: a worker that dies takes one attempt with it.
dask itself retries nothing; the orchestrator counts attempts.
"""

import logging
import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, Future, LocalCluster, WorkerPlugin
from distributed.comm.core import CommClosedError

from cimsearch.errors import WorkerError
from cimsearch.workers.executor import Event
from cimsearch.workers.shim import event_of, run_job

_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.worker.daemon": True,
    "distributed.logging.distributed": "error",
    "distributed.comm.timeouts.connect": "10s",
}


class _IgnoreInterrupt(WorkerPlugin):
    """Ctrl-C reaches every process of a terminal; workers leave it to the orchestrator."""

    name = "cimsearch-ignore-interrupt"

    def setup(self, worker: Any) -> None:  # noqa: ARG002 - dask's signature
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _local_cluster(workers: int) -> LocalCluster:
    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
    except (OSError, RuntimeError) as error:
        raise WorkerError(
            f"{workers} local workers could not be started: {error}",
            "in a script, launch under `if __name__ == '__main__':`",
        ) from error


def _connect(address: str) -> Client:
    try:
        return Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise WorkerError(
            f"no dask scheduler answers at {address}: {error}",
            "start one with `dask scheduler`, or leave --cluster out",
        ) from error


def _gone(error: Exception | None) -> WorkerError:
    why = f": {error}" if error is not None and str(error) else ""
    return WorkerError(
        f"the dask scheduler is gone{why}",
        "nothing recorded is lost; go on with `cimsearch resume`",
    )


@contextmanager
def _scheduler_answers() -> Iterator[None]:
    """Turn what dask raises when its scheduler dies into an error of ours."""
    try:
        yield
    except (OSError, TimeoutError, CommClosedError) as error:
        raise _gone(error) from error


class DaskExecutor:
    """Runs jobs on dask workers.

    Args:
        workers: How many local worker processes to start, each with one thread.
        address: A scheduler's address (``tcp://host:port``) to use instead.

    Raises:
        WorkerError: Workers cannot be started, or the scheduler at ``address`` not reached.
    """

    def __init__(self, *, workers: int, address: str | None = None) -> None:
        dask.config.set(_SETTINGS)
        self._cluster: LocalCluster | None = None
        if address is None:
            self._cluster = _local_cluster(workers)
            self._client = Client(self._cluster)
            self._client.register_plugin(_IgnoreInterrupt())
        else:
            self._client = _connect(address)
        self._running: dict[str, Future[bytes]] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()

    def free_slots(self) -> int:
        """Return the workers less the jobs that run.

        A worker is one slot whatever its threads: two evaluations in one process would disturb
        each other's thread settings and clocks.
        """
        with _scheduler_answers():
            workers = len(self._client.nthreads())
        return max(0, workers - len(self._running))

    def submit(self, token: str, payload: bytes) -> None:
        """Send the job to a free worker."""
        with _scheduler_answers():
            future = self._client.submit(run_job, payload, key=f"attempt-{token}", pure=False)
        self._running[token] = future
        future.add_done_callback(lambda _: self._ended.put(token))

    def events(self, timeout_s: float) -> list[Event]:
        """Return the attempts that ended; wait up to ``timeout_s`` for the first."""
        events: list[Event] = []
        try:
            events.append(self._event(self._ended.get(timeout=timeout_s)))
            while True:
                events.append(self._event(self._ended.get_nowait()))
        except queue.Empty:
            return events

    def _event(self, token: str) -> Event:
        future = self._running.pop(token)
        if self._client.status not in ("running", "newly-created"):
            raise _gone(None)
        if future.status == "finished":
            return event_of(token, future.result())
        if future.status == "error":
            error = future.exception()
            return Event(token, "lost", reason=f"{type(error).__name__}: {error}")
        return Event(token, "lost", reason=f"the scheduler dropped it ({future.status})")

    def close(self) -> None:
        """Close the connection, and the workers if they are ours."""
        self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close(timeout=5)
