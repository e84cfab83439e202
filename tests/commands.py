"""Running the command line as its users do."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import psutil
import pytest

from cimsearch.cli import main

TIMEOUT_S = 500
WITH_PROCESSES = frozenset({"launch", "resume", "bench"})
"""Verbs that start workers, and get a process of their own as these do."""


def environment_with(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with ``changes``, and one thread for each worker."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} | dict(changes or {})


def cimsearch(
    *arguments: str,
    cwd: Path,
    expect: int = 0,
    environment: Mapping[str, str] | None = None,
    apart: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run ``cimsearch`` and check its exit code; ``environment`` is added to this process's.

    A process of its own takes most of a second to import what it needs: only verbs that start
    workers have one, and those that are to be ``apart``. An error that the command line does not
    expect is the test's.
    """
    apart = apart or bool(WITH_PROCESSES.intersection(arguments[:1]))
    done = (_apart if apart else _here)(arguments, cwd, environment)
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def _apart(
    arguments: Sequence[str], cwd: Path, environment: Mapping[str, str] | None
) -> subprocess.CompletedProcess[str]:
    """Run a verb in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cimsearch", *arguments],
        cwd=cwd,
        env=environment_with(environment),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def _here(
    arguments: Sequence[str], cwd: Path, environment: Mapping[str, str] | None
) -> subprocess.CompletedProcess[str]:
    """Run a verb in this process."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(cwd):
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["cimsearch", *arguments])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main()
    code = end.value.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def command_of(process: psutil.Process) -> str:
    """Return the command line of a process; empty if it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def is_worker(process: psutil.Process) -> bool:
    """Return whether a process is a local worker: forked from one that only does that."""
    try:
        parent = process.parent()
    except psutil.NoSuchProcess:
        return False
    lines = (command_of(process), command_of(parent) if parent else "")
    return all("multiprocessing.forkserver" in line for line in lines)


def workers_below(process: psutil.Process) -> list[psutil.Process]:
    """Return the local workers among the descendants of a process, if it is alive."""
    try:
        return list(filter(is_worker, process.children(recursive=True)))
    except psutil.NoSuchProcess:
        return []


def unwrapped(text: str) -> str:
    """Return what was printed without its line breaks and indentation."""
    return " ".join(text.split())


class Background:
    """A ``cimsearch`` process that runs while the test does something to it."""

    def __init__(
        self,
        arguments: Sequence[str],
        cwd: Path,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = cwd / "background.log"
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cimsearch", *arguments],
                cwd=cwd,
                env=environment_with(environment),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds; fail if the process ends or time runs out first."""
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            assert time.monotonic() < end, "waited too long"
            time.sleep(0.05)

    def warden(self) -> psutil.Process:
        """Return the process that holds the scheduler and the nannies of local workers."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        (warden,) = (one for one in children if "cimsearch.workers.warden" in command_of(one))
        return warden

    def workers(self) -> list[psutil.Process]:
        """Return the local worker processes that are alive."""
        return workers_below(psutil.Process(self.process.pid))

    def text(self) -> str:
        """Return what the process has printed so far."""
        return self.log.read_text(encoding="utf-8")

    def finish(self) -> int:
        """Wait for the process's end and return its exit code."""
        return self.process.wait(timeout=TIMEOUT_S)
