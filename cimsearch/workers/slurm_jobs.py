"""Dask workers as Slurm jobs: what a job's script says, and that there are always enough jobs."""

import asyncio
import math
import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from dask_jobqueue.slurm import SLURMCluster, SLURMJob
from distributed.deploy.cluster import Cluster
from distributed.deploy.spec import ProcessInterface

from cimsearch.spec.execution import Slurm
from cimsearch.workers.environment import worker_environment

LOGS = "slurm-logs"
"""Folder for the logs of workers, below the one that the orchestrator runs in."""

EARLY_ENDS = 5
"""So many jobs in a row that end before their worker has come are no accident."""

_AT_ONCE = 8
"""So many commands are run at a time: Slurm's controller serves others too."""

_GATES: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

_NOT_FOR_WORKERS = (
    "CIMSEARCH_STORAGE|PG*|*PASSWORD*|*PASSWD*|*PASSPHRASE*|*SECRET*|*TOKEN*|*CREDENTIAL*"
)
"""What ``worker_environment`` leaves out, for the shell: the node may bring an environment too."""

_SLURM_OWN = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT", "SLURM_CLUSTERS")
"""Variables that say where Slurm is, and nothing of a job."""

_DRAIN_FRAC = 0.75
_STAGGER_FRAC = 0.1


class SlurmCommandError(RuntimeError):
    """A command of Slurm failed; the message is what it said."""


class WorkerJob(SLURMJob):
    """A job with one worker, submitted without the secrets of the orchestrator."""

    job_id_regexp = r"Submitted batch job (?P<job_id>\d+)"

    async def _submit_job(self, script_filename: str) -> str:
        return await ask_slurm("sbatch", script_filename, environment=job_environment(os.environ))

    async def close(self) -> None:
        """Cancel the job, if it was ever submitted and is still there."""
        if self.job_id:
            with suppress(SlurmCommandError):
                await ask_slurm("scancel", self.job_id)
        # dask_jobqueue leaves this out, and dask then finds a job that was never closed.
        await ProcessInterface.close(self)


class WorkerJobs(SLURMCluster):
    """A scheduler in this process, and as many jobs with a worker each as asked for.

    Slurm's queue says which jobs there are: one that has ended, for whatever reason, is replaced
    by a new one, until several in a row end before their worker has come.

    Attributes:
        problem: Why no more jobs are submitted, or an empty string.
    """

    job_cls = WorkerJob

    def __init__(self, *, poll_s: float, **options: Any) -> None:
        self.problem = ""
        self._poll_s = poll_s
        self._came: set[str] = set()
        self._missing: set[str] = set()
        self._early_ends = 0
        self._closing = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        super().__init__(name="cimsearch", **options)

    def begin(self, workers: int) -> None:
        """Submit the jobs.

        Raises:
            SlurmCommandError: ``sbatch`` refuses one.
        """
        cluster: Any = self
        # `scale` would do the rest in the background, where nobody hears of a refusal.
        while len(cluster.worker_spec) < workers:
            cluster.worker_spec.update(cluster.new_worker_spec())
        cluster.sync(cluster._correct_state)
        cluster.sync(self._begin_to_keep)

    def _update_worker_status(self, op: str, msg: Any) -> None:
        # A worker that is away for a while is being restarted by its nanny: dask's own class
        # would cancel its job.
        if op == "add":
            self._came |= {str(worker["name"]) for worker in msg["workers"].values()}
        Cluster._update_worker_status(self, op, msg)

    async def _begin_to_keep(self) -> None:
        self._keeper = asyncio.create_task(self._keep())

    async def _close(self) -> None:
        self._closing.set()
        if self._keeper is not None:
            await self._keeper
        # All at once: of hundreds of jobs each would take a process of its own.
        jobs = [job for job in self.workers.values() if job.job_id]
        if jobs:
            with suppress(SlurmCommandError):
                await ask_slurm("scancel", *(job.job_id for job in jobs))
        for job in jobs:
            job.job_id = None
        cluster: Any = super()
        await cluster._close()

    async def _keep(self) -> None:
        while not self.problem:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._poll_s)
                return
            await self._replace_ended()

    async def _replace_ended(self) -> None:
        before = dict(self.workers)
        try:
            living = await living_jobs()
        except SlurmCommandError:
            return  # the controller is busy; it is asked again
        missing = {name for name, job in before.items() if job.job_id not in living}
        # A controller that has just started again may not know of a job yet.
        scheduler: Any = self.scheduler
        missing -= {str(worker.name) for worker in scheduler.workers.values()}
        ended = missing & self._missing
        self._missing = missing - ended
        for name in ended:
            self._early_ends = 0 if name in self._came else self._early_ends + 1
            self._came.discard(name)
            job = self.workers.pop(name, None)
            if job is not None:
                job.job_id = None  # there is nothing to cancel
                await job.close()
        if self._early_ends >= EARLY_ENDS:
            self.problem = f"{self._early_ends} Slurm jobs in a row ended before their worker came"
        elif ended:
            await self._submit_missing()

    async def _submit_missing(self) -> None:
        cluster: Any = self
        try:
            await cluster._correct_state()
        except SlurmCommandError as error:
            self._early_ends += 1
            if self._early_ends >= EARLY_ENDS:
                self.problem = str(error)


