"""NSGA-II's generations: which trials of a history the next child descends from.

Optuna looks for this in a study: for a new one it selects the parents of all generations again.
Here it is told, and a selection is remembered by all that it was made from: a proposal selects
only where results have come since the last. Remembering saves time and changes no answer.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import optuna
from optuna.distributions import BaseDistribution, CategoricalChoiceType
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from cimsearch.search.as_optuna import (
    distributions_of,
    frozen_trial,
    params_of_vector,
    study_in,
    vector_of_params,
)
from cimsearch.search.history import Group, Seen
from cimsearch.search.problem import Child, Draws, Problem
from cimsearch.spec.study import Sampler

# The name under which NSGA-II notes a trial's generation with it.
GENERATION = "NSGAIISampler:generation"

# At least the generations of a study, else remembering is in vain; each is a few kilobytes.
SELECTIONS = 4096


Select = Callable[[int, Group, Group], Group]
"""From a generation's number, its parents and their children to the parents of the next."""


@dataclass(frozen=True, slots=True)
class Descent:
    """Where the next child comes from.

    Attributes:
        generation: The generation it belongs to.
        parents: Those it is bred from, in the order of their selection; none in generation 0.
    """

    generation: int
    parents: tuple[Seen, ...]


class Breeder(NSGAIISampler):
    """Optuna's NSGA-II, told what it would look up in its study.

    Args:
        population: How many are selected.
        parents: The trials to breed from, or to select from.
        born: More trials to select from: the parents' children.
        dists: The distribution of every parameter, to breed; each leaves a choice.
        seed: Seed of the draws.
    """

    def __init__(
        self,
        population: int,
        parents: Sequence[FrozenTrial],
        *,
        born: Sequence[FrozenTrial] = (),
        dists: Mapping[str, BaseDistribution] | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(population_size=population, seed=seed)
        self._parents, self._born = list(parents), list(born)
        self._dists = dists or {}

    def infer_relative_search_space(
        self,
        study: optuna.Study,  # noqa: ARG002 - the signatures are Optuna's
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Return the distributions in the order in which Optuna finds them."""
        return dict(sorted(self._dists.items()))

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:  # noqa: ARG002
        """Return any number: the parents do not follow from it."""
        return 0

    def get_parent_population(
        self,
        study: optuna.Study,  # noqa: ARG002
        generation: int,  # noqa: ARG002
    ) -> list[FrozenTrial]:
        """Return the parents."""
        return self._parents

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:  # noqa: ARG002
        """Return the parents' children."""
        return self._born


def optuna_nsga2(
    problem: Problem, settings: Sampler, history: Sequence[Seen], draws: Draws
) -> Iterator[Child]:
    """Yield children of Optuna's NSGA-II: for each a fresh sampler, told what to breed from."""
    origin = descent(history, settings.population, problem.directions)
    return bred(problem, settings, draws, origin, GENERATION)


def descent(history: Sequence[Seen], population: int, directions: Sequence[str]) -> Descent:
    """Return where NSGA-II's next child comes from: what Optuna finds in such a study."""
    ways = tuple(directions)

    def select(_generation: int, parents: Group, born: Group) -> Group:
        return _select(population, ways, parents, born)

    return lineage(history, population, GENERATION, select)


def bred(
    problem: Problem, settings: Sampler, draws: Draws, origin: Descent, note: str
) -> Iterator[Child]:
    """Yield children of ``origin``'s parents; under ``note`` each has its generation."""
    variables = problem.domain.variables
    dists = distributions_of(variables)
    for attempt in count():
        # Optuna has parents as selected at the first look and by number from then on.
        parents = sorted(origin.parents, key=_number) if attempt else origin.parents
        alive = [frozen(trial, params_of_vector(variables, trial.genes)) for trial in parents]
        breeder = Breeder(settings.population, alive, dists=dists, seed=draws.number(attempt))
        params = empty_study(problem.directions, breeder).ask(dists).params
        yield Child(vector_of_params(variables, params), {note: origin.generation})


def _number(trial: Seen) -> int:
    return trial.number


def lineage(history: Sequence[Seen], population: int, note: str, select: Select) -> Descent:
    """Return where the next child comes from.

    A generation is over once ``population`` results of it can be seen. The parents of the next
    are selected from it and from its own parents.

    Args:
        history: All trials that may be known.
        population: So many results end a generation.
        note: Under which name a trial has its generation.
        select: Who become parents.
    """
    born: dict[int, list[Seen]] = defaultdict(list)
    for trial in history:
        if trial.state == "complete" and note in trial.attrs:
            born[trial.attrs[note]].append(trial)
    generation = max(born, default=0)
    if len(born[generation]) >= population:
        generation += 1
    parents = Group()
    for number in range(generation):
        parents = select(number, parents, Group(born[number]))
    return Descent(generation, parents)


@lru_cache(maxsize=SELECTIONS)
def _select(population: int, directions: tuple[str, ...], parents: Group, born: Group) -> Group:
    """Return who of a generation's parents and their children are the parents of the next."""
    of = {trial.number: trial for trial in (*born, *parents)}
    alive, children = ([frozen(trial, {}) for trial in group] for group in (parents, born))
    breeder = Breeder(population, alive, born=children)
    selected = breeder.select_parent(empty_study(directions, breeder), 1)
    return Group(of[trial.number] for trial in selected)


def empty_study(directions: Sequence[str], sampler: BaseSampler) -> optuna.Study:
    """Return a study in memory without trials."""
    return study_in(InMemoryStorage(), directions, sampler)


def frozen(trial: Seen, params: Mapping[str, CategoricalChoiceType]) -> FrozenTrial:
    """Return a complete trial as NSGA-II looks at it."""
    return frozen_trial(trial.number, params, values=trial.values, constraints=trial.constraints)
