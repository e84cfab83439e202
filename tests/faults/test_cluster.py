"""Killing the processes of a cluster that the study was lent: its nannies, its scheduler."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.commands import TIMEOUT_S, Background, environment_with
from tests.faults.studies import Disturbed, Table

pytestmark = pytest.mark.slow

NANNY_KILLS = 3

# As docs/howto-cluster.md says.
_SCHEDULER = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "null",
    "DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING": "False",
}


class Cluster:
    """A scheduler and its workers, started by hand as an administrator does."""

    def __init__(self, directory: Path, workers: int) -> None:
        self.directory = directory
        self.processes: list[psutil.Popen] = []
        self.file = directory / f"scheduler-{time.monotonic_ns()}.json"
        self.scheduler = self._dask("scheduler", "--port", "0", "--no-dashboard", **_SCHEDULER)
        end = time.monotonic() + TIMEOUT_S
        while not self.file.exists() or not self.file.read_text(encoding="utf-8"):
            assert time.monotonic() < end
            assert self.scheduler.is_running()
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text(encoding="utf-8"))["address"]
        self.nannies = [self.add_worker() for _ in range(workers)]

    def add_worker(self) -> psutil.Popen:
        """Start another nanny with its worker."""
        return self._dask("worker", "--nthreads", "1", "--memory-limit", "0", "--no-dashboard")

    def _dask(self, role: str, *arguments: str, **settings: str) -> psutil.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", "--host", "127.0.0.1"]
        with (self.directory / f"{role}.log").open("a", encoding="utf-8") as log:
            process = psutil.Popen(
                [*command, "--scheduler-file", str(self.file), *arguments],
                cwd=self.directory,
                env=environment_with(settings),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def close(self) -> None:
        """Kill what is left of it."""
        family = [
            each
            for process in self.processes
            if process.is_running()
            for each in (*process.children(recursive=True), process)
        ]
        for each in family:
            if each.is_running():
                each.kill()
        psutil.wait_procs(family, timeout=30)


@contextmanager
def started(directory: Path, workers: int) -> Iterator[Cluster]:
    """Give a cluster."""
    cluster = Cluster(directory, workers)
    try:
        yield cluster
    finally:
        cluster.close()


def wait_for_work(running: Background, study: Disturbed, moments: random.Random) -> None:
    running.wait_until(lambda: study.at_work() > 0)
    time.sleep(moments.uniform(0.0, 0.7))


def test_a_study_outlives_nannies_and_the_scheduler(
    tmp_path: Path, undisturbed: Table, request: pytest.FixtureRequest
) -> None:
    """Each nanny costs an attempt; after the scheduler the study goes on with another one."""
    moments = random.Random(request.node.name)
    with started(tmp_path, workers=2) as cluster:
        study = Disturbed.at(tmp_path, cluster=cluster.address)
        running = study.start()
        for _ in range(NANNY_KILLS):
            wait_for_work(running, study, moments)
            victim = cluster.nannies.pop(moments.randrange(len(cluster.nannies)))
            victim.kill()
            cluster.nannies.append(cluster.add_worker())
        running.wait_until(study.has_ended(study.ended() + 1, at_work=True))
        time.sleep(moments.uniform(0.0, 0.7))
        cluster.scheduler.kill()
        assert running.finish() == 6, running.text()
        assert "cimsearch resume" in running.text()
        assert "Traceback" not in running.text()
    with started(tmp_path, workers=2) as cluster:
        study.cluster = ("--cluster", cluster.address)
        study.run()
        study.check_sound(undisturbed)
        assert all(nanny.is_running() for nanny in cluster.nannies), (
            "lent workers are left as they are"
        )
