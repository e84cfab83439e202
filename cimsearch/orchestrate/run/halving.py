"""Which candidates go on to the next rung: successive halving in cohorts fixed by trial number.

The trained trials of a rung, in order of number, are cut into cohorts of equal size. Once every
result of a cohort may be used, a share of its size is promoted: the best of it and of all cohorts
before it that have not been promoted yet, by rank of non-dominated sorting and, within a rank, by
the hypervolume that a trial alone adds to it (after Schmucker et al., "Multi-objective
asynchronous successive halving", arXiv 2106.12639, but in cohorts). All of it follows from what
may be known, so a study promotes the same trials with one worker or eight.

A cohort's quota is not its own: a sampler that has learned proposes cohorts of which most belong
on the front, and would lose two thirds of them for ever (docs/architecture.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import moocore
import numpy as np

from cimsearch.pareto import signed
from cimsearch.search.history import Seen
from cimsearch.spec.study import Halving

# A group is ranked once and then remembered while it is the newest, which changes no answer.
_REMEMBERED_GROUPS = 64


@dataclass(frozen=True)
class Ladder:
    """The rungs of a study, and by what trials are compared.

    Attributes:
        halving: Size of cohorts, and which share of one is promoted.
        rungs: How many rungs there are.
        directions: ``maximize`` or ``minimize`` for each objective.
        reference: The hypervolume's reference point, in objective units.
    """

    halving: Halving
    rungs: int
    directions: tuple[str, ...]
    reference: tuple[float, ...]

    def quota(self, trials: int) -> int:
        """Return how many of a cohort of so many trials are promoted: at least one."""
        return max(1, trials // self.halving.eta)

    def promotions(self, candidates: int) -> int:
        """Return how many promotions so many candidates lead to, if all of them get a result."""
        total = 0
        for rung in range(self.rungs - 1):
            size = self.halving.size(rung)
            full, rest = divmod(candidates, size)
            candidates = full * self.quota(size) + (self.quota(rest) if rest else 0)
            total += candidates
        return total


class _Group(tuple[Seen, ...]):
    """Trials as a key: equal if all they hold is equal, hashed by next to nothing of it."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash((len(self), self[0].number))


def next_promotion(
    ladder: Ladder, trials: Sequence[Seen], *, closed: bool
) -> Seen | Literal["wait"] | None:
    """Return the trial whose candidate is to be trained at the next rung; None if there is none.

    Args:
        ladder: The study's rungs.
        trials: In order of number. While candidates are still to come: what may be known, from
            ``visible``; a cohort with a result that is hidden is left for later. Else all trials.
        closed: Whether no candidate is to come any more. Then a last cohort that is not full
            counts as it is, and a result that is missing is waited for.
    """
    trained: list[list[Seen]] = [[] for _ in range(ladder.rungs)]
    for trial in trials:
        if trial.trained:
            trained[trial.rung].append(trial)
    for rung in range(ladder.rungs - 1):
        size = ladder.halving.size(rung)
        due = _next_of(ladder, trained[rung], trained[rung + 1], size, closed=closed)
        if due is not None:
            return due
    return None


def _next_of(
    ladder: Ladder, trained: list[Seen], above: list[Seen], size: int, *, closed: bool
) -> Seen | Literal["wait"] | None:
    """Return which trial of a rung is promoted next, given those at the rung ``above``.

    Each full cohort adds its quota, so that so many promotions say which cohort is next: what
    is promoted for it is chosen from the results up to its end.
    """
    promoted = {trial.candidate_hash for trial in above}
    first = len(above) // ladder.quota(size)
    for start in range(first * size, len(trained), size):
        group = _Group(trained[: start + size])
        if not closed and len(group) < start + size:
            return None
        if any(trial.state == "running" for trial in group):
            return "wait" if closed else None
        quota = ladder.quota(len(group) - start)
        if len(above) - start // size * ladder.quota(size) >= quota:
            return None
        for trial in ranked(ladder, group):
            if trial.candidate_hash not in promoted:
                return trial
    return None


def ranked(ladder: Ladder, trials: Sequence[Seen]) -> tuple[Seen, ...]:
    """Return the trials that have results, the best first."""
    return _ranked(ladder, _Group(trials)) if trials else ()


@lru_cache(maxsize=_REMEMBERED_GROUPS)
def _ranked(ladder: Ladder, trials: _Group) -> tuple[Seen, ...]:
    results = [(trial, trial.values) for trial in trials if trial.values is not None]
    if not results:
        return ()
    points = signed([values for _, values in results], ladder.directions)
    limit = signed(ladder.reference, ladder.directions)[0]
    ranks = np.asarray(moocore.pareto_rank(points))
    gains = np.zeros(len(results))
    for rank in range(int(ranks.max()) + 1):
        gains[ranks == rank] = moocore.hv_contributions(points[ranks == rank], ref=limit)
    order = np.lexsort((np.arange(len(results)), -gains, ranks))
    return tuple(results[place][0] for place in order)


def of_one_rung(trials: Sequence[Seen], rungs: int, enough: int) -> tuple[Seen, ...]:
    """Return the trials that a sampler is shown: results of one rung, and what is infeasible.

    That is the highest rung with at least ``enough`` results, else the lowest. What is
    infeasible was never trained, so it is so at every rung.
    """
    results = [0] * rungs
    for trial in trials:
        results[trial.rung] += trial.trained and trial.values is not None
    shown = max((rung for rung, n in enumerate(results) if n >= enough), default=0)
    return tuple(trial for trial in trials if trial.rung == shown or not trial.trained)
