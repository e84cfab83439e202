"""The study that is disturbed: seconds long, real training, and what must be true of it after."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cimsearch.errors import StorageError
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.run.state import front_of, is_scored
from cimsearch.spec import load_study
from cimsearch.store import CimStorage, open_storage
from cimsearch.store import records as db
from cimsearch.workers import InlineExecutor
from tests.commands import Background, cimsearch
from tests.studies import TINY_STUDY

TRIALS = 6
STUDY = TINY_STUDY.replace("budget: {trials: 4}", f"budget: {{trials: {TRIALS}}}").replace(
    "parent_epochs: 2", "parent_epochs: 6"
)
# The last two proposals then go by what has been recorded.
STUDY = STUDY.replace("population: 4", "population: 2")
# A killed worker is no fault of a trial's: the kills of one test may all hit the same one.
STUDY += "limits: {losses: 20, drain_s: 60}\n"

_RUNG = "  - {epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}\n"
OF_TWO_RUNGS = STUDY.replace(_RUNG, _RUNG.replace("epochs: 1", "epochs: 0") + _RUNG)
OF_TWO_RUNGS += "halving: {cohort: 4, eta: 2}\n"

FILE = "tiny.yaml"

Table = list[tuple[object, ...]]


@dataclass
class Disturbed:
    """A study in a directory and a database of its own."""

    directory: Path
    url: str
    cluster: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def at(
        cls, directory: Path, url: str = "", cluster: str = "", text: str = STUDY
    ) -> "Disturbed":
        """Write the study's file and return the study, by default in a SQLite file."""
        (directory / FILE).write_text(text, encoding="utf-8")
        file = f"sqlite:///{directory / 'study.db'}"
        wanted = ("--cluster", cluster) if cluster else ()
        cache = {"CIMSEARCH_CACHE": str(directory / "cache")}
        return cls(directory, url or file, wanted, cache)

    def run(self, *, workers: int = 2, expect: int = 0) -> str:
        """Launch the study and wait for its end; return what it printed."""
        arguments = self._arguments(workers)
        done = cimsearch(
            *arguments, cwd=self.directory, expect=expect, environment=self.environment
        )
        return done.stdout + done.stderr

    def start(self, *, workers: int = 2) -> Background:
        """Launch the study and return at once."""
        return Background(self._arguments(workers), self.directory, environment=self.environment)

    def _arguments(self, workers: int) -> tuple[str, ...]:
        where = self.cluster or ("--workers", str(workers))
        return ("launch", FILE, "--storage", self.url, *where)

    @contextmanager
    def storage(self) -> Iterator[CimStorage]:
        """Give the database, closed afterwards."""
        opened = open_storage(self.url, create=False)
        try:
            yield opened
        finally:
            opened.close()

    def trials(self) -> list[db.TrialRow]:
        """Return the trials; none while there is no database or no study yet."""
        try:
            with self.storage() as storage:
                row = db.find_study(storage, "tiny")
                return [] if row is None else db.trial_rows(storage, row.id)
        except StorageError:
            return []

    def done(self) -> list[db.TrialRow]:
        """Return the trials that have their accuracy."""
        return [trial for trial in self.trials() if trial.state == "complete"]

    def ended(self) -> int:
        """Return how many evaluations have ended: trials, baselines, test scorings."""
        return len(self._evaluations({"done", "failed"}))

    def at_work(self) -> int:
        """Return how many evaluations are on workers."""
        return len(self._evaluations({"running"}))

    def has_ended(self, evaluations: int, *, at_work: bool = False) -> Callable[[], bool]:
        """Return whether so many have ended, and one is at work, as a condition to wait for."""
        return lambda: self.ended() >= evaluations and (not at_work or self.at_work() > 0)

    def _evaluations(self, states: set[str]) -> list[db.EvaluationRow]:
        try:
            with self.storage() as storage:
                row = db.find_study(storage, "tiny")
                found = [] if row is None else db.evaluations(storage, row.id)
        except StorageError:
            return []
        return [each for each in found if each.state in states]

    def attempts(self) -> list[list[db.AttemptRow]]:
        """Return the attempts at each evaluation that needed any."""
        with self.storage() as storage:
            row = db.find_study(storage, "tiny")
            assert row is not None
            found = [db.attempts(storage, e.id) for e in db.evaluations(storage, row.id)]
        return [each for each in found if each]

    def table(self) -> Table:
        """Return what must not depend on who ran the study, or how often it was killed."""
        with self.storage() as storage:
            row = db.find_study(storage, "tiny")
            assert row is not None
            trials = db.trial_rows(storage, row.id)
            on_front: set[int] = set()
            for rung in {trial.rung for trial in trials}:
                scored = [t for t in trials if is_scored(t) and t.rung == rung]
                points = [(t.trial_id, t.values) for t in scored if t.values]
                front = front_of(points, row.directions, row.user_attrs["reference"])
                on_front |= set(front.trial_ids)
            replayed: list[int] = []
            for event in db.front_events(storage, row.id):
                (replayed.append if event.action == "add" else replayed.remove)(event.trial_id)
            assert set(replayed) == on_front, "the stored fronts are others"
            assert len(replayed) == len(on_front)
        return [
            (
                trial.number,
                trial.state,
                tuple(trial.params.items()),
                trial.values,
                trial.constraints,
                trial.trial_id in on_front,
                trial.rung,
                trial.promoted_from,
            )
            for trial in trials
        ]

    def check_sound(self, undisturbed: Table) -> None:
        """Check that nothing was lost, nothing was applied twice, and nothing runs any more."""
        assert self.table() == undisturbed
        for attempts in self.attempts():
            states = [attempt.state for attempt in attempts]
            assert states.count("done") == 1, states
            assert "running" not in states
        status = json.loads(self._ask("status", "tiny", "--json"))
        assert (status["running"], status["waiting"], status["failed"]) == (0, 0, 0)
        assert status["run_by"] is None
        self._ask("db", "check")

    def _ask(self, *arguments: str) -> str:
        return cimsearch(*arguments, "--storage", self.url, cwd=self.directory).stdout


def left_alone(directory: Path, text: str, *, trials: int) -> Table:
    """Return the trial table of a run in this process, one evaluation after the other."""
    study = Disturbed.at(directory, text=text)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in study.environment.items():
            patch.setenv(name, value)
        loaded = load_study(str(directory / FILE))
        launch(loaded, storage=study.url, executor=InlineExecutor())
    rows = study.table()
    assert len(rows) == trials
    study.check_sound(rows)
    return rows
