"""A study's state, read from the store: trials as samplers see them, the front, the counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cimsearch import pareto
from cimsearch.search import generations, niching
from cimsearch.search.history import Seen, State
from cimsearch.search.problem import UNIFORM
from cimsearch.search.samplers import genes_of
from cimsearch.space import AnySpace
from cimsearch.store.rows import FrontChange, TrialRow

STARTED = "started"
"""The name under which a study's row says what it began with; missing until all of it is added."""

ADAPTATION = "adaptation"
"""The name under which a study's row says how its networks are adapted."""

DERIVED = "derived"
"""The name under which a repriced study's row says what it follows from."""

INHERITED = "inherited"
"""What is noted with a trial that a warm start brought with its score."""

_SEEN_STATES: Mapping[str, State] = {"complete": "complete", "fail": "failed"}


def seen(space: AnySpace, trial: TrialRow) -> Seen:
    """Return a trial as a sampler sees it."""
    return Seen(
        number=trial.number,
        genes=genes_of(space, trial.params),
        candidate_hash=trial.candidate_hash or "",
        trained=trial.evaluation_id is not None,
        state=_SEEN_STATES.get(trial.state, "running"),
        values=trial.values,
        constraints=trial.constraints,
        attrs=trial.user_attrs.get("sampler", {}),
        rung=trial.rung or 0,
    )


def is_scored(trial: TrialRow) -> bool:
    """Whether a trial was trained and has its accuracy: only such trials can be on a front."""
    return trial.state == "complete" and trial.evaluation_id is not None


def is_inherited(attrs: Mapping[str, Any]) -> bool:
    """Whether a trial, given what was noted with its proposal, came with a score from elsewhere.

    Such a trial is history, but no part of its study's budget.
    """
    return attrs.get(INHERITED) is True


def was_uniform(attrs: Mapping[str, Any]) -> bool:
    """Whether a trial, given what was noted with its proposal, is a uniform draw.

    Optuna's NSGA-II and NSGA-III draw their first generation so, and note that it is the first.
    """
    first = any(attrs.get(each.GENERATION) == 0 for each in (generations, niching))
    return first or UNIFORM.items() <= attrs.items()


def counts_in_budget(trial: TrialRow) -> bool:
    """Whether a trial is a candidate that was trained for this study: no promotion of one."""
    inherited = is_inherited(trial.user_attrs.get("sampler", {}))
    return trial.evaluation_id is not None and not trial.rung and not inherited


@dataclass(frozen=True)
class Front:
    """A Pareto front with its hypervolume.

    Attributes:
        trial_ids: The trials on it, in order of number.
        hypervolume: As a share (0..1) of the box between the study's reference point and the
            ideal: accuracy 1, every other objective 0.
    """

    trial_ids: tuple[int, ...]
    hypervolume: float

    def changes_from(self, before: frozenset[int]) -> tuple[FrontChange, ...]:
        """Return which trials leave and enter when ``before`` becomes this front."""
        now = frozenset(self.trial_ids)
        removed = [FrontChange(i, "remove") for i in sorted(before - now)]
        return (*removed, *(FrontChange(i, "add") for i in sorted(now - before)))


def front_of(
    points: Sequence[tuple[int, Sequence[float]]],
    directions: Sequence[str],
    reference: Sequence[float],
) -> Front:
    """Return the front of ``points``: (trial id, objective values), in order of number."""
    if not points:
        return Front((), 0.0)
    mask = pareto.front_mask(pareto.signed([value for _, value in points], directions))
    on_front = [point for point, on in zip(points, mask, strict=True) if on]
    share = pareto.share_of([value for _, value in on_front], directions, reference)
    return Front(tuple(trial_id for trial_id, _ in on_front), share)


def differing(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Return the dotted paths at which two plain structures differ, with both values."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted({*ours, *theirs})
        inner = [(ours.get(k), theirs.get(k), f"{path}.{k}" if path else k) for k in keys]
        return [text for mine, other, where in inner for text in differing(mine, other, where)]
    return [] if ours == theirs else [f"{path}: {theirs} in the database, {ours} here"]
