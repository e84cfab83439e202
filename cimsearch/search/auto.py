"""The default algorithm: a few uniform draws, then screening by a surrogate, then evolution.

What is known to be infeasible is not drawn while anything else is. Screening gains most while
there are few results, and costs more with each. So it ends after some hundred, and NSGA-II (from 4
objectives NSGA-III) goes on from everything that was seen, at a cost that hardly grows.
``benchmarks/search_quality.py`` compares it with others.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import numpy as np

from cimsearch.search.algorithms import uniform
from cimsearch.search.evolution import nsga2, nsga3
from cimsearch.search.features import prices_of, vectors_of
from cimsearch.search.history import Group, Seen
from cimsearch.search.problem import Child, Draws, Problem
from cimsearch.search.screening import promising, screened, usable_results
from cimsearch.spec.study import Sampler

# So many results are uniform draws', where nothing is priced and where all but the accuracy is;
# and up to so many a surrogate is fitted to. (On the table of digits, lag 8: trainings to 95 % of
# the hypervolume 24.1 with 8, 28.8 with 16, mean of seeds 150 to 199; to 99 %, seeds 100 to 199,
# 59.4 and 63.6, with a standard error of 2.2 of the difference; 4 and 12 are like 16. With nothing
# priced 16 was better, on mixed DTLZ2.)
FIRST, FIRST_PRICED, MOST = 16, 8, 300

# After so many results where nothing is priced, so large a share of trials is evolution's. (Mixed
# DTLZ2, hypervolume after 300 results, mean of 6 seeds: 57.9 without, 59.7 with, more in each;
# mixed ZDT1, 4 seeds: 4.64 without, 4.62 with.)
_SURE, _SHARED = 100, 0.5

# If of so many uniform draws all are infeasible, evolution is left to find what is feasible.
_DRAWN = 50

# Of so many of evolution's children those come first that could gain something.
_WEIGHED = 50


def first_results(problem: Problem) -> int:
    """Return how many results there must be for ``auto`` to learn from; until then it draws."""
    return FIRST if problem.price is None else FIRST_PRICED


def auto(
    problem: Problem, settings: Sampler, history: Sequence[Seen], draws: Draws
) -> Iterator[Child]:
    """Yield uniform draws, screened children or those of evolution, by how many results there are.

    With ``screening`` off there are no screened ones, and a share ``unscreened_frac`` of the
    trials that would be screened, every so many of them, is evolution's in any case; a larger one
    after a while, where nothing is priced. Should all screened ones be known, evolution's follow:
    first those that could gain something, given the surrogates, then, as none is left, others.
    """
    evolution = nsga3 if len(problem.directions) > 3 else nsga2
    evolved = evolution(problem, settings, history, draws)
    results = usable_results(history, MOST + 1)
    if not settings.screening or len(results) > MOST:
        return evolved
    if len(results) < first_results(problem):
        drawn = uniform(problem, settings, history, draws)
        return chain(_feasible(problem, islice(drawn, _DRAWN)), evolved)
    if _is_unscreened(draws.k, _unscreened_frac(problem, settings, len(results))):
        return evolved
    return chain(
        _new(problem, history, results, draws), _by_hope(evolved, problem, history, results)
    )


def _unscreened_frac(problem: Problem, settings: Sampler, results: int) -> float:
    """Return the share of trials that ignore the surrogates; several of them err more than one."""
    if problem.price is None and results > _SURE:
        return max(settings.unscreened_frac, _SHARED)
    return settings.unscreened_frac


def _feasible(problem: Problem, drawn: Iterable[Child]) -> Iterator[Child]:
    """Yield those of some children of which no constraint is known to be missed."""
    children = list(drawn)
    vectors = problem.domain.repaired(np.array([child.vector for child in children]))
    feasible = prices_of(problem, vectors).feasible
    yield from (child for child, good in zip(children, feasible, strict=True) if good)


def _is_unscreened(k: int, frac: float) -> bool:
    """Return whether trial ``k`` ignores the surrogate: of the first n trials n * ``frac`` do."""
    return int((k + 1) * frac) > int(k * frac)


def _new(
    problem: Problem, history: Sequence[Seen], results: Group, draws: Draws
) -> Iterator[Child]:
    """Yield the screened vectors that no trial has."""
    # Draws may have been given variables that do not count; what is screened is repaired.
    known = set(map(tuple, vectors_of(problem, history).tolist()))
    for vector in screened(problem, results, _running(history), draws.stream(0)).tolist():
        if tuple(vector) not in known:
            yield Child(tuple(vector))


def _by_hope(
    evolved: Iterator[Child], problem: Problem, history: Sequence[Seen], results: Group
) -> Iterator[Child]:
    """Yield the children of evolution, of the first so many those first that could gain."""
    children = list(islice(evolved, _WEIGHED))
    vectors = problem.domain.repaired(np.array([child.vector for child in children]))
    hopeful = promising(problem, results, _running(history), vectors)
    for wanted in (True, False):
        yield from (child for child, hope in zip(children, hopeful, strict=True) if hope == wanted)
    yield from evolved


def _running(history: Sequence[Seen]) -> list[Seen]:
    return [trial for trial in history if trial.state == "running"]
