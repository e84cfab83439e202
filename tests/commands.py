"""Running the command line as its users do."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
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
        (warden,) = self._running("cimsearch.workers.warden")
        return warden

    def workers(self) -> list[psutil.Process]:
        """Return the local worker processes that are alive."""
        return self._running("spawn_main")

    def _running(self, mark: str) -> list[psutil.Process]:
        """Return the descendants whose command line has a mark."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if mark in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def text(self) -> str:
        """Return what the process has printed so far."""
        return self.log.read_text(encoding="utf-8")

    def finish(self) -> int:
        """Wait for the process's end and return its exit code."""
        return self.process.wait(timeout=TIMEOUT_S)
