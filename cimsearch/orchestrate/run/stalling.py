"""What ends a search before its space is exhausted."""

from collections.abc import Mapping, Sequence
from typing import Literal

from cimsearch import pareto
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.state import is_inherited
from cimsearch.search.history import Seen
from cimsearch.spec.study import Stalled

EndedBy = Literal["budget", "stalled", "time", "space"]

ENDED = "ended_by"
"""The name under which a study's row says what ended its search; None while it goes on."""

ENDED_BY: Mapping[str, str] = {
    "budget": "the budget is used up",
    "stalled": "the hypervolume has stalled",
    "time": "the time is up",
    "space": "the space is exhausted",
}
"""What ended a search, to a reader."""


def has_stalled(rule: Stalled | None, plan: Plan, history: Sequence[Seen]) -> bool:
    """Whether the last results of the last rung gained less hypervolume than ``rule`` asks for.

    It follows from what a proposal may know alone, so a study ends at the same trial with one
    worker or eight. What a warm start brought counts in the hypervolume, and not as a last result.

    Args:
        rule: When it has; never if None.
        plan: The study.
        history: From ``visible``.
    """
    if rule is None:
        return False
    top = len(plan.study.spec.rungs) - 1
    found = [
        (trial, trial.values)
        for trial in history
        if trial.trained and trial.rung == top and trial.values is not None
    ]
    own = [place for place, (trial, _) in enumerate(found) if not is_inherited(trial.attrs)]
    if len(own) < rule.trials or own[-rule.trials] == 0:
        return False
    values = [each for _, each in found]
    before, after = (
        pareto.share_of(points, plan.directions, plan.reference)
        for points in (values[: own[-rule.trials]], values)
    )
    return after - before < rule.gain
