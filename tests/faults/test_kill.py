"""Killing real processes in mid-study: no recorded trial is lost, evaluated again or changed."""

import os
import signal
from pathlib import Path

import pytest

from cimsearch.store import open_storage
from cimsearch.store import records as db
from tests.commands import Background, cimsearch
from tests.studies import TINY_STUDY

pytestmark = pytest.mark.slow

STUDY = TINY_STUDY.replace("budget: {trials: 4}", "budget: {trials: 8}").replace(
    "parent_epochs: 2", "parent_epochs: 6"
)
Table = list[tuple[object, ...]]


def url(directory: Path) -> str:
    return f"sqlite:///{directory / 'study.db'}"


def trials_of(directory: Path) -> list[db.TrialRow]:
    if not (directory / "study.db").exists():
        return []
    storage = open_storage(url(directory))
    row = db.find_study(storage, "tiny")
    return [] if row is None else db.trial_rows(storage, row.id)


def done(directory: Path) -> list[db.TrialRow]:
    return [t for t in trials_of(directory) if t.state == "complete"]


def table(directory: Path) -> Table:
    """Return what must not depend on who ran the study, or how often it was killed."""
    return [
        (t.number, t.state, tuple(sorted(t.params.items())), t.values, t.constraints)
        for t in trials_of(directory)
    ]


def attempts_of(directory: Path) -> dict[int, list[str]]:
    storage = open_storage(url(directory))
    row = db.find_study(storage, "tiny")
    assert row is not None
    return {
        e.id: [a.state for a in db.attempts(storage, e.id)]
        for e in db.evaluations(storage, row.id)
    }


def arguments(directory: Path, workers: int = 2) -> list[str]:
    return ["launch", "tiny.yaml", "--storage", url(directory), "--workers", str(workers)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Return the trial table of a run with one worker that nobody disturbs."""
    directory = tmp_path_factory.mktemp("undisturbed")
    (directory / "tiny.yaml").write_text(STUDY, encoding="utf-8")
    cimsearch(*arguments(directory, workers=1), cwd=directory)
    rows = table(directory)
    assert len(rows) == 8
    return rows


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def test_two_workers_find_what_one_finds(directory: Path, undisturbed: Table) -> None:
    cimsearch(*arguments(directory), cwd=directory)
    assert table(directory) == undisturbed


def test_a_killed_worker_costs_one_attempt(directory: Path, undisturbed: Table) -> None:
    running = Background(arguments(directory), directory)
    running.wait_until(lambda: len(done(directory)) >= 2 and len(running.workers()) >= 2)
    running.workers()[0].kill()
    assert running.finish() == 0, running.log.read_text(encoding="utf-8")
    assert table(directory) == undisturbed
    states = attempts_of(directory).values()
    assert all(each.count("done") == 1 for each in states)


def test_a_killed_orchestrator_loses_nothing(directory: Path, undisturbed: Table) -> None:
    running = Background(arguments(directory), directory)
    running.wait_until(lambda: len(done(directory)) >= 2)
    running.kill()
    before = done(directory)
    assert len(before) >= 2
    assert len(trials_of(directory)) < 8 or len(before) < 8
    out = cimsearch("resume", "tiny", "--storage", url(directory), cwd=directory).stdout
    assert "on the front of 8 trained trials" in out
    after = {trial.number: trial for trial in trials_of(directory)}
    assert all(after[t.number] == t for t in before), "a recorded trial was touched"
    assert table(directory) == undisturbed
    states = attempts_of(directory).values()
    assert all(each.count("done") == 1 and each[-1] == "done" for each in states)


def test_interrupt_says_how_to_go_on(directory: Path, undisturbed: Table) -> None:
    running = Background(arguments(directory), directory)
    running.wait_until(lambda: len(done(directory)) >= 1)
    os.killpg(running.process.pid, signal.SIGINT)
    code = running.finish()
    text = running.log.read_text(encoding="utf-8")
    assert code == 130, text
    assert "cimsearch resume tiny" in text
    assert "Traceback" not in text
    cimsearch("resume", "tiny", "--storage", url(directory), cwd=directory)
    assert table(directory) == undisturbed
