"""Studies of several workloads for one macro, and scores of theirs that take no time."""

import shutil
from pathlib import Path
from random import Random
from typing import Any

from cimsearch.evaluate import JointJob, Score, read_job
from cimsearch.evaluate.joint import joint_score
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.spec import Study
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.workers import Event
from tests.studies import TINY_STUDY
from tests.unit.orchestrate.quick import QuickExecutor, UnreliableExecutor, score_of

ALSO = """\
also:
  - name: other
    space: vgg_tiny
    data: {kind: digits, shape: [1, 8, 8], classes: 10, split_seed: 1}
"""
"""Digits once more, split in another way."""

RECIPE = "    recipe: {batch: 128, parent_epochs: 1, parent_lr: 0.1, qat_lr: 0.05}\n"
"""A recipe of the other workload's own."""

TWO_WORKLOADS = TINY_STUDY.replace("genes:", f"{ALSO}{RECIPE}genes:").replace(
    "name: tiny", "name: two"
)


def joint_score_of(payload: bytes) -> bytes:
    """Return a score that follows from the job alone, of one workload or several."""
    job = read_job(payload.decode())
    if not isinstance(job, JointJob):
        return score_of(payload)
    found = [
        (member.workload, Score.from_json(score_of(member.to_json().encode()).decode()))
        for member in job.members
    ]
    return joint_score(job.over, found).to_json().encode()


class JointExecutor(QuickExecutor):
    """Slots that answer at once, in any order."""

    def fate(self, token: str, payload: bytes) -> list[Event]:
        return [Event(token, "done", joint_score_of(payload), worker="quick")]


class UnreliableJointExecutor(UnreliableExecutor):
    """Loses attempts, answers twice, and answers late."""

    def fate(self, token: str, payload: bytes) -> list[Event]:
        done = Event(token, "done", joint_score_of(payload), worker="quick")
        lost = Event(token, "lost", reason="KilledWorker: the worker at quick died")
        return self.rng.choice([[done], [done], [done, done], [lost], [lost, done]])


TRIALS = 12


def text(trials: int = TRIALS) -> str:
    """Return the file of a study of two workloads and so many trials, whose workers may die."""
    more = "limits: {losses: 20}\n"
    return TWO_WORKLOADS.replace("trials: 4", f"trials: {trials}") + more


def url_of(directory: Path, name: str = "study") -> str:
    """Return the database of that name in a folder."""
    return f"sqlite:///{directory / name}.db"


def copied(url: str, folder: Path) -> str:
    """Return the URL of a copy of the database ``study`` in another folder."""
    for file in Path(url.removeprefix("sqlite:///")).parent.glob("study.db*"):
        shutil.copy(file, folder)
    return url_of(folder)


def run(study: Study, url: str, **options: Any) -> StudyResult:
    """Run a study without training, with one slot."""
    return launch(study, storage=url, executor=JointExecutor(1, Random(0)), **options)


def result_of(url: str, name: str = "two") -> StudyResult:
    """Return what a study has found."""
    storage = open_storage(url, create=False)
    row = db.find_study(storage, name)
    assert row is not None
    result = read_result(storage, row.id)
    storage.close()
    return result
