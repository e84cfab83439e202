"""Optuna's NSGA-III: its generations are NSGA-II's, but for who is selected of them.

A selection draws: from a stream of its study and generation, so that every proposal that needs it
gets the same one. It is remembered as NSGA-II's are.
"""

import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import NSGAIIISampler
from optuna.trial import FrozenTrial

from cimsearch.search.generations import SELECTIONS, bred, empty_study, frozen, lineage
from cimsearch.search.history import Group, Seen
from cimsearch.search.problem import Child, Draws, Problem
from cimsearch.seeds import torch_seed
from cimsearch.spec.study import Sampler

# The name under which NSGA-III notes a trial's generation with it.
GENERATION = "NSGAIIISampler:generation"


class _Selector(NSGAIIISampler):
    """Optuna's NSGA-III, told what it would look up in its study."""

    def __init__(
        self,
        population: int,
        parents: Sequence[FrozenTrial],
        born: Sequence[FrozenTrial],
        seed: int,
    ) -> None:
        super().__init__(population_size=population, seed=seed)
        self._parents, self._born = list(parents), list(born)

    def get_parent_population(
        self,
        study: optuna.Study,  # noqa: ARG002 - the signatures are Optuna's
        generation: int,  # noqa: ARG002
    ) -> list[FrozenTrial]:
        """Return the parents."""
        return self._parents

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:  # noqa: ARG002
        """Return the parents' children."""
        return self._born


def optuna_nsga3(
    problem: Problem, settings: Sampler, history: Sequence[Seen], draws: Draws
) -> Iterator[Child]:
    """Yield children of Optuna's NSGA-III: NSGA-II's children of other parents."""
    ways = tuple(problem.directions)

    def select(generation: int, parents: Group, born: Group) -> Group:
        draw = torch_seed("selection", draws.seed, generation) % 2**32
        return _select(settings.population, ways, draw, parents, born)

    origin = lineage(history, settings.population, GENERATION, select)
    return bred(problem, settings, draws, origin, GENERATION)


@lru_cache(maxsize=SELECTIONS)
def _select(
    population: int, directions: tuple[str, ...], seed: int, parents: Group, born: Group
) -> Group:
    """Return who of a generation's parents and their children are the parents of the next."""
    of = {trial.number: trial for trial in (*born, *parents)}
    alive, children = ([frozen(trial, {}) for trial in group] for group in (parents, born))
    with warnings.catch_warnings():
        # Optuna announces that it may change the sampler; its version is this package's choice.
        warnings.simplefilter("ignore", ExperimentalWarning)
        selector = _Selector(population, alive, children, seed)
    selected = selector.select_parent(empty_study(directions, selector), 1)
    return Group(of[number] for number in sorted(trial.number for trial in selected))
