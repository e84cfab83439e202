"""Populations: who of a history's complete trials are alive.

A population is a pure function of the complete trials that can be seen, in order of number and
whoever proposed them. The survivors of the first are joined by the next few and survive again, as
often as there are results. Each survival is remembered by all that it was made from: a proposal
selects only where results have come since the last. Remembering saves time and changes no answer.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from threading import Lock
from typing import Any, Literal

import moocore
import numpy as np
from numpy.typing import NDArray

from cimsearch.pareto import Points, signed
from cimsearch.search.history import Group, Seen, complete_of
from cimsearch.seeds import stream

Survival = Literal["nsga2", "nsga3", "sms_emoa", "age_moea2"]

# So many chunks are a block. What is remembered must reach from the blocks of a long study to the
# chunks of its last block; each is a few kilobytes.
_CHUNKS = 32
_REMEMBERED = 1024

# A study asks again and again who is alive before results have come.
_ASKED = 16

_in_pymoo = Lock()


@dataclass(frozen=True, slots=True)
class Rule:
    """How a population comes about.

    Attributes:
        survival: Which algorithm decides who survives.
        size: How many survive.
        chunk: How many results come between two survivals.
        directions: ``maximize`` or ``minimize`` for each objective.
    """

    survival: Survival
    size: int
    chunk: int
    directions: tuple[str, ...]


def population_of(history: Sequence[Seen], rule: Rule) -> Group:
    """Return the trials that are alive (at most ``rule.size``), in order of number.

    Args:
        history: Trials in order of number; only complete ones count.
        rule: Who survives.
    """
    complete = complete_of(history)
    chunks = max(0, len(complete) - rule.size) // rule.chunk
    return _alive(rule, Group(complete[: rule.size + chunks * rule.chunk]))


@lru_cache(maxsize=_ASKED)
def _alive(rule: Rule, complete: Group) -> Group:
    """Return who is alive after complete trials: a first population and whole chunks."""
    alive, born = Group(complete[: rule.size]), complete[rule.size :]
    block = _CHUNKS * rule.chunk
    for start in range(0, len(born), block):
        alive = _after_block(rule, alive, Group(born[start : start + block]))
    return alive


@lru_cache(maxsize=_REMEMBERED)
def _after_block(rule: Rule, alive: Group, born: Group) -> Group:
    """Return who is alive after some chunks: asked for at once, a long history is soon gone by."""
    for start in range(0, len(born), rule.chunk):
        alive = _after_chunk(rule, alive, Group(born[start : start + rule.chunk]))
    return alive


@lru_cache(maxsize=_REMEMBERED)
def _after_chunk(rule: Rule, alive: Group, born: Group) -> Group:
    return survivors(alive + born, rule)


def survivors(trials: Sequence[Seen], rule: Rule) -> Group:
    """Return who of complete trials survives (at most ``rule.size``), in order of number."""
    rng = stream("survival", len(trials), trials[-1].number)
    kept = selected(rule, standing_of(trials, rule.directions), rng)
    return Group(sorted((trials[i] for i in kept), key=lambda trial: trial.number))


@dataclass(frozen=True)
class Standing:
    """How good trials are, compared with one another.

    Attributes:
        points: (n, m) Objective values, all to be minimised, scaled to 0..1.
        violation: (n,) Sum of what each misses of its constraints; 0 is feasible.
    """

    points: Points
    violation: NDArray[np.float64]


def standing_of(trials: Sequence[Seen], directions: Sequence[str]) -> Standing:
    """Return how good complete trials are."""
    points = _scaled(signed([trial.values or () for trial in trials], directions))
    violation = [sum(max(value, 0.0) for value in trial.constraints) for trial in trials]
    return Standing(points, np.array(violation, dtype=np.float64))


def _scaled(points: Points) -> Points:
    """Return points (n, m) with each objective scaled to 0..1.

    An infinite value is put as far beyond the finite ones as these are apart. Values that differ
    by rounding only are equal.
    """
    known = np.isfinite(points)
    low = np.min(points, axis=0, where=known, initial=np.inf)
    high = np.max(points, axis=0, where=known, initial=-np.inf)
    low, high = np.where(low <= high, (low, high), 0.0)
    span = np.where(high > low, high - low, 1.0)
    low, span = np.where(known.all(axis=0), (low, span), (low - span, 3.0 * span))
    return np.asarray(np.round(np.clip((points - low) / span, 0.0, 1.0), 12))


def order_of(trials: Sequence[Seen], directions: Sequence[str]) -> NDArray[np.int64]:
    """Return who of complete trials is better (n,): the one with the smaller number.

    First come feasible ones by rank and, in a rank, by crowding: the lonelier is better; then
    others by violation (K. Deb et al., "A fast and elitist multiobjective genetic algorithm:
    NSGA-II", 2002). Equals have the same number.
    """
    standing = standing_of(trials, directions)
    feasible = standing.violation <= 0
    keys = np.zeros((len(trials), 3))
    keys[:, 0] = standing.violation
    if feasible.any():
        points = standing.points[feasible]
        rank = moocore.pareto_rank(points)
        keys[feasible, 1] = rank
        keys[feasible, 2] = -_crowding(points, rank)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _crowding(points: Points, rank: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how far apart each point's neighbours of its rank are, summed over objectives.

    Those at an end of an objective are infinitely far.
    """
    crowding = np.zeros(len(points))
    for number in np.unique(rank):
        of_rank = np.flatnonzero(rank == number)
        for values in points[of_rank].T:
            by_value = np.argsort(values, kind="stable")
            padded = np.concatenate([[-np.inf], values[by_value], [np.inf]])
            crowding[of_rank[by_value]] += padded[2:] - padded[:-2]
    return crowding


def selected(rule: Rule, standing: Standing, rng: np.random.Generator) -> list[int]:
    """Return the indices of those that pymoo's survival keeps: ``rule.size`` of them, or all.

    Feasible ones go first; others follow by violation.
    """
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem

    n, m = standing.points.shape
    problem = Problem(n_var=1, n_obj=m, n_ieq_constr=1)
    crowd = Population.new(F=standing.points, G=standing.violation[:, None], place=np.arange(n))
    method = _SURVIVALS["nsga2" if _has_one_best(standing) else rule.survival](m, rule.size)
    # pymoo changes the warning filters of the process: one thread at a time, and put back.
    with _in_pymoo, warnings.catch_warnings():
        kept = method.do(problem, crowd, n_survive=rule.size, random_state=rng)
    return [int(place) for place in kept.get("place")]


def _has_one_best(standing: Standing) -> bool:
    """Return whether one point is best in everything: there is no front to spread over."""
    points = standing.points[standing.violation <= 0]
    if len(points) == 0 or points.shape[1] == 1:
        return True
    return bool((points == points.min(axis=0)).all(axis=1).any())


def _nsga2(objectives: int, size: int) -> Any:  # noqa: ARG001 - the signatures are alike
    from pymoo.operators.survival.rank_and_crowding.classes import RankAndCrowding

    return RankAndCrowding()


def _nsga3(objectives: int, size: int) -> Any:
    from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
    from pymoo.util.reference_direction import das_dennis

    # As many directions, evenly spread, as there are survivors for.
    parts = 1
    while comb(parts + objectives, objectives - 1) <= size:
        parts += 1
    return ReferenceDirectionSurvival(das_dennis(parts, objectives))


def _sms_emoa(objectives: int, size: int) -> Any:  # noqa: ARG001
    from pymoo.algorithms.moo.sms import LeastHypervolumeContributionSurvival

    return LeastHypervolumeContributionSurvival()


def _age_moea2(objectives: int, size: int) -> Any:  # noqa: ARG001
    from pymoo.algorithms.moo.age2 import AGEMOEA2Survival

    return AGEMOEA2Survival()


_SURVIVALS: dict[Survival, Callable[[int, int], Any]] = {
    "nsga2": _nsga2,
    "nsga3": _nsga3,
    "sms_emoa": _sms_emoa,
    "age_moea2": _age_moea2,
}
