"""What dask runs for an attempt, in a thread of its worker."""

import os
import threading
import time
from functools import cache

from distributed import Worker, get_worker
from distributed.core import Status

from cimsearch.errors import WorkerError
from cimsearch.evaluate.version import sources_hash
from cimsearch.workers.executor import Demands, message_of
from cimsearch.workers.limits import Watch, held
from cimsearch.workers.mortal import die_with_parent
from cimsearch.workers.shim import Run, name_of, run_attempt, unfit

_LOOK_S = 1.0
_LEAVING = (Status.closing, Status.closed, Status.failed)


def key_of(token: str) -> str:
    """Return the name that an attempt has in dask."""
    return f"attempt-{token}"


def work(
    token: str, payload: bytes, *, home: str, code: str, topic: str, run: Run, demands: Demands
) -> None:
    """Run an attempt and tell how far it is and how it ended.

    What is told goes by the scheduler to the executor at once. A result that dask kept here would
    die with this worker, and dask would run the job again to have it.

    Args:
        token: The attempt's token.
        payload: The job.
        home: Directory of the worker that it was given to.
        code: Hash of the orchestrator's sources, under which it keeps the score.
        topic: Where the executor listens.
        run: What evaluates the job.
        demands: Its limits.

    Raises:
        WorkerError: This is another worker, which took the address of the one it was given to.
        UnfitError: This worker has other sources, or lacks what jobs need.
    """
    worker = get_worker()
    if worker.local_directory != home:
        raise WorkerError(f"the worker that was at {worker.address} has gone")
    if sources_hash() != code:
        raise unfit(name_of(os.getpid()), "it has other sources of cimsearch")
    _begin_process(worker)
    key = key_of(token)
    _keys.add(key)
    try:
        with held(worker, Watch(token, topic, os.getpid(), demands)):
            event = run_attempt(
                token, payload, run, lambda event: worker.log_event(topic, message_of(event))
            )
    finally:
        _keys.discard(key)
    worker.log_event(topic, message_of(event))


# In the worker's process: what runs, by its name in dask.
_keys: set[str] = set()


@cache
def _begin_process(worker: Worker) -> None:
    """Have this process end with its nanny, and when nobody waits for what it runs; once."""
    die_with_parent()
    threading.Thread(target=_watch_for_abandonment, args=(worker,), daemon=True).start()


def _watch_for_abandonment(worker: Worker) -> None:
    """End this process if a job runs that nobody waits for: executor or scheduler have died.

    dask forgets the job then, yet its thread would run on and hold up those that follow.
    """
    while True:
        time.sleep(_LOOK_S)
        for key in tuple(_keys):
            task = worker.state.tasks.get(key)
            forgotten = task is None or task.state in ("cancelled", "resumed")
            if (forgotten or worker.status in _LEAVING) and key in _keys:
                os._exit(1)
