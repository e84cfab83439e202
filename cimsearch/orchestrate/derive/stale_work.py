"""What of a repriced study is stale, in which order it is found anew, and what that changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cimsearch.evaluate import AnyJob, Score, read_job
from cimsearch.evaluate.joint import members_of, with_members
from cimsearch.orchestrate.derive.fronts import Fronts, fronts_of, last_front
from cimsearch.orchestrate.read.stale import stale_rows
from cimsearch.orchestrate.run.context import Context
from cimsearch.search.pricing import energy_measured_pj
from cimsearch.space import Candidate
from cimsearch.store import records as db
from cimsearch.store.rescored import Rescored, replace_score


@dataclass(frozen=True)
class Change:
    """An accuracy that was found anew: what it is of, as it was, and as it is (0..1)."""

    label: str
    before: float
    after: float


OnChange = Callable[[Change, int], None]
"""Is told an accuracy that was found anew, and how many are to do."""


@dataclass(frozen=True)
class RescoreResult:
    """What rescoring did.

    Attributes:
        name: The study's name.
        changes: The accuracies that were found anew, in the order in which they came.
        failed: Why an evaluation failed, by label; its accuracy stays stale.
        stale: The labels that are stale still.
        front: The numbers on the front now.
    """

    name: str
    changes: tuple[Change, ...]
    failed: Mapping[str, str]
    stale: tuple[str, ...]
    front: tuple[int, ...]


class StaleWork:
    """What is stale, in which order it is found anew, and what that changes.

    Args:
        context: The study, whose lease is held.
        row: The same.
        front_only: Whether what is not on the front stays as it is.
        on_change: Called with each change.
    """

    def __init__(
        self,
        context: Context,
        row: db.StudyRow,
        front_only: bool,
        on_change: OnChange,
    ) -> None:
        self.context, self.row = context, row
        self.front_only, self.on_change = front_only, on_change
        self.changes: list[Change] = []
        self.failed: dict[str, str] = {}
        rows = db.evaluations(context.storage, row.id)
        self.stale = stale_rows(rows, context.plan.study)
        self.at_work: set[int] = set()
        self.trials = {
            trial.evaluation_id: trial
            for trial in db.trial_rows(context.storage, row.id)
            if trial.evaluation_id is not None
        }
        self.values = {t.number: t.values for t in self.trials.values() if t.values is not None}
        self.fronts = self._fronts()

    def next(self) -> db.EvaluationRow | None:
        """Return what is to be found anew first and nobody is at; None if there is nothing."""
        failed = self.failed
        open_rows = [
            row
            for row in self.stale.values()
            if row.id not in self.at_work and self.label(row) not in failed
        ]
        ranked = sorted((self._urgency(row), row.id) for row in open_rows)
        if not ranked or (self.front_only and ranked[0][0] > 1):
            return None
        return self.stale[ranked[0][1]]

    def label(self, row: db.EvaluationRow) -> str:
        """Return what an evaluation is to a reader."""
        return row.label if row.trial_id is None else f"trial {self.trials[row.id].number}"

    def job(self, row: db.EvaluationRow) -> AnyJob:
        """Return the job of an evaluation on the study's own hardware."""
        study, found = self.context.plan.study, read_job(row.job)
        cache = study.spec.cluster.cache
        return with_members(
            found,
            [
                replace(job, hardware=study.hardware, data_path=source.path, cache=cache)
                for job, source in zip(members_of(found), self.context.plan.sources, strict=True)
            ],
        )

    def take(self, row: db.EvaluationRow, job: AnyJob, text: str) -> None:
        """Write a score that was found, with what it changes."""
        study = self.context.plan.study
        score, before = Score.from_json(text), Score.from_json(row.score or "")
        statistic = study.spec.accuracy_statistic
        change = Change(
            self.label(row), before.accuracy_by(statistic), score.accuracy_by(statistic)
        )
        new = Rescored(evaluation=row, key=job.key, job=job.to_json(), score=text)
        if row.trial_id is not None:
            new = self._of_trial(new, score, change.after)
        replace_score(self.context.storage, new)
        del self.stale[row.id]
        self.at_work.discard(row.id)
        self.changes.append(change)
        self.on_change(change, len(self.stale))

    def result(self) -> RescoreResult:
        """Return what was done."""
        return RescoreResult(
            self.row.name,
            tuple(self.changes),
            self.failed,
            tuple(map(self.label, self.stale.values())),
            self._front(),
        )

    def _of_trial(self, new: Rescored, score: Score, accuracy: float) -> Rescored:
        """Return a new score with what it changes of its trial and of the front."""
        trial = self.trials[new.evaluation.id]
        self.values[trial.number] = (accuracy, *self.values[trial.number][1:])
        before, self.fronts = self.fronts, self._fronts()
        numbers, hypervolume = self.fronts[trial.rung]
        old = before[trial.rung][0]
        ids = {each.number: each.trial_id for each in self.trials.values()}
        # Its own point leaves even where the trial stays: it comes back as another.
        stay = set(old) & set(numbers) - {trial.number}
        left = [db.FrontChange(ids[n], "remove") for n in old if n not in stay]
        came = [db.FrontChange(ids[n], "add") for n in numbers if n not in stay]
        candidate = Candidate.from_json(new.evaluation.candidate)
        measured = energy_measured_pj(self.context.plan.study, candidate, score)
        return replace(
            new,
            values=self.values[trial.number],
            user_attrs={"energy_measured_pj": measured, "reused": False},
            front=(*left, *came),
            hypervolume=hypervolume,
        )

    def _fronts(self) -> Fronts:
        reference = tuple(self.row.user_attrs["reference"])
        trials = sorted(self.trials.values(), key=lambda trial: trial.number)
        points = [(t.number, t.rung, self.values[t.number]) for t in trials]
        return fronts_of(points, self.row.directions, reference)

    def _urgency(self, row: db.EvaluationRow) -> int:
        if row.trial_id is None:
            return 0
        trial = self.trials[row.id]
        if trial.number in self._front():
            return 1
        # Those of the last rung first: the front is theirs.
        return 1 + self._rungs - (trial.rung or 0)

    def _front(self) -> tuple[int, ...]:
        return last_front(self.fronts, self._rungs)

    @property
    def _rungs(self) -> int:
        return len(self.context.plan.study.spec.rungs)
