"""The algorithms by name. Each is imported when it is first used: some bring large libraries."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import count, islice
from typing import Any

from cimsearch.errors import UsageError
from cimsearch.search.domain import Domain
from cimsearch.search.history import Seen
from cimsearch.search.problem import UNIFORM, Algorithm, Child, Draws, Problem
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


# After so many repeats of what is known an algorithm gives way to uniform draws.
_TRIES = 50


def check_installed(name: SamplerName) -> None:
    """Check that what an algorithm needs is installed where proposals are made.

    Raises:
        UsageError: It is not.
    """
    if name == "gp" and find_spec("torch") is None:
        raise UsageError(
            "the sampler gp needs torch, which is not installed here",
            hint="install cimsearch[train] where proposals are made, or choose tpe or auto",
        )


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
        yield Child(tuple(problem.domain.sample(1, draws.stream(attempt))[0].tolist()), UNIFORM)


def then_uniform(
    children: Iterator[Child], domain: Domain, draws: Draws, n: int
) -> Iterator[Child]:
    """Yield an algorithm's first children, then ``n`` uniform draws.

    What the algorithm notes stays with a uniform draw, so that this can become a parent.
    """
    attrs: Mapping[str, Any] = {}
    for child in islice(children, _TRIES):
        attrs = child.attrs
        yield child
    for attempt in range(_TRIES, _TRIES + n):
        yield Child(tuple(domain.sample(1, draws.stream(attempt))[0].tolist()), attrs)
