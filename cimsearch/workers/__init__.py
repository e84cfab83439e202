"""Executors: where evaluations run, and the shim that a worker runs."""

from typing import TYPE_CHECKING

from cimsearch.errors import WorkerError
from cimsearch.workers.executor import Demands, Event, Executor
from cimsearch.workers.inline import InlineExecutor

if TYPE_CHECKING:
    from cimsearch.spec.execution import Slurm
    from cimsearch.workers.shim import Run

__all__ = ["Demands", "Event", "Executor", "InlineExecutor", "connect"]


def connect(
    *,
    workers: int,
    address: str | None = None,
    demands: Demands | None = None,
    slurm: "Slurm | None" = None,
    run: "Run | None" = None,
) -> Executor:
    """Return a dask executor: local workers, or those of a cluster.

    It is connected at once; its workers come when they are ready.

    Args:
        workers: How many worker processes to start.
        address: A dask scheduler's address (``tcp://host:port``) whose workers to use instead, or
            ``slurm`` to have Slurm start them.
        demands: What each job takes of its worker.
        slurm: What to ask of Slurm.
        run: What evaluates a job, instead of ``cimsearch.evaluate``; workers must be able to
            import it.

    Raises:
        WorkerError: Workers cannot be started, or the scheduler not reached.
    """
    from cimsearch.workers.dask import DaskExecutor
    from cimsearch.workers.shim import run_job

    demands, run = demands or Demands(), run or run_job
    if address != "slurm":
        return DaskExecutor(workers=workers, address=address, demands=demands, run=run)
    from cimsearch.workers.slurm import slurm_cluster

    cluster = slurm_cluster(slurm, workers=workers, resources=demands.resources)
    try:
        return DaskExecutor(workers=workers, cluster=cluster, demands=demands, run=run)
    except WorkerError:
        cluster.close()
        raise
