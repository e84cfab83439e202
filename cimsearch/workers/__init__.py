"""Executors: where evaluations run, and the shim that a worker runs."""

from cimsearch.workers.executor import Event, Executor
from cimsearch.workers.inline import InlineExecutor

__all__ = ["Event", "Executor", "InlineExecutor", "connect"]


def connect(*, workers: int, address: str | None = None) -> Executor:
    """Return a dask executor: ``workers`` local processes, or the scheduler at ``address``.

    Raises:
        WorkerError: The scheduler cannot be reached.
    """
    from cimsearch.workers.dask import DaskExecutor

    return DaskExecutor(workers=workers, address=address)
