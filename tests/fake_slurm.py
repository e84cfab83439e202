"""A Slurm of this machine for tests: real commands in PATH that run jobs as local processes.

It does what the real one does as far as a job can tell: ``#SBATCH`` lines up to the first
command, the environment of the caller, ``--signal`` before the wall time, SIGTERM and
then SIGKILL to all of a job's processes, requeueing. A job starts at once; time does not pass for
it: the test says when its wall time comes near or is reached.
"""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import fake_slurm_commands
from tests.fake_slurm_commands import (
    COMMANDS,
    HOME,
    FakeJob,
    directives,
    jobs_of,
    wait_for,
)

__all__ = ["FakeJob", "FakeSlurm", "directives", "slurm_here", "wait_for"]


class FakeSlurm:
    """The cluster as a test sees it; ``path`` goes first in PATH."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "bin"
        self.path.mkdir(parents=True)
        (home / "jobs").mkdir()
        for command in COMMANDS:
            wrapper = self.path / command
            here = shlex.quote(fake_slurm_commands.__file__)
            wrapper.write_text(
                f"#!/bin/sh\nexport {HOME}={shlex.quote(str(home))}\n"
                f'exec {shlex.quote(sys.executable)} {here} {command} "$@"\n',
                encoding="utf-8",
            )
            wrapper.chmod(0o755)

    def jobs(self, name: str = "") -> list["FakeJob"]:
        """Return the jobs so far (those called ``name``), oldest first."""
        return [job for job in jobs_of(self.home) if name in ("", job.name)]

    def living(self, name: str = "") -> list["FakeJob"]:
        """Return the jobs that run."""
        return [job for job in self.jobs(name) if not job.ended]

    def refuse(self, message: str) -> None:
        """Let ``sbatch`` refuse every job from now on."""
        (self.home / "refusal").write_text(message, encoding="utf-8")

    def close(self) -> None:
        """End all jobs."""
        for job in self.living():
            job.kill()
        wait_for(lambda: not self.living())


@contextmanager
def slurm_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    """Put a fake Slurm into PATH, and work in a folder of its own that all nodes see."""
    fake = FakeSlurm(folder / "slurm")
    for name in ("work", "node"):
        (folder / name).mkdir()
    monkeypatch.setenv("PATH", f"{fake.path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(folder / "node"))
    monkeypatch.chdir(folder / "work")
    try:
        yield fake
    finally:
        fake.close()
