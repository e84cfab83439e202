"""Driving an executor in tests: waiting for slots, events and processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from cimsearch.workers import Event, Executor
from cimsearch.workers.mortal import kill_tree
from tests.commands import command_of

TIMEOUT_S = 90.0


def wait_until(condition: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Wait until ``condition`` holds."""
    limit = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.02)


def wait_for_slots(executor: Executor, slots: int = 1) -> None:
    """Wait until so many slots are free."""
    wait_until(lambda: executor.free_slots() >= slots)


def all_of(executor: Executor, *tokens: str) -> list[Event]:
    """Return what happens until each of the tokens has ended, the ends among it."""
    found: list[Event] = []
    limit = time.monotonic() + TIMEOUT_S
    while {event.token for event in found if event.kind != "progress"} < set(tokens):
        assert time.monotonic() < limit, f"{tokens} never ended: {found}"
        found += executor.events(1.0)
    return found


def end_of(executor: Executor, token: str) -> Event:
    """Return how the only attempt that runs ends."""
    ends = [event for event in all_of(executor, token) if event.kind != "progress"]
    assert [event.token for event in ends] == [token]
    return ends[0]


def pid_in(mark: Path) -> int:
    """Return the process that runs a job, once it has marked that it began."""
    wait_until(lambda: mark.exists() and bool(mark.read_text(encoding="utf-8")))
    return int(mark.read_text(encoding="utf-8"))


def gone(pid: int) -> bool:
    """Return whether the process has ended."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def children(pid: int | None = None) -> list[psutil.Process]:
    """Return the wardens of a process, this one if left out."""
    found = psutil.Process(pid).children()
    return [child for child in found if "workers.warden" in command_of(child)]


class Lent:
    """A dask cluster that is not the executor's, of real processes as an operator starts them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        dashboard = ["--dashboard-address", "127.0.0.1:0", "--no-dashboard"]
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", *dashboard)
        self.address = ""
        wait_until(self._has_address)

    def _has_address(self) -> bool:
        if not self._file.exists():
            return False
        try:
            self.address = json.loads(self._file.read_text(encoding="utf-8"))["address"]
        except json.JSONDecodeError:
            return False
        return True

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._directory / f"{what}.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "distributed.cli.dask_" + what),
                    *("--scheduler-file", str(self._file), *arguments),
                ],
                cwd=Path(__file__).parents[3],
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def add_worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``dask worker`` and return its process: the nanny's, or the worker's if none."""
        return self._start(
            "worker",
            *("--nthreads", "1", "--memory-limit", "0", "--host", "127.0.0.1", "--no-dashboard"),
            *("--local-directory", str(self._directory), *arguments),
        )

    def close(self) -> None:
        """Kill all of it."""
        for process in self._processes:
            if process.poll() is None:
                kill_tree(process.pid)
            process.wait()


@contextmanager
def lent(directory: Path) -> Iterator[Lent]:
    """Give a cluster without workers."""
    cluster = Lent(directory)
    try:
        yield cluster
    finally:
        cluster.close()
