"""How a study's search went, as the report takes it: hypervolume, random search, what it used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from cimsearch import pareto
from cimsearch.evaluate import Score
from cimsearch.figures.view_search import RandomSearch, SearchCost
from cimsearch.orchestrate.read.results import StudyResult, TrialResult
from cimsearch.orchestrate.read.stale import is_taken_over
from cimsearch.orchestrate.run.state import front_of
from cimsearch.seeds import stream
from cimsearch.space import Candidate
from cimsearch.store import records as db

# In so many orders the uniform draws are taken, and so many points a curve has at most.
_ORDERS, _POINTS = 100, 60


def hypervolume_history(result: StudyResult) -> tuple[tuple[int, float], ...]:
    """Return (trial number, hypervolume of the trials up to it), one a scored trial."""
    # What a point of the front has dominated adds nothing later: the front alone is kept.
    front: list[tuple[int, tuple[float, ...]]] = []
    history = []
    for trial in _scored(result):
        front.append((trial.number, tuple(trial.objectives.values())))
        found = front_of(front, result.directions, result.reference)
        kept = set(found.trial_ids)
        front = [point for point in front if point[0] in kept]
        history.append((trial.number, found.hypervolume))
    return tuple(history)


@dataclass(frozen=True, slots=True)
class Volumes:
    """What parts of a study dominate, as shares (0..1) of the box that its hypervolume is of.

    Attributes:
        draws: How many scored trials were drawn uniformly.
        random: Share of those alone; None if there is none.
        why_none: Why there is none.
        baselines: Share of the feasible uniform baselines alone; None if none is scored.
    """

    draws: int
    random: float | None
    why_none: str
    baselines: float | None


def volumes(result: StudyResult) -> Volumes:
    """Return what the uniform draws and the baselines of a study dominate."""

    def share(values: Sequence[tuple[float, ...]]) -> float:
        return pareto.share_of(values, result.directions, result.reference)

    drawn = _uniform_values(result)
    allowed = [tuple(b.objectives.values()) for b in result.baselines if not b.infeasible]
    return Volumes(
        draws=len(drawn),
        random=share(drawn) if drawn else None,
        why_none=_why_none(result),
        baselines=share(allowed) if result.baselines else None,
    )


def random_search(result: StudyResult) -> RandomSearch:
    """Return what random search has in a study, or why that is not known."""
    values = _uniform_values(result)
    if not values:
        return RandomSearch(why_none=_why_none(result))
    rng = stream("random_search", result.study.spec.seed)
    curve = expected_hypervolume(values, result.directions, result.reference, rng)
    return RandomSearch(curve=curve, is_all=len(values) == len(_scored(result)))


def _uniform_values(result: StudyResult) -> list[tuple[float, ...]]:
    """Return the objective values of the scored trials that are a random sample of the space."""
    if result.study.spec.halving is not None:
        return []
    return [tuple(trial.objectives.values()) for trial in _scored(result) if trial.uniform]


def _why_none(result: StudyResult) -> str:
    """Return why no scored trial is known as a random draw; empty if one is."""
    if result.study.spec.halving is not None:
        return "the last rung has promoted candidates alone, which are no random sample"
    scored = _scored(result)
    if not scored:
        return "nothing is scored yet"
    if any(trial.uniform for trial in scored):
        return ""
    if result.study.spec.sampler.name == "qmc":
        return "qmc spreads its points evenly, and none is drawn"
    return "no scored trial is noted as a uniform draw"


def expected_hypervolume(
    values: Sequence[Sequence[float]],
    directions: Sequence[str],
    reference: Sequence[float],
    rng: np.random.Generator,
) -> tuple[tuple[int, float], ...]:
    """Return (count, mean hypervolume of so many of the points) up to all of them.

    The mean is over random orders of the points; that of all has no spread.

    Args:
        values: Objective values of the points (n, m); at least one.
        directions: ``maximize`` or ``minimize`` for each objective.
        reference: The hypervolume's reference point, in objective units.
        rng: The orders.
    """
    points = np.asarray(values, dtype=np.float64)
    counts = np.unique(np.linspace(1, len(points), _POINTS).round().astype(int))
    shares = np.zeros((_ORDERS, len(counts)))
    for order in range(_ORDERS):
        shuffled = rng.permutation(points)
        front = points[:0]
        for place, (start, end) in enumerate(zip((0, *counts[:-1]), counts, strict=True)):
            front = np.vstack([front, shuffled[start:end]])
            front = front[pareto.front_mask(pareto.signed(front, directions))]
            shares[order, place] = pareto.share_of(front, directions, reference)
    return tuple(zip(counts.tolist(), shares.mean(axis=0).tolist(), strict=True))


def _scored(result: StudyResult) -> list[TrialResult]:
    return [trial for trial in result.last_rung if trial.state == "complete"]


def search_cost(result: StudyResult) -> SearchCost:
    """Return what the study used: trials, baselines, and the scoring on test images.

    A float parent counts once for each replicate it was trained in, and a rung's epochs once for
    each candidate, as workers keep both. What a repriced study took over cost the other study.
    """
    rungs, networks = result.study.spec.rungs, len(result.study.workloads)
    own_epochs = {
        t.evaluation_id: networks * rungs[t.rung].epochs for t in result.trials if t.rung
    }
    rows = _paid(result)
    scores = [(row, Score.from_json(row.score)) for row in rows if row.score is not None]
    parents: dict[tuple[str, str, bool], int] = {}
    for row, score in scores:
        parents |= _parent_epochs(row, score)
    ended = [row.ended for row in rows if row.ended]
    wall = max(ended) - min(row.created for row in rows) if rows else timedelta()
    return SearchCost(
        trained=result.count("complete"),
        failed=result.count("failed"),
        infeasible=result.count("infeasible"),
        reused=len(_reused(result)),
        epochs=sum(own_epochs.get(row.id, score.epochs) for row, score in scores)
        + sum(parents.values()),
        cpu_hours=sum(score.cpu_seconds for _, score in scores) / 3600,
        wall_seconds=wall.total_seconds(),
    )


def _parent_epochs(row: db.EvaluationRow, score: Score) -> dict[tuple[str, str, bool], int]:
    """Return the epochs of each float parent of an evaluation, by what makes it another one."""
    candidate, again = Candidate.from_json(row.candidate), row.role == "test"
    if not candidate.members:
        return {("", candidate.parent.hash, again): score.parent_epochs}
    epochs = {workload.name: workload.parent_epochs for workload in score.workloads}
    return {(name, each.parent.hash, again): epochs[name] for name, each in candidate.members}


def _reused(result: StudyResult) -> set[int | None]:
    return {trial.evaluation_id for trial in result.trials if trial.reused}


def _paid(result: StudyResult) -> list[db.EvaluationRow]:
    """Return the evaluations of the search that ended and were trained for this study."""
    reused = _reused(result)
    adapted = {row.label for row in result.evaluations if row.role == "adapted"}
    rows = [
        row
        for row in result.evaluations
        if row.ended is not None and row.id not in reused and row.label not in adapted
    ]
    return [row for row in rows if not (result.repriced and is_taken_over(row))]
