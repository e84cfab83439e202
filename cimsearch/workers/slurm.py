"""Workers from Slurm: a dask scheduler in this process, and a job for each worker."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cimsearch.errors import WorkerError
from cimsearch.spec.execution import Slurm
from cimsearch.workers.settings import set_up_dask

if TYPE_CHECKING:
    from cimsearch.workers.slurm_jobs import WorkerJobs

EXAMPLE = "cluster: {slurm: {memory_gb: 4, wall_time: 04:00:00}}"
"""The least that a study says of its jobs."""

_CLOSE_S = 30
_COMMANDS = ("sbatch", "squeue", "scancel")


class SlurmWorkers:
    """The workers of one orchestrator and their scheduler; made by ``slurm_cluster``.

    Attributes:
        scheduler_address: Where clients and workers reach the scheduler: ``tcp://host:port``.
    """

    def __init__(self, jobs: "WorkerJobs") -> None:
        self._jobs = jobs
        self.scheduler_address = str(jobs.scheduler_address)

    def check(self) -> None:
        """Check that jobs still become workers.

        Raises:
            WorkerError: Slurm takes no more jobs, or they end before their worker comes.
        """
        if self._jobs.problem:
            raise _useless(self._jobs.problem)

    def close(self) -> None:
        """Cancel the jobs and stop the scheduler."""
        self._jobs.close(timeout=_CLOSE_S)


def slurm_cluster(
    slurm: Slurm | None,
    *,
    workers: int,
    resources: Mapping[str, float],
    poll_s: float = 30.0,
) -> SlurmWorkers:
    """Submit a job for each worker and keep so many in Slurm's queue until closed.

    Workers come when Slurm starts their jobs; logs are in ``slurm-logs`` below the working
    directory.

    Args:
        slurm: What each job asks for; ``cluster.slurm`` of the study.
        workers: How many jobs.
        resources: What each worker declares, by name.
        poll_s: Seconds between two looks at Slurm's queue.

    Raises:
        WorkerError: The study has no such section, Slurm or dask-jobqueue is not there, or
            Slurm refuses the jobs.
    """
    if slurm is None:
        raise WorkerError(
            "the study does not say what Slurm is to be asked for", f"add to it: {EXAMPLE}"
        )
    _require_commands()
    try:
        from cimsearch.workers.slurm_jobs import LOGS, SlurmCommandError, WorkerJobs, options_of
    except ImportError as error:
        raise WorkerError(
            f"the library of Slurm jobs is not installed: {error}",
            "pip install 'cimsearch[slurm]'",
        ) from error
    Path(LOGS).mkdir(exist_ok=True)
    set_up_dask()
    jobs = WorkerJobs(
        poll_s=poll_s,
        scheduler_options={"dashboard": False, "dashboard_address": ":0"},
        **options_of(slurm, resources),
    )
    try:
        jobs.begin(workers)
    except SlurmCommandError as error:
        jobs.close(timeout=_CLOSE_S)
        raise _useless(str(error)) from error
    return SlurmWorkers(jobs)


def _require_commands() -> None:
    missing = [command for command in _COMMANDS if shutil.which(command) is None]
    if missing:
        raise WorkerError(
            f"Slurm is not on this machine: no {', '.join(missing)} in PATH",
            "launch on a login node or in a job, or give --cluster tcp://host:8786",
        )


def _useless(problem: str) -> WorkerError:
    return WorkerError(
        f"no workers from Slurm: {problem}",
        "see slurm-logs and cluster.slurm of the study; go on with `cimsearch resume`",
    )
