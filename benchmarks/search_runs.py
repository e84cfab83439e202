"""Searches on the test problems: the hypervolume after each trial, of ours and of the peers.

All run in plain Optuna studies in memory, one trial after the other, with their defaults: a
population of 50 where there is one. Every sampler sees all results so far.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    NSGAIIISampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from search_problems import MIXED_DTLZ2, MIXED_ZDT1, MixedProblem

from cimsearch.pareto import Points, front_mask, hypervolume
from cimsearch.search import make_sampler
from cimsearch.spec.study import SamplerName

Array = NDArray[np.float64]

NSGA2, NSGA3, TPE, RANDOM = "Optuna NSGA-II", "Optuna NSGA-III", "Optuna TPE", "Optuna random"
OURS: tuple[SamplerName, ...] = ("auto", "nsga2", "nsga3", "sms_emoa", "age_moea2")
POPULATION = 50
PROBLEMS = {problem.name: problem for problem in (MIXED_DTLZ2, MIXED_ZDT1)}


@dataclass(frozen=True)
class Search:
    """A search on a test problem.

    Attributes:
        problem: Name of the problem.
        algorithm: One of ``OURS`` or of the peers' names.
        trials: How many.
        seed: Of the sampler.
    """

    problem: str
    algorithm: str
    trials: int
    seed: int


def quiet() -> None:
    """Keep Optuna from telling of every trial, and of samplers that it may change."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", ExperimentalWarning)


def peer_sampler(name: str, seed: int, population: int = POPULATION) -> BaseSampler:
    """Return the sampler of a peer."""
    makers: dict[str, Callable[[], BaseSampler]] = {
        NSGA2: lambda: NSGAIISampler(population_size=population, seed=seed),
        NSGA3: lambda: NSGAIIISampler(population_size=population, seed=seed),
        TPE: lambda: TPESampler(seed=seed),
        RANDOM: lambda: RandomSampler(seed=seed),
    }
    return makers[name]()


def searched(search: Search) -> Array:
    """Return the hypervolume (n,) after each trial of a search."""
    quiet()
    name, seed = search.algorithm, search.seed
    sampler = make_sampler(name, seed) if name in OURS else peer_sampler(name, seed)
    problem = PROBLEMS[search.problem]
    study = optuna.create_study(directions=problem.directions, sampler=sampler)
    study.optimize(problem, n_trials=search.trials)
    return growth(np.array([trial.values for trial in study.trials]), problem)


def growth(points: Points, problem: MixedProblem) -> Array:
    """Return the hypervolume (n,) of the first 1, 2, ... n points (n, m)."""
    front, found = points[:0], []
    for point in points:
        front = np.vstack([front, point])
        front = front[front_mask(front)]
        found.append(hypervolume(front, problem.reference))
    return np.array(found)


def first_at(found: Array, goal: float) -> float:
    """Return after how many trials ``found`` (n,) is at the goal; infinite if it never is."""
    there = np.flatnonzero(found >= goal)
    return float(there[0] + 1) if len(there) else np.inf
