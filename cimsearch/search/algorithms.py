"""The algorithms by name. Each is imported when it is first used: some bring large libraries."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import count

from cimsearch.search.history import Seen
from cimsearch.search.problem import Algorithm, Child, Draws, Problem
from cimsearch.spec.study import Sampler, SamplerName

# The module of each: in it the algorithm has its name.
_HOMES: dict[SamplerName, str] = {
    "auto": "auto",
    "nsga2": "evolution",
    "nsga3": "evolution",
    "sms_emoa": "evolution",
    "age_moea2": "evolution",
    "qmc": "optuna_algorithms",
    "tpe": "optuna_algorithms",
    "gp": "optuna_algorithms",
    "optuna_nsga2": "generations",
    "optuna_nsga3": "niching",
}


def algorithm_of(name: SamplerName) -> Algorithm:
    """Return the algorithm of that name."""
    if name == "random":
        return uniform
    algorithm: Algorithm = getattr(import_module(f"cimsearch.search.{_HOMES[name]}"), name)
    return algorithm


def uniform(
    problem: Problem,
    settings: Sampler,  # noqa: ARG001 - it has no settings and no memory
    history: Sequence[Seen],  # noqa: ARG001
    draws: Draws,
) -> Iterator[Child]:
    """Yield uniform draws."""
    for attempt in count():
        yield Child(tuple(problem.domain.sample(1, draws.stream(attempt))[0].tolist()))