async def living_jobs() -> set[str]:
    """Return the numbers of the user's jobs that wait or run."""
    out = await ask_slurm("squeue", "--noheader", "--format=%A", f"--user={os.getuid()}")
    return set(out.split())


async def ask_slurm(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a command of Slurm and return what it prints.

    Raises:
        SlurmCommandError: It fails.
    """
    gate = _GATES.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))
    async with gate:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
            )
        except OSError as error:
            raise SlurmCommandError(f"{command[0]}: {error.strerror}") from error
        out, err = await process.communicate()
    if process.returncode:
        said = " ".join(err.decode(errors="replace").split())
        raise SlurmCommandError(f"{command[0]}: {said.removeprefix(f'{command[0]}: error: ')}")
    return out.decode()


def options_of(slurm: Slurm, resources: Mapping[str, float]) -> dict[str, Any]:
    """Return how dask_jobqueue is told of the jobs."""
    memory_bytes = slurm.memory_gb * 1e9
    return {
        "cores": 1,
        "processes": 1,
        "memory": f"{math.ceil(memory_bytes)}B",
        "job_mem": f"{math.ceil(memory_bytes / 2**20)}M",
        "job_cpu": slurm.cores,
        "walltime": slurm.wall_time,
        "queue": slurm.partition,
        "account": slurm.account,
        "interface": slurm.interface,
        "job_name": "cimsearch-worker",
        "python": shlex.quote(sys.executable),
        "nanny": True,
        "death_timeout": 60,
        "local_directory": '"$scratch"',
        "worker_extra_args": _worker_arguments(resources),
        "job_script_prologue": _prologue(slurm),
        "job_extra_directives": _directives(slurm),
    }


def _worker_arguments(resources: Mapping[str, float]) -> list[str]:
    declared = " ".join(f"{name}={amount:.17g}" for name, amount in resources.items())
    return [
        # Slurm holds the job to its memory, and the executor each trial.
        "--memory-limit 0 --no-dashboard",
        *([f"--resources {shlex.quote(declared)}"] if declared else []),
        '--preload cimsearch.workers.slurm_drain --drain-at-s "$drain_at_s"',
    ]


def _directives(slurm: Slurm) -> list[str]:
    return [
        f"--output={LOGS}/worker-%j.log",
        # A job that Slurm starts anew would be a worker too many: a new one is submitted.
        "--no-requeue",
        *([f"--qos={slurm.qos}"] if slurm.qos else []),
        *([f"--gres=gpu:{slurm.gpus}"] if slurm.gpus else []),
        *slurm.directives,
    ]


def _prologue(slurm: Slurm) -> list[str]:
    first_s = round(slurm.wall_time_s * (_DRAIN_FRAC - _STAGGER_FRAC))
    stagger_s = round(slurm.wall_time_s * _STAGGER_FRAC)
    scratch = slurm.scratch or "${SLURM_TMPDIR:-${TMPDIR:-/tmp}}"
    return [
        "# From then on it takes no further trial; not all workers leave at once.",
        f"drain_at_s=$(( $(date +%s) + {first_s} + RANDOM * {stagger_s} / 32768 ))",
        *slurm.setup,
        "# A worker needs nothing of the database.",
        "shopt -s nocasematch",
        "for name in $(compgen -e); do",
        f'    case "$name" in {_NOT_FOR_WORKERS}) unset "$name" ;; esac',
        '    case "${!name}" in *://*:*@*|*://*password=*) unset "$name" ;; esac',
        "done",
        "shopt -u nocasematch",
        "export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1",
        "# A folder of its own on the node's disk, removed at the end.",
        f'mkdir -p -- "{scratch}"',
        f'scratch=$(mktemp -d -- "{scratch}/cimsearch-XXXXXX") || exit 1',
        'export TMPDIR="$scratch"',
        "trap 'rm -rf -- \"$scratch\"' EXIT",
        "trap : TERM  # the worker gets it too, and is waited for",
    ]


def job_environment(mine: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that ``sbatch`` is called with, and hands on to the job."""
    # The orchestrator may run in a job itself, and a worker's is another.
    others = {n: v for n, v in mine.items() if not n.startswith("SLURM_") or n in _SLURM_OWN}
    return worker_environment(others)
