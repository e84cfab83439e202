"""Workers from a Slurm of this machine: real scripts, processes, schedulers and deaths."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cimsearch.errors import WorkerError
from cimsearch.evaluate import Score
from cimsearch.spec.execution import Slurm
from cimsearch.workers import Event
from cimsearch.workers.dask import DaskExecutor
from cimsearch.workers.executor import Demands
from cimsearch.workers.shim import Run, run_job
from cimsearch.workers.slurm import SlurmWorkers, slurm_cluster
from tests.fake_slurm import FakeSlurm, slurm_here, wait_for
from tests.golden.test_contracts import a_job
from tests.unit.workers import jobs

pytestmark = pytest.mark.slow

ASKED = Slurm(memory_gb=2, wall_time="00:20:00", interface="lo")
GPU = {"GPU": 1.0}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    with slurm_here(tmp_path, monkeypatch) as made:
        yield made


def cluster(workers: int = 1, slurm: Slurm = ASKED) -> SlurmWorkers:
    return slurm_cluster(slurm, workers=workers, resources=GPU, poll_s=0.3)


def connected(workers: SlurmWorkers, run: Run = jobs.run) -> DaskExecutor:
    return DaskExecutor(
        workers=1,
        address=workers.scheduler_address,
        demands=Demands(resources=GPU),
        run=run,
    )


def ended(executor: DaskExecutor, timeout_s: float = 90.0) -> Event:
    limit = time.monotonic() + timeout_s
    while time.monotonic() < limit:
        for event in executor.events(0.2):
            if event.kind != "progress":
                return event
    raise AssertionError("the attempt never ended")


def test_a_trial_runs_in_a_job_that_knows_no_secret(
    fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIMSEARCH_STORAGE", "postgresql+psycopg://me:hunter2@db/cim")
    monkeypatch.setenv("PGPASSFILE", "/home/me/.pgpass")
    monkeypatch.setenv("MY_DB", "mysql://me:hunter2@db/other")
    # The orchestrator may run in a job itself.
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "4096")
    with closing(cluster()) as workers, closing(connected(workers, run_job)) as executor:
        wait_for(lambda: executor.free_slots() == 1)
        (job,) = fake.living()
        for process in job.processes():
            seen = process.environ()
            assert "hunter2" not in str(seen)
            assert not {"CIMSEARCH_STORAGE", "PGPASSFILE", "SLURM_MEM_PER_NODE"} & set(seen)
        assert "hunter2" not in str(job.environment) + job.script
        executor.submit("one", a_job().to_json().encode())
        event = ended(executor)
        assert event.kind == "done", event.reason
        assert len(Score.from_json(event.payload.decode()).accuracy_per_chip) == 2
        workers.check()
    assert not fake.living()
    assert job.option("--output") == "slurm-logs/worker-%j.log"
    assert "Traceback" not in job.log
    assert not list(Path(os.environ["TMPDIR"]).iterdir()), "the node's disk is as it was"


def test_a_job_that_ends_loses_its_attempt_and_is_replaced(fake: FakeSlurm) -> None:
    with closing(cluster()) as workers, closing(connected(workers)) as executor:
        wait_for(lambda: executor.free_slots() == 1)
        executor.submit("doomed", jobs.job("sleep", seconds=600))
        fake.jobs()[0].kill()
        assert ended(executor).kind == "lost"
        wait_for(lambda: len(fake.jobs()) == 2)
        wait_for(lambda: executor.free_slots() == 1)
        # At its wall time a job gets SIGTERM first.
        executor.submit("late", jobs.job("sleep", seconds=600))
        fake.jobs()[1].reach_wall_time()
        assert ended(executor).kind == "lost"
        wait_for(lambda: executor.free_slots() == 1)
        executor.submit("good", jobs.job("echo", text="here I am"))
        event = ended(executor)
        assert (event.kind, event.payload) == ("done", b"here I am")
        workers.check()
    assert len(fake.jobs()) == 3


def test_a_queue_that_forgets_jobs_for_a_while_doubles_none(fake: FakeSlurm) -> None:
    with closing(cluster(workers=2)) as workers, closing(connected(workers)) as executor:
        wait_for(lambda: executor.free_slots() == 2)
        asked = Path("asked")
        squeue = fake.path / "squeue"
        squeue.write_text(f"#!/bin/sh\necho >> {asked.absolute()}\n", encoding="utf-8")
        wait_for(lambda: asked.exists() and asked.stat().st_size > 4)
        squeue.write_text("#!/bin/sh\necho it is away >&2; exit 1\n", encoding="utf-8")
        executor.submit("one", jobs.job("sleep", seconds=1))
        assert ended(executor).kind == "done"
        workers.check()
        assert len(fake.jobs()) == 2
    assert not fake.living()


def test_jobs_that_slurm_refuses_are_told(fake: FakeSlurm) -> None:
    fake.refuse("invalid partition specified: gpu")
    with pytest.raises(WorkerError) as caught:
        cluster(workers=2)
    assert caught.value.message == (
        "no workers from Slurm: sbatch: invalid partition specified: gpu"
    )
    assert "cluster.slurm" in caught.value.hint


def useless(workers: SlurmWorkers) -> WorkerError | None:
    try:
        workers.check()
    except WorkerError as error:
        return error
    return None


def test_jobs_that_end_at_once_are_not_submitted_for_ever(fake: FakeSlurm) -> None:
    broken = ASKED.model_copy(update={"setup": ("echo no such module", "exit 1")})
    with closing(cluster(workers=2, slurm=broken)) as workers:
        wait_for(lambda: useless(workers) is not None)
        error = useless(workers)
        assert error is not None
        assert "in a row ended before their worker came" in error.message
        assert "slurm-logs" in error.hint
        assert 5 <= len(fake.jobs()) <= 8
        assert "no such module" in fake.jobs()[0].log


def test_jobs_end_by_themselves_when_the_orchestrator_dies(fake: FakeSlurm) -> None:
    program = (
        "import sys; from distributed import Client\n"
        "from tests.unit.workers.test_slurm import cluster\n"
        "workers = cluster(); Client(workers.scheduler_address).wait_for_workers(1)\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    orchestrator = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    with orchestrator:
        assert orchestrator.stdout is not None
        assert orchestrator.stdout.readline() == "ready\n"
        assert len(fake.living()) == 1
        orchestrator.send_signal(signal.SIGKILL)
    wait_for(lambda: not fake.living())


def test_a_study_that_says_nothing_of_slurm_is_told() -> None:
    with pytest.raises(WorkerError, match="does not say what Slurm is to be asked for") as caught:
        slurm_cluster(None, workers=1, resources={})
    assert "wall_time" in caught.value.hint


def test_a_machine_without_slurm_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkerError, match=r"no sbatch, squeue, scancel in PATH"):
        slurm_cluster(ASKED, workers=1, resources={})


def test_a_machine_without_the_library_is_told(fake: FakeSlurm) -> None:
    program = (
        "import sys; sys.modules['dask_jobqueue'] = None\n"
        "from tests.unit.workers.test_slurm import cluster\n"
        "cluster()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "WorkerError: the library of Slurm jobs is not installed" in done.stderr
    assert "pip install 'cimsearch[slurm]'" in done.stderr
