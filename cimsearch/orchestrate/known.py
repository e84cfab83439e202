"""What the loop knows of its study's trials, brought up to date by looking at what changed."""

from collections.abc import Sequence

from cimsearch.orchestrate.state import Front, front_of, is_scored, seen
from cimsearch.search.history import Seen
from cimsearch.space import Space
from cimsearch.store import CimStorage
from cimsearch.store import records as db


class Known:
    """A study's trials and what follows from them; a look costs what has changed since the last.

    The front is that of the last one's points and the new ones: what a point of the front has
    dominated never comes back.

    Args:
        storage: The database.
        study_id: The study.
        space: What its genes are drawn from.
        directions: ``maximize`` or ``minimize`` for each objective.
        reference: The hypervolume's reference point.
    """

    def __init__(
        self,
        storage: CimStorage,
        study_id: int,
        space: Space,
        directions: Sequence[str],
        reference: Sequence[float],
    ) -> None:
        self._storage, self._study_id = storage, study_id
        self._space, self._directions, self._reference = space, directions, reference
        self._points: dict[int, tuple[float, ...]] = {}
        self.trials: list[db.TrialRow] = []
        self.seen: list[Seen] = []
        self.front = Front((), 0.0)
        self.trained = 0
        self.scored = 0
        self.failed = 0
        self.best_accuracy: float | None = None

    def look(self) -> "Known":
        """Take in what has changed in the database; return itself."""
        rows = db.trial_rows(self._storage, self._study_id)
        old, self.trials = self.trials, rows
        new_points = {}
        for number, row in enumerate(rows):
            before = old[number] if number < len(old) else None
            if row is before:
                continue
            self._put(number, row)
            self._count(row, 1)
            if before is not None:
                self._count(before, -1)
            if is_scored(row) and row.values is not None:
                new_points[row.trial_id] = row.values
        if new_points:
            self._advance(new_points)
        return self

    def front_with(self, trial_id: int, values: tuple[float, ...]) -> Front:
        """Return the front as it is once a trial has these values."""
        return self._front_of(self._points | {trial_id: values})

    def _put(self, number: int, row: db.TrialRow) -> None:
        as_seen = seen(self._space, row)
        if number < len(self.seen):
            self.seen[number] = as_seen
        else:
            self.seen.append(as_seen)

    def _count(self, row: db.TrialRow, sign: int) -> None:
        self.trained += sign * (row.evaluation_id is not None)
        self.scored += sign * is_scored(row)
        self.failed += sign * (row.state == "fail")

    def _advance(self, new: dict[int, tuple[float, ...]]) -> None:
        points = self._points | new
        self.front = self._front_of(points)
        self._points = {trial_id: points[trial_id] for trial_id in self.front.trial_ids}
        best = max(values[0] for values in new.values())
        self.best_accuracy = max(best, self.best_accuracy or 0.0)

    def _front_of(self, points: dict[int, tuple[float, ...]]) -> Front:
        return front_of(sorted(points.items()), self._directions, self._reference)
