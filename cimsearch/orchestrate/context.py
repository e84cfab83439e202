"""A study in its database: what every step of the loop needs."""

from dataclasses import dataclass

from cimsearch.orchestrate.plan import Plan
from cimsearch.orchestrate.state import Front, front_of, is_scored
from cimsearch.store import CimStorage
from cimsearch.store import records as db


@dataclass(frozen=True)
class Context:
    """A study in its database. Only one process, the orchestrator, writes it.

    Attributes:
        plan: The study and what follows from it.
        storage: The database.
        study_id: The study's row.
    """

    plan: Plan
    storage: CimStorage
    study_id: int

    def trials(self) -> list[db.TrialRow]:
        """Return the study's trials in order of number."""
        return db.trial_rows(self.storage, self.study_id)

    def evaluations(self, role: db.Role) -> list[db.EvaluationRow]:
        """Return the study's evaluations of one role, in the order they were added."""
        return db.evaluations(self.storage, self.study_id, role=role)

    def front(self, *, told: tuple[int, tuple[float, ...]] | None = None) -> Front:
        """Return the front of all scored trials, and of ``told`` (trial id, values) with them."""
        points = {t.trial_id: t.values for t in self.trials() if is_scored(t) and t.values}
        points |= {} if told is None else dict([told])
        return front_of(sorted(points.items()), self.plan.directions, self.plan.reference)
