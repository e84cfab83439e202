"""The algorithms by name. Each is imported when it is first used: some bring large libraries."""

from collections.abc import Iterator, Sequence
from itertools import count

from cimsearch.search.history import Seen
from cimsearch.search.problem import Algorithm, Child, Draws, Problem
from cimsearch.spec.study import Sampler, SamplerName


def algorithm_of(name: SamplerName) -> Algorithm:
    """Return the algorithm of that name."""
    if name == "random":
        return uniform
    from cimsearch.search.generations import optuna_nsga2

    return optuna_nsga2


def uniform(
    problem: Problem,
    settings: Sampler,  # noqa: ARG001 - it has no settings and no memory
    history: Sequence[Seen],  # noqa: ARG001
    draws: Draws,
) -> Iterator[Child]:
    """Yield uniform draws."""
    for attempt in count():
        yield Child(tuple(problem.domain.sample(1, draws.stream(attempt))[0].tolist()))
