"""The default algorithm: a few uniform draws, then screening by a surrogate, then evolution.

Screening gains most while there are few results, and costs more with each. So it ends after some
hundred, and NSGA-II (from 4 objectives NSGA-III) goes on from everything that was seen, at a cost
that hardly grows. ``benchmarks/search_quality.py`` compares it with others.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

from cimsearch.search.algorithms import uniform
from cimsearch.search.evolution import nsga2, nsga3
from cimsearch.search.features import vectors_of
from cimsearch.search.history import Group, Seen
from cimsearch.search.problem import Child, Draws, Problem
from cimsearch.search.screening import screened, usable_results
from cimsearch.spec.study import Sampler

# So many results are uniform draws', and up to so many a surrogate is fitted to.
FIRST, MOST = 16, 300


def auto(
    problem: Problem, settings: Sampler, history: Sequence[Seen], draws: Draws
) -> Iterator[Child]:
    """Yield uniform draws, screened children or those of evolution, by how many results there are.

    With ``screening`` off there are no screened ones, and a share ``unscreened_frac`` of the
    trials that would be screened, every so many of them, is evolution's in any case. So are the
    children that follow the screened ones, should all of these be known.
    """
    evolution = nsga3 if len(problem.directions) > 3 else nsga2
    evolved = evolution(problem, settings, history, draws)
    results = usable_results(history, MOST + 1)
    if not settings.screening or len(results) > MOST:
        return evolved
    if len(results) < FIRST:
        return uniform(problem, settings, history, draws)
    if _is_unscreened(draws.k, settings.unscreened_frac):
        return evolved
    return chain(_new(problem, history, results, draws), evolved)


def _is_unscreened(k: int, frac: float) -> bool:
    """Return whether trial ``k`` ignores the surrogate: of the first n trials n * ``frac`` do."""
    return int((k + 1) * frac) > int(k * frac)


def _new(
    problem: Problem, history: Sequence[Seen], results: Group, draws: Draws
) -> Iterator[Child]:
    """Yield the screened vectors that no trial has."""
    running = [trial for trial in history if trial.state == "running"]
    # Draws may have been given variables that do not count; what is screened is repaired.
    known = set(map(tuple, vectors_of(problem, history).tolist()))
    for vector in screened(problem, results, running, draws.stream(0)).tolist():
        if tuple(vector) not in known:
            yield Child(tuple(vector))
