"""The commands of a fake Slurm, and its jobs as they lie in its folder.

Run as a program with the name of a command of Slurm before that command's own arguments.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol")
HOME = "FAKE_SLURM_HOME"
KILL_WAIT_S = 5.0


class FakeJob:
    """A job: what it asked for and how it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        raw: dict[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        self.id = folder.name
        self.options: list[str] = raw["options"]
        self.environment: dict[str, str] = raw["environment"]
        self.script: str = (folder / "script").read_text(encoding="utf-8")

    def option(self, *names: str) -> str:
        """Return the value of the last of these options, as ``--name=value`` or ``-n value``."""
        found = ""
        for at, word in enumerate(self.options):
            for name in names:
                if word.startswith(f"{name}="):
                    found = word.removeprefix(f"{name}=")
                elif word == name and at + 1 < len(self.options):
                    found = self.options[at + 1]
        return found

    @property
    def name(self) -> str:
        return self.option("--job-name", "-J")

    @property
    def ended(self) -> bool:
        return (self.folder / "code").exists()

    @property
    def code(self) -> int:
        return int((self.folder / "code").read_text(encoding="utf-8"))

    @property
    def starts(self) -> int:
        """How often it was started: once, and again each time it was requeued."""
        return len((self.folder / "starts").read_text(encoding="utf-8").split())

    @property
    def log(self) -> str:
        """What it printed so far."""
        file = Path((self.folder / "log").read_text(encoding="utf-8"))
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    @property
    def shell(self) -> int:
        """The process that runs the script."""
        return int((self.folder / "shell").read_text(encoding="utf-8"))

    def processes(self) -> list[psutil.Process]:
        """Return all processes of the job, wherever they went, as a control group knows them."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("SLURM_JOB_ID") == self.id:
                    found.append(process)
        return found

    def near_wall_time(self) -> None:
        """Send what ``--signal`` asks for, to the script's shell if it says ``B:``."""
        where, _, rest = self.option("--signal").rpartition(":")
        number = signal.Signals[f"SIG{rest.partition('@')[0]}"]
        assert where == "B", "only the batch shell can be told here"
        os.kill(self.shell, number)

    def reach_wall_time(self) -> None:
        """End it as Slurm does: SIGTERM to all of it, SIGKILL to what is left after a while."""
        self.terminate()
        with suppress(TimeoutError):
            wait_for(lambda: self.ended, KILL_WAIT_S)
        self.kill()

    def terminate(self) -> None:
        """Send SIGTERM to all its processes."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.terminate()

    def kill(self) -> None:
        """End all its processes at once, as a node that fails does."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()


def jobs_of(home: Path) -> list[FakeJob]:
    """Return the jobs so far, oldest first."""
    found = sorted((home / "jobs").iterdir(), key=lambda folder: int(folder.name))
    return [FakeJob(folder) for folder in found if (folder / "job.json").exists()]


def living_jobs(home: Path) -> list[FakeJob]:
    """Return the jobs that run."""
    return [job for job in jobs_of(home) if not job.ended]


def wait_for(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait until ``condition`` holds.

    Raises:
        TimeoutError: It does not come to hold.
    """
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def directives(script: str) -> list[str]:
    """Return the words of the ``#SBATCH`` lines that stand before the first command."""
    words: list[str] = []
    for line in script.splitlines():
        if line.startswith("#SBATCH"):
            words += shlex.split(line.removeprefix("#SBATCH"), comments=True)
        elif line.strip() and not line.startswith("#"):
            break
    return words


def _sbatch(home: Path, arguments: list[str]) -> int:
    refusal = home / "refusal"
    if refusal.exists():
        sys.stderr.write(f"sbatch: error: {refusal.read_text(encoding='utf-8')}\n")
        return 1
    script = Path(arguments[-1]).read_text(encoding="utf-8")
    if not script.startswith("#!"):
        sys.stderr.write("sbatch: error: This does not look like a batch script.\n")
        return 1
    folder = _new_folder(home)
    environment = {n: v for n, v in os.environ.items() if n != HOME}
    job = {"options": directives(script) + arguments[:-1], "environment": environment}
    (folder / "script").write_text(script, encoding="utf-8")
    (folder / "script").chmod(0o755)
    (folder / "starts").touch()
    log = next((w.partition("=")[2] for w in job["options"] if w.startswith("--output=")), "")
    log = log.replace("%j", folder.name) or f"slurm-{folder.name}.out"
    (folder / "log").write_text(str(Path(log).absolute()), encoding="utf-8")
    _put(folder / "job.json", json.dumps(job))
    subprocess.Popen(
        [sys.executable, __file__, "supervise", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={n: v for n, v in os.environ.items() if n != "SLURM_JOB_ID"} | {HOME: str(home)},
    )
    sys.stdout.write(f"Submitted batch job {folder.name}\n")
    return 0


def _new_folder(home: Path) -> Path:
    number = 100
    while True:
        number += 1
        with suppress(FileExistsError):
            (home / "jobs" / str(number)).mkdir()
            return home / "jobs" / str(number)


def _supervise(folder: Path) -> int:
    """Run the script, again if it is requeued, and note how it ended."""
    job = FakeJob(folder)
    log = Path((folder / "log").read_text(encoding="utf-8"))
    mode = "ab" if job.option("--open-mode") == "append" else "wb"
    while True:
        environment = job.environment | {
            "SLURM_JOB_ID": job.id,
            "SLURM_RESTART_COUNT": str(job.starts),
        }
        with log.open(mode) as out:
            shell = subprocess.Popen(
                [folder / "script"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )
        _put(folder / "shell", str(shell.pid))
        with (folder / "starts").open("a", encoding="utf-8") as starts:
            starts.write("start\n")
        code = shell.wait()
        # What a script leaves behind ends with the job.
        job.kill()
        if not (folder / "requeued").exists():
            break
        (folder / "requeued").unlink()
    _put(folder / "code", str(code))
    return 0


def _put(file: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    part = file.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.rename(file)


def _squeue(home: Path, arguments: list[str]) -> int:
    assert arguments[:2] == ["--noheader", "--format=%A"], arguments
    for job in living_jobs(home):
        sys.stdout.write(f"{job.id}\n")
    return 0


def _scancel(home: Path, arguments: list[str]) -> int:
    jobs = [job for job in living_jobs(home) if job.id in arguments]
    for job in jobs:
        job.terminate()
    with suppress(TimeoutError):
        wait_for(lambda: all(job.ended for job in jobs), KILL_WAIT_S)
    for job in jobs:
        job.kill()
    return 0 if len(jobs) == len(arguments) else 1


def _scontrol(home: Path, arguments: list[str]) -> int:
    assert arguments[0] == "requeue", arguments
    job = FakeJob(home / "jobs" / arguments[1])
    if "--requeue" not in job.options:
        sys.stderr.write("Requested operation is presently disabled\n")
        return 1
    (job.folder / "requeued").touch()
    # The real one ends the job, from which this is called, at once.
    for process in job.processes():
        if process.pid != os.getpid():
            with suppress(psutil.Error):
                process.terminate()
    return 0


def _main() -> int:
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "supervise":
        return _supervise(Path(arguments[0]))
    home = Path(os.environ[HOME])
    if command == "sbatch":
        return _sbatch(home, arguments)
    if command == "squeue":
        return _squeue(home, arguments)
    if command == "scancel":
        return _scancel(home, arguments)
    return _scontrol(home, arguments)


if __name__ == "__main__":
    sys.exit(_main())
