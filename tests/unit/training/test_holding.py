"""Locks between processes: one holds, the next waits, and the dead hold nothing."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from cimsearch.training import holding as module
from cimsearch.training.holding import holding, is_held


@contextmanager
def holder(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock."""
    command = [sys.executable, "-m", "tests.unit.training.holder", str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


class Waiter(Thread):
    """Waits for the lock, has it for a moment, and notes whether it did."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.through, self.held = path, Event(), False
        self.start()

    def run(self) -> None:
        with holding(self.path, wait=True):
            self.held = is_held(self.path)
            self.through.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "a.lock"


def test_a_lock_is_held_by_one(path: Path) -> None:
    assert not is_held(path)
    with holder(path) as process:
        assert is_held(path)
        waiter = Waiter(path)
        assert not waiter.through.wait(0.3)
        process.communicate("go on\n")
        assert waiter.through.wait(30)
        waiter.join()
    assert waiter.held
    assert not path.exists()


def test_a_killed_holder_frees_its_lock_at_once(path: Path) -> None:
    with holder(path) as process:
        waiter = Waiter(path)
        assert not waiter.through.wait(0.3)
        process.kill()
        assert waiter.through.wait(10)
        waiter.join()
    assert waiter.held


def test_nobody_waits_who_does_not_want_to(path: Path) -> None:
    with holder(path), holding(path, wait=False) as alive:
        alive()
        assert is_held(path)
    assert not is_held(path)


def test_a_silent_holder_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0.2)
    monkeypatch.setattr(module, "_LOOK_S", 0.1)
    with holder(path):
        waiter = Waiter(path)
        assert waiter.through.wait(30)
        waiter.join()
        assert is_held(path)
