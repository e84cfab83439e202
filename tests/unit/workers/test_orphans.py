"""Local workers and the process that they work for: none outlives it, its signals spare them."""

import os
import signal
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.workers.driving import children, gone, pid_in, wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]

# As a user's script may be: nothing guards it from being imported again.
SCRIPT = """
import signal, sys, time
from cimsearch.workers import connect
from tests.unit.workers.jobs import job, run

signal.signal(signal.SIGINT, lambda *_: print("asked to stop", flush=True))
signal.signal(signal.SIGTERM, lambda *_: print("asked to stop", flush=True))
executor = connect(workers=2, run=run)
while executor.free_slots() < 2:
    time.sleep(0.05)
for name in ("first", "second"):
    executor.submit(name, job(sys.argv[1], seconds=int(sys.argv[2]), mark=name))
ended = 0
while ended < 2:
    for event in executor.events(1.0):
        print(event.token, event.kind, flush=True)
        ended += 1
executor.close()
"""


def orchestrator(directory: Path, what: str, seconds: int) -> subprocess.Popen[str]:
    (directory / "script.py").write_text(SCRIPT, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "script.py", what, f"{seconds}"],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("what", ["sleep", "stuck"])
def test_workers_end_when_the_orchestrator_is_killed(tmp_path: Path, what: str) -> None:
    process = orchestrator(tmp_path, what, 120)
    jobs = [pid_in(tmp_path / name) for name in ("first", "second")]
    (warden,) = children(process.pid)
    pids = {*jobs, warden.pid, *(child.pid for child in warden.children(recursive=True))}
    process.kill()
    process.communicate()
    wait_until(lambda: all(map(gone, pids)), timeout_s=20)


def test_workers_end_though_another_process_holds_their_pipe_open(tmp_path: Path) -> None:
    process = orchestrator(tmp_path, "sleep", 120)
    jobs = [pid_in(tmp_path / name) for name in ("first", "second")]
    # Whoever else holds the pipe open does not keep the warden: it looks for its parent, too.
    (warden,) = children(process.pid)
    with ExitStack() as held:
        for pipe in Path(f"/proc/{process.pid}/fd").iterdir():
            if str(pipe.readlink()).startswith("pipe:") and is_writable(pipe):
                held.enter_context(pipe.open("wb", buffering=0))
        process.kill()
        process.wait()
        wait_until(lambda: gone(warden.pid) and all(map(gone, jobs)), timeout_s=20)
    process.communicate()


def is_writable(pipe: Path) -> bool:
    """Return whether the process may write to what it has open there."""
    return bool(pipe.lstat().st_mode & stat.S_IWUSR)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_process_group_spare_workers(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = orchestrator(tmp_path, "sleep", 3)
    for name in ("first", "second"):
        pid_in(tmp_path / name)
    os.killpg(process.pid, number)
    # A batch system sends it to every process of its job.
    (warden,) = children(process.pid)
    for each in (warden, *warden.children(recursive=True)):
        each.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert sorted(out.splitlines()) == ["asked to stop", "first done", "second done"]
    assert process.returncode == 0


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    process = orchestrator(tmp_path, "sleep", 0)
    out, _ = process.communicate(timeout=60)
    assert sorted(out.splitlines()) == ["first done", "second done"]
    assert process.returncode == 0
