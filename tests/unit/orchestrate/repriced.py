"""Quick studies to be priced on other hardware, and macros that differ in one thing."""

from dataclasses import replace
from pathlib import Path
from random import Random

from cimsearch.evaluate import Job, Score
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.spec import load_study
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.store.check import check_database
from cimsearch.workers import Event
from tests.studies import TINY_STUDY
from tests.unit.orchestrate.quick import QuickExecutor, score_of

Changes = tuple[tuple[str, str], ...]
_HEAD = """\
schema: cimsearch/hardware/1
kind: macro
extends: macros/yu_cicc_2020
summary: a macro for a test
source: made for a test
"""
CHEAP = _HEAD + "name: cheap\nlogic_factor: 1.2\ncontrol_frac: 0.3\n"
"""Scores as the one it extends, and costs another price."""
CHEAP += "basis: {logic_factor: assumed, control_frac: assumed}\n"
NOISY = _HEAD + "name: noisy\nnoise: {cell_sigma_frac: 0.2, adc_sigma_frac: 0.01}\n"
"""Costs nearly the same, and scores otherwise."""
NOISY += "basis: {noise: assumed}\n"
COARSE = _HEAD + "name: coarse\nadc: {bits: 4}\nconfigurable: {adc_bits: {values: [3, 4]}}\n"
"""Cannot convert to 5 bit."""
COARSE += "calibration: null\nbasis: {adc: assumed}\n"


_RAN: dict[str, dict[str, bytes]] = {}
"""The files of databases of studies that have run, by the study's text."""


class SteadyExecutor(QuickExecutor):
    """Answers with accuracies that depend on candidate, hardware and images alone, not on code."""

    def fate(self, token: str, payload: bytes) -> list[Event]:
        return [Event(token, "done", steady_score(Job.from_json(payload.decode())))]


def steady_score(job: Job) -> bytes:
    """Return the score that a job has here."""
    rng = Random(f"{job.candidate_hash} {job.hardware.name} {job.split}")
    score = Score.from_json(score_of(job.to_json().encode()).decode())
    accuracies = tuple(rng.randrange(10, 100) / 100 for _ in range(job.rung.chips))
    return replace(score, accuracy_per_chip=accuracies).to_json().encode()


def steady() -> SteadyExecutor:
    """Return an executor of two slots."""
    return SteadyExecutor(2, Random(0))


def quick_study(
    folder: Path, *, trials: int = 12, changes: tuple[tuple[str, str], ...] = ()
) -> str:
    """Return the database of a study without training in a folder; adds the macros too.

    A study that has run in this process before is not run again: its database is copied.
    """
    text = TINY_STUDY.replace("trials: 4", f"trials: {trials}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "tiny.yaml").write_text(text, encoding="utf-8")
    for name, macro in (("cheap", CHEAP), ("noisy", NOISY), ("coarse", COARSE)):
        (folder / f"{name}.yaml").write_text(macro, encoding="utf-8")
    url = f"sqlite:///{folder / 'cimsearch.db'}"
    assert not (folder / "cimsearch.db").exists()
    if text in _RAN:
        for name, content in _RAN[text].items():
            (folder / name).write_bytes(content)
        return url
    launch(load_study(str(folder / "tiny.yaml")), storage=url, executor=steady())
    _RAN[text] = {file.name: file.read_bytes() for file in folder.glob("cimsearch.db*")}
    return url


def result_of(url: str, name: str) -> StudyResult:
    """Return a study of a database."""
    storage = open_storage(url, create=False)
    row = db.find_study(storage, name)
    assert row is not None
    found = read_result(storage, row.id)
    storage.close()
    return found


def assert_whole(url: str) -> None:
    """Check that fronts, trials and evaluations of all studies of a database fit together."""
    report = check_database(url)
    assert report.ok, report.findings
