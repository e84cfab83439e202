"""Running the command line as its users do: in processes of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

TIMEOUT_S = 500


def environment() -> dict[str, str]:
    """Return this process's environment, with one thread for each worker."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def cimsearch(*arguments: str, cwd: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``cimsearch`` and check its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "cimsearch", *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def unwrapped(text: str) -> str:
    """Return what was printed without its line breaks and indentation."""
    return " ".join(text.split())


class Background:
    """A ``cimsearch`` process that runs while the test does something to it."""

    def __init__(self, arguments: Sequence[str], cwd: Path) -> None:
        self.log = cwd / "background.log"
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cimsearch", *arguments],
                cwd=cwd,
                env=environment(),
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

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes that are alive (spawned by the process, running jobs)."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    def kill(self) -> None:
        """Kill the process and its workers at once, as a machine that loses power does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def finish(self) -> int:
        """Wait for the process's end and return its exit code."""
        return self.process.wait(timeout=TIMEOUT_S)
