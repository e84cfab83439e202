"""Optuna's TPE and GP, and quasi-random points, as pure functions.

An Optuna sampler keeps its random state and a memory of its study. Here each child comes of a
fresh one, seeded from the proposal's draws, that is shown the visible history as a study.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState
from scipy.stats.qmc import Sobol

from cimsearch.search.algorithms import check_installed
from cimsearch.search.as_optuna import (
    distributions_of,
    frozen_trial,
    params_of_vector,
    study_in,
    vector_of_params,
)
from cimsearch.search.domain import Variable
from cimsearch.search.history import Seen
from cimsearch.search.problem import UNIFORM, Child, Draws, Problem
from cimsearch.seeds import stream
from cimsearch.spec.study import Sampler

# Trials of one domain that are remembered in Optuna's form: some kilobytes each.
_SHOWN = 20_000

# Before so many complete trials TPE and GP draw uniformly: Optuna's own number.
STARTUP = 10

_Show = Callable[[Seen], FrozenTrial]


def tpe(
    problem: Problem,
    settings: Sampler,  # noqa: ARG001 - Optuna's own settings are used
    history: Sequence[Seen],
    draws: Draws,
) -> Iterator[Child]:
    """Yield children of Optuna's tree-structured Parzen estimator."""
    return _children(problem, history, draws, lambda seed: TPESampler(seed=seed))


def gp(
    problem: Problem,
    settings: Sampler,  # noqa: ARG001
    history: Sequence[Seen],
    draws: Draws,
) -> Iterator[Child]:
    """Yield children of Optuna's Gaussian processes.

    Raises:
        UsageError: torch is not installed.
    """
    check_installed("gp")
    return _children(problem, history, draws, lambda seed: GPSampler(seed=seed))


def qmc(
    problem: Problem,
    settings: Sampler,  # noqa: ARG001 - it has no settings and no memory
    history: Sequence[Seen],  # noqa: ARG001
    draws: Draws,
) -> Iterator[Child]:
    """Yield the k-th point of scrambled Sobol' sequences.

    All first children of a study are points of one sequence, all second ones of another.
    """
    sizes = problem.domain.sizes
    for attempt in count():
        sobol = Sobol(len(sizes), rng=stream("sobol", draws.seed, attempt))
        if draws.k:
            sobol.fast_forward(draws.k)
        point = sobol.random(1)[0]
        yield Child(tuple(np.where(sizes > 0, np.floor(point * sizes), point).tolist()))


def _children(
    problem: Problem,
    history: Sequence[Seen],
    draws: Draws,
    sampler_of: Callable[[int], BaseSampler],
) -> Iterator[Child]:
    """Yield what fresh samplers, each with a seed of its own, suggest.

    Another child is asked for if the one before is known. To the next sampler it is a trial that
    is running: else its estimate would be the same, and in a small space so would the child.
    """
    variables = problem.domain.variables
    dists = distributions_of(variables)
    show = _shower(variables)
    trials = [show(trial) for trial in history if trial.state != "failed"]
    complete = sum(trial.state == "complete" for trial in history)
    attrs = UNIFORM if complete < STARTUP else {}
    for attempt in count():
        sampler = sampler_of(draws.number(attempt))
        study = study_in(_Shown(trials), problem.directions, sampler)
        params = _suggested(sampler, study, dists, draws.k)
        yield Child(vector_of_params(variables, params), attrs)
        number = draws.k + 1 + attempt
        trials.append(frozen_trial(number, params, dists=dists))


class _Shown(InMemoryStorage):
    """A storage with one study of given trials; what samplers note with a trial is lost."""

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        super().__init__()
        self._trials = trials

    def get_all_trials(
        self,
        study_id: int,  # noqa: ARG002 - the signatures are Optuna's
        deepcopy: bool = True,  # noqa: ARG002
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials themselves: samplers do not change them."""
        return [trial for trial in self._trials if states is None or trial.state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Do nothing."""


def _suggested(
    sampler: BaseSampler, study: optuna.Study, dists: Mapping[str, BaseDistribution], number: int
) -> dict[str, Any]:
    """Return parameters as a trial of that number gets them: together, the others one by one."""
    trial = frozen_trial(number, {})
    sampler.before_trial(study, trial)
    space = sampler.infer_relative_search_space(study, trial)
    params = dict(sampler.sample_relative(study, trial, space))
    for name, dist in dists.items():
        if dist.single():
            params[name] = dist.to_external_repr(0)
        elif name not in params:
            params[name] = sampler.sample_independent(study, trial, name, dist)
    return params


@lru_cache(maxsize=8)
def _shower(variables: tuple[Variable, ...]) -> _Show:
    """Return what makes trials of a domain Optuna's; it remembers them."""
    dists = distributions_of(variables)

    @lru_cache(maxsize=_SHOWN)
    def shown(
        number: int,
        genes: tuple[float, ...],
        values: tuple[float, ...] | None,
        constraints: tuple[float, ...],
    ) -> FrozenTrial:
        params = params_of_vector(variables, genes)
        return frozen_trial(number, params, values=values, constraints=constraints, dists=dists)

    return lambda trial: shown(trial.number, trial.genes, trial.values, trial.constraints)
