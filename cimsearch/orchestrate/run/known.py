"""What the loop knows of its study's trials, brought up to date by looking at what changed."""

from collections.abc import Sequence

from cimsearch.orchestrate.run.state import Front, counts_in_budget, front_of, is_scored, seen
from cimsearch.search.history import Seen
from cimsearch.space import AnySpace
from cimsearch.store import CimStorage
from cimsearch.store import records as db

_Points = dict[int, tuple[float, ...]]
"""Objective values by trial id."""


class Known:
    """A study's trials and what follows from them; a look costs what has changed since the last.

    Each rung has a front of its own. It is that of the last one's points and the new ones: what a
    point of the front has dominated never comes back.

    Args:
        storage: The database.
        study_id: The study.
        space: What its genes are drawn from.
        directions: ``maximize`` or ``minimize`` for each objective.
        reference: The hypervolume's reference point.
        rungs: How many rungs it has: its front is that of the last.

    Attributes:
        trials: Its trials, in order of number.
        seen: The same as samplers see them.
        trained: Candidates that count in the budget: sent to a worker, or with a score that was
            known; neither promotions nor what a warm start brought with its score.
        inherited: Candidates that a warm start brought with their scores.
        promoted: Trials of candidates that were promoted, at any rung.
        infeasible: Candidates priced and never trained.
        failed: Trials that failed, at any rung.
        scored_by_rung: How many trials have their accuracy, lowest rung first.
        best_accuracy: The best of the last rung (0..1); None before the first.
    """

    def __init__(
        self,
        storage: CimStorage,
        study_id: int,
        space: AnySpace,
        directions: Sequence[str],
        reference: Sequence[float],
        rungs: int = 1,
    ) -> None:
        self._storage, self._study_id = storage, study_id
        self._space, self._directions, self._reference = space, directions, reference
        self._points: list[_Points] = [{} for _ in range(rungs)]
        self._fronts = [Front((), 0.0)] * rungs
        self.trials: list[db.TrialRow] = []
        self.seen: list[Seen] = []
        self.trained = self.inherited = self.promoted = self.infeasible = self.failed = 0
        self.scored_by_rung = [0] * rungs
        self.best_accuracy: float | None = None

    @property
    def front(self) -> Front:
        """The study's front: that of its last rung."""
        return self._fronts[-1]

    @property
    def scored(self) -> int:
        """How many candidates have their accuracy at the first rung."""
        return self.scored_by_rung[0]

    def look(self) -> "Known":
        """Take in what has changed in the database; return itself."""
        rows = db.trial_rows(self._storage, self._study_id)
        old, self.trials = self.trials, rows
        new_points: list[_Points] = [{} for _ in self._points]
        for number, row in enumerate(rows):
            before = old[number] if number < len(old) else None
            if row is before:
                continue
            self._put(number, row)
            self._count(row, 1)
            if before is not None:
                self._count(before, -1)
            if is_scored(row) and row.values is not None:
                new_points[row.rung or 0][row.trial_id] = row.values
        for rung, points in enumerate(new_points):
            if points:
                self._advance(rung, points)
        return self

    def rung_of(self, trial_id: int) -> int:
        """Return the rung of a trial, counted from 0."""
        return next(row.rung or 0 for row in self.trials if row.trial_id == trial_id)

    def front_at(self, rung: int) -> Front:
        """Return the front of a rung."""
        return self._fronts[rung]

    def front_with(self, rung: int, trial_id: int, values: tuple[float, ...]) -> Front:
        """Return the front of a rung as it is once a trial of it has these values."""
        return self._front_of(self._points[rung] | {trial_id: values})

    def _put(self, number: int, row: db.TrialRow) -> None:
        as_seen = seen(self._space, row)
        if number < len(self.seen):
            self.seen[number] = as_seen
        else:
            self.seen.append(as_seen)

    def _count(self, row: db.TrialRow, sign: int) -> None:
        rung, trained = row.rung or 0, row.evaluation_id is not None
        self.trained += sign * counts_in_budget(row)
        self.inherited += sign * (trained and not rung and not counts_in_budget(row))
        self.promoted += sign * (trained and rung > 0)
        self.infeasible += sign * (not trained)
        self.failed += sign * (row.state == "fail")
        self.scored_by_rung[rung] += sign * is_scored(row)

    def _advance(self, rung: int, new: _Points) -> None:
        points = self._points[rung] | new
        front = self._fronts[rung] = self._front_of(points)
        self._points[rung] = {trial_id: points[trial_id] for trial_id in front.trial_ids}
        if rung == len(self._fronts) - 1:
            best = max(values[0] for values in new.values())
            self.best_accuracy = max(best, self.best_accuracy or 0.0)

    def _front_of(self, points: _Points) -> Front:
        return front_of(sorted(points.items()), self._directions, self._reference)
