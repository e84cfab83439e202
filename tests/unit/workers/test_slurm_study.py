"""A whole study on Slurm: the orchestrator is a job, its workers are, and both have wall times."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cimsearch.orchestrate.launch import launch
from cimsearch.spec import load_study
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.workers import InlineExecutor
from tests.commands import cimsearch
from tests.fake_slurm import FakeSlurm, slurm_here, wait_for
from tests.studies import TINY_STUDY

pytestmark = pytest.mark.slow

STUDY = f"""{TINY_STUDY.replace("budget: {trials: 4}", "budget: {trials: 5}")}
cluster:
  resources: {{GPU: 1}}
  slurm: {{memory_gb: 2, wall_time: 00:20:00, interface: lo}}
"""
Table = list[tuple[object, ...]]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    with slurm_here(tmp_path, monkeypatch) as made:
        yield made


def trials(folder: Path) -> list[db.TrialRow]:
    if not (folder / "cimsearch.db").exists():
        return []
    storage = open_storage(f"sqlite:///{folder / 'cimsearch.db'}")
    row = db.find_study(storage, "tiny")
    return [] if row is None else db.trial_rows(storage, row.id)


def table(folder: Path) -> Table:
    return [(t.number, t.state, tuple(sorted(t.params.items())), t.values) for t in trials(folder)]


def complete(folder: Path) -> int:
    return sum(trial.state == "complete" for trial in trials(folder))


def test_a_study_goes_on_behind_its_wall_time(fake: FakeSlurm, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    (folder / "tiny.yaml").write_text(STUDY, encoding="utf-8")
    cimsearch("slurm", "tiny.yaml", "--workers", "2", "--out", "tiny.sh", cwd=folder)
    subprocess.run(["sbatch", "tiny.sh"], check=True, capture_output=True)
    (job,) = fake.jobs("cimsearch-tiny")

    wait_for(lambda: job.ended or complete(folder) >= 2, 300)
    assert not job.ended, job.log
    before = complete(folder)
    job.near_wall_time()
    wait_for(lambda: job.ended or job.starts == 2, 300)
    assert "back into the queue" in job.log
    kept = [row for row in trials(folder) if row.state == "complete"]
    assert len(kept) >= before, "what ran was waited for"

    wait_for(lambda: job.ended, 300)
    assert job.code == 0, job.log
    assert "report: reports/tiny.html" in job.log
    assert not fake.living(), "its workers have gone with it"
    assert [t for t in trials(folder) if t.number in {k.number for k in kept}] == kept
    study = load_study(str(folder / "tiny.yaml"))
    launch(study, storage=f"sqlite:///{tmp_path}/cimsearch.db", executor=InlineExecutor())
    assert table(folder) == table(tmp_path), "and found what one process alone finds"
