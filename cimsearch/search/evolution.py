"""Evolution: NSGA-II, NSGA-III, SMS-EMOA and AGE-MOEA-II on a domain's vectors.

They differ in who survives, for which pymoo's survivals are used; children are made by operators
that fit the variables. Nothing is kept between proposals: a population follows from the results.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import count

import numpy as np

from cimsearch.search.domain import Vectors
from cimsearch.search.history import Group, Seen
from cimsearch.search.operators import Parents, children_of
from cimsearch.search.population import Rule, Survival, order_of, population_of, survivors
from cimsearch.search.problem import UNIFORM, Algorithm, Child, Draws, Problem
from cimsearch.spec.study import Sampler

# Children are made so many at a time: one costs about as much as all of them.
_LITTER = 10

# So many results come between two survivals. (Hypervolume of mixed DTLZ2 after 250 results, median
# of 5 seeds: 57.7 with one result, at five times the cost; 56.7 with 10; 51.6 with 50, which are
# generations.)
_CHUNK = 10

# Of those alive they breed who would survive if fewer did: this share, but not fewer than _FEWEST.
# The others are what the front is spread over later. (Likewise, by rank and crowding: 53.9 if all
# breed, 56.2 half, 57.6 this share, 57.0 a fifth; where variables are coupled too this share led.)
_BREEDING = 0.3
_FEWEST = 10

# The last populations of a few studies.
_POPULATIONS = 64


def offspring(
    problem: Problem,
    settings: Sampler,
    history: Sequence[Seen],
    rng: np.random.Generator,
    n: int,
    survival: Survival = "nsga2",
) -> Vectors:
    """Return ``n`` children (n, v) of the population that a history leads to.

    They may be infeasible and may repeat known vectors. Until there are ``population`` results
    they are uniform draws.

    Args:
        problem: What is searched.
        settings: Of which ``population`` counts.
        history: Trials in order of number; of complete ones all count, whoever proposed them.
        rng: The draws.
        n: How many.
        survival: Which algorithm decides who survives.
    """
    return _bred(problem, _parents(problem, settings, history, survival), n, rng)


def _parents(
    problem: Problem, settings: Sampler, history: Sequence[Seen], survival: Survival
) -> Parents | None:
    """Return who breeds; None before there is a population."""
    size = settings.population
    rule = Rule(survival, size, min(_CHUNK, size), problem.directions)
    alive = population_of(history, rule)
    return _better(alive, rule) if len(alive) >= size else None


@lru_cache(maxsize=_POPULATIONS)
def _better(alive: Group, rule: Rule) -> Parents:
    """Return those who would survive if fewer did."""
    fewer = max(_FEWEST, int(_BREEDING * rule.size))
    best = survivors(alive, replace(rule, size=fewer))
    vectors = np.array([trial.genes for trial in best], dtype=np.float64)
    return Parents(vectors, order_of(best, rule.directions))


def _bred(problem: Problem, parents: Parents | None, n: int, rng: np.random.Generator) -> Vectors:
    if parents is None:
        return problem.domain.sample(n, rng)
    return children_of(problem.domain, parents, n, rng)


def _evolution(
    problem: Problem,
    settings: Sampler,
    history: Sequence[Seen],
    draws: Draws,
    *,
    survival: Survival,
) -> Iterator[Child]:
    """Yield children of the population that the history leads to."""
    parents = _parents(problem, settings, history, survival)
    attrs = UNIFORM if parents is None else {}
    for litter in count():
        vectors = _bred(problem, parents, _LITTER, draws.stream(litter))
        yield from (Child(tuple(vector), attrs) for vector in vectors.tolist())


nsga2: Algorithm = partial(_evolution, survival="nsga2")
nsga3: Algorithm = partial(_evolution, survival="nsga3")
sms_emoa: Algorithm = partial(_evolution, survival="sms_emoa")
age_moea2: Algorithm = partial(_evolution, survival="age_moea2")
