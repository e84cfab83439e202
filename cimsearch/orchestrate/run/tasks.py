"""What a loop does with a study: tasks, one after the other."""

from collections.abc import Callable
from dataclasses import dataclass

from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.evaluations import (
    add_baselines,
    add_test_scorings,
    add_trained_baselines,
)
from cimsearch.orchestrate.run.progress import Phase, to_come
from cimsearch.orchestrate.run.proposing import Next, next_trial
from cimsearch.store import records as db


def _none(_context: Context) -> int:
    return 0


@dataclass(frozen=True)
class Task:
    """One of them.

    Attributes:
        phase: What it is called.
        roles: The evaluations that are its own: those that have not ended are run.
        begin: Adds the evaluations that it begins with; what is there is not added again.
        propose: Adds the next evaluation, or says that it has to wait, or that there is none.
            Left out where all was added at the beginning.
        to_come: How many evaluations are still to be added.
    """

    phase: Phase
    roles: frozenset[db.Role]
    begin: Callable[[Context], None]
    propose: Callable[[Context], Next] | None = None
    to_come: Callable[[Context], int] = _none


def _add_test_scorings(context: Context) -> None:
    add_trained_baselines(context)
    add_test_scorings(context)


SEARCHING = Task("searching", frozenset({"trial", "baseline"}), add_baselines, next_trial, to_come)
TESTING = Task("scoring the front on test images", frozenset({"test"}), _add_test_scorings)
SEARCH = (SEARCHING, TESTING)
"""The baselines and the trials; then the front on test images."""
