"""A study in its database: what every step of the loop needs."""

from dataclasses import dataclass
from functools import cached_property

from cimsearch.orchestrate.run.known import Known
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.search.pricing import Priced, price
from cimsearch.space import Candidate
from cimsearch.store import CimStorage
from cimsearch.store import records as db

_REMEMBERED_PRICES = 512


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

    @cached_property
    def _known(self) -> Known:
        plan = self.plan
        return Known(
            self.storage,
            self.study_id,
            plan.space,
            plan.directions,
            plan.reference,
            len(plan.study.spec.rungs),
        )

    def known(self) -> Known:
        """Return what is known of the study's trials now."""
        return self._known.look()

    def price(self, candidate: Candidate) -> Priced:
        """Return a candidate's price; those of the last candidates are remembered.

        A trial is priced when it is added and when it is told, which are often close together.
        """
        prices = self._prices
        if candidate.hash not in prices:
            prices[candidate.hash] = price(self.plan.study, candidate)
            if len(prices) > _REMEMBERED_PRICES:
                del prices[next(iter(prices))]
        return prices[candidate.hash]

    @cached_property
    def _prices(self) -> dict[str, Priced]:
        return {}

    def evaluations(self, role: db.Role) -> list[db.EvaluationRow]:
        """Return the study's evaluations of one role, in the order they were added."""
        return db.evaluations(self.storage, self.study_id, role=role)
