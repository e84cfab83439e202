"""Limits of a job, held by the nanny of its worker.

The nanny is another process: what a job does to its own, in C code or without letting go of the
interpreter's lock, does not keep it from looking and from killing. It is told when a job begins
and ends; having decided to stop one, it lets no other begin.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil
from distributed import Nanny, Worker
from distributed.protocol.pickle import dumps
from distributed.utils import sync

from cimsearch.errors import WorkerError
from cimsearch.workers.executor import Demands, Event, message_of
from cimsearch.workers.mortal import kill_tree
from cimsearch.workers.shim import name_of

_TIME = "time limit: "
_MEMORY = "memory limit: "
_LOOK_S = 0.1
_TELL_S = 5.0


@dataclass(frozen=True, slots=True)
class Watch:
    """What a nanny watches.

    Attributes:
        token: The attempt's token.
        topic: Where the executor listens.
        pid: The worker's process.
        demands: The limits.
    """

    token: str
    topic: str
    pid: int
    demands: Demands


@contextmanager
def held(worker: Worker, watch: Watch) -> Iterator[None]:
    """Hold a job to its limits, if it has any; in the worker, around the job.

    Raises:
        WorkerError: The nanny does not answer.
    """
    if watch.demands.time_s is None and watch.demands.memory_bytes is None:
        yield
        return
    _ask(worker, _begin, watch)
    try:
        yield
    finally:
        if not _ask(worker, _end, watch.token):
            threading.Event().wait()  # it was decided before: the nanny kills this process


def _ask(worker: Worker, function: Callable[..., Any], argument: object) -> Any:
    async def ask() -> Any:
        nanny: Any = worker.rpc(str(worker.nanny))
        answer = await nanny.run(function=dumps(function), args=dumps((argument,)))
        if answer["status"] != "OK":
            raise WorkerError(f"the nanny of {worker.address} does not hold limits: {answer}")
        return answer["result"]

    return sync(worker.loop, ask)


# In the nanny's process, by token.
_watches: dict[str, asyncio.Task[None]] = {}


def _begin(watch: Watch, dask_worker: Nanny) -> None:
    _watches[watch.token] = asyncio.create_task(_hold(watch, dask_worker))


def _end(token: str) -> bool:
    """Stop watching; return False if it has been decided to stop the job."""
    task = _watches.pop(token, None)
    if task is None:
        return False
    task.cancel()
    return True


async def _hold(watch: Watch, nanny: Nanny) -> None:
    begun_s = time.monotonic()
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(watch.pid)
        while (reason := _beyond(watch.demands, begun_s, process)) is None:
            await asyncio.sleep(_LOOK_S)
        _watches.pop(watch.token)
        event = Event(watch.token, "failed", reason=reason, worker=name_of(watch.pid))
        # Told before the scheduler sees the worker die: the first end of an attempt counts.
        with suppress(OSError, TimeoutError):
            telling = nanny.scheduler.log_event(topic=watch.topic, msg=message_of(event))
            await asyncio.wait_for(telling, _TELL_S)
        if process.is_running():
            kill_tree(watch.pid)
        return
    _watches.pop(watch.token, None)


def _beyond(demands: Demands, begun_s: float, process: psutil.Process) -> str | None:
    """Return which limit the job is beyond, if it is.

    Raises:
        psutil.NoSuchProcess: Its worker has died; the number may be another process's by now.
    """
    if not process.is_running():
        raise psutil.NoSuchProcess(process.pid)
    if demands.time_s is not None and time.monotonic() - begun_s > demands.time_s:
        return f"{_TIME}ran longer than {demands.time_s:g} s"
    if demands.memory_bytes is not None and process.memory_info().rss > demands.memory_bytes:
        return f"{_MEMORY}held more than {_gigabytes(demands.memory_bytes)} GB"
    return None


def _gigabytes(memory_bytes: int) -> str:
    """Return a number of 1e9 bytes with at least one decimal."""
    amount = memory_bytes / 1e9
    return max(f"{amount:.1f}", f"{amount:g}", key=len)


def was_stopped(event: Event) -> bool:
    """Return whether the event says that the job went beyond a limit: its worker is killed."""
    return event.kind == "failed" and event.reason.startswith((_TIME, _MEMORY))


def stop_worker(home: str, dask_worker: Nanny) -> None:
    """Kill the worker process that has that directory; its nanny starts another in its place."""
    if dask_worker.worker_dir == home and dask_worker.pid is not None:
        kill_tree(dask_worker.pid)
