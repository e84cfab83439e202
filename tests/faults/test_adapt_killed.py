"""Killing an adaptation's real processes: the same command goes on, to the same networks."""

import json
import shutil
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from cimsearch.cli.adapt import facts
from cimsearch.evaluate.pruning import is_prune_job
from cimsearch.orchestrate.adapt.adapt import adapt
from cimsearch.orchestrate.launch import launch
from cimsearch.spec import load_study
from cimsearch.store import CimStorage, open_storage
from cimsearch.store import records as db
from cimsearch.workers import InlineExecutor
from tests.commands import Background, cimsearch
from tests.studies import TINY_STUDY

pytestmark = pytest.mark.slow

ADAPTED = (
    TINY_STUDY.replace("budget: {trials: 4}", "budget: {trials: 2}")
    + """
adapt:
  networks: 1
  max_accuracy_drop: 1.0
  training: {epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}
  pruning: {cost_frac: 0.8, tune_epochs: 0.5, images: 256}
  rounds: 1
  changes: 1
"""
)


def storage_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}"


def evaluations(database: CimStorage) -> list[db.EvaluationRow]:
    (row,) = db.list_studies(database)
    return db.evaluations(database, row.id)


def is_pruning(database: CimStorage) -> bool:
    """Return whether a worker is pruning."""
    (row,) = db.list_studies(database)
    unfinished = db.unfinished(database, row.id)
    return any(each.state == "running" and is_prune_job(each.job) for each in unfinished)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a study that is searched."""
    folder = tmp_path / "alone"
    folder.mkdir()
    (folder / "tiny.yaml").write_text(ADAPTED, encoding="utf-8")
    monkeypatch.setenv("CIMSEARCH_CACHE", str(folder / "cache"))
    study = load_study(str(folder / "tiny.yaml"))
    launch(study, storage=storage_in(folder), executor=InlineExecutor())
    return folder


def test_a_killed_adaptation_goes_on_to_the_same(alone: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    shutil.copytree(alone, killed)
    study = load_study(str(alone / "tiny.yaml"))
    found = adapt(study, storage=storage_in(alone), executor=InlineExecutor())

    cache = {"CIMSEARCH_CACHE": str(killed / "cache")}
    command = ("adapt", "tiny.yaml", "--storage", storage_in(killed), "--workers", "1", "--json")
    with closing(open_storage(storage_in(killed), create=False)) as database:
        running = Background(command, killed, environment=cache)
        running.wait_until(lambda: is_pruning(database))
        family = psutil.Process(running.process.pid).children(recursive=True)
        running.process.kill()
        running.process.wait()
        _, left = psutil.wait_procs(family, timeout=30)
        assert not left, "processes outlived the orchestrator"
        before = {row.id: row for row in evaluations(database) if row.state == "done"}
        asked = ("status", "tiny", "--storage", storage_in(killed), "--json")
        told = json.loads(cimsearch(*asked, cwd=killed).stdout)["adaptation"]
        assert (told["phase"], told["go_on_with"]) == ("networks", "cimsearch adapt tiny.yaml")

        done = cimsearch(*command, cwd=killed, environment=cache, apart=True)
        assert json.loads(done.stdout) == facts(found)
        after = {row.id: row for row in evaluations(database)}
        assert all(after[number] == row for number, row in before.items())
        assert all(row.state == "done" for row in after.values())
        assert len(after) == len(found.result.evaluations)
