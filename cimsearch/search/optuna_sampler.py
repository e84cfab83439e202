"""The samplers of cimsearch in plain Optuna studies.

Optuna asks for the parameters of a trial before it knows which the objective will want. So they
are proposed together for every parameter that a trial so far has had: those of a branch that the
objective does not take are not used. A parameter that no trial has had is drawn uniformly.
"""

from collections.abc import Sequence
from itertools import chain
from threading import Lock
from typing import Any, cast, get_args
from weakref import WeakKeyDictionary

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from cimsearch.errors import UsageError
from cimsearch.search.algorithms import algorithm_of, check_installed, then_uniform
from cimsearch.search.from_optuna import domain_of_params, value_at
from cimsearch.search.problem import Child, Draws, Problem
from cimsearch.search.recall import NOTED, Recall, Union
from cimsearch.seeds import stream
from cimsearch.spec.study import Sampler, SamplerName

# After so many uniform draws of known parameters repeats are taken.
_RANDOM_TRIES = 50


class CimSampler(BaseSampler):
    """A sampler of cimsearch for Optuna.

    What it remembers of a study saves time and changes no answer; a copy begins without it.

    Args:
        name: As in a study file.
        seed: Seed of all draws.

    Raises:
        UsageError: There is no sampler of that name, or it needs what is not installed.
    """

    def __init__(self, name: str, seed: int) -> None:
        if name not in get_args(SamplerName):
            known = ", ".join(get_args(SamplerName))
            raise UsageError(f'found the sampler name "{name}"; allowed is {known}')
        self._settings = Sampler(name=cast(SamplerName, name))
        check_installed(self._settings.name)
        self._seed = seed
        self._unions: WeakKeyDictionary[optuna.Study, Union] = WeakKeyDictionary()
        self._recalls: WeakKeyDictionary[optuna.Study, Recall] = WeakKeyDictionary()
        self._lock = Lock()

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        return type(self), (self._settings.name, self._seed)

    def __str__(self) -> str:
        return f"{type(self).__name__}({self._settings.name}, seed {self._seed})"

    def infer_relative_search_space(
        self,
        study: optuna.Study,
        trial: FrozenTrial,  # noqa: ARG002 - the signatures are Optuna's
    ) -> dict[str, BaseDistribution]:
        """Return the newest distribution of every parameter with a choice, in order of name."""
        with self._lock:
            union = self._unions.setdefault(study, Union())
            return union.of(study.get_trials(deepcopy=False))

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters that the algorithm proposes."""
        if not search_space:
            return {}
        trials = study.get_trials(deepcopy=False)
        # Another order would be other vectors.
        space = dict(sorted(search_space.items()))
        with self._lock:
            recall = self._recalls.get(study)
            if recall is None or recall.dists != space:
                recall = self._recalls[study] = Recall(space, self._seed)
            child = self._child(recall, trials, study.directions, trial.number)
        if child.attrs:
            study._storage.set_trial_system_attr(trial._trial_id, NOTED, dict(child.attrs))
        places = zip(space.items(), child.vector, strict=True)
        return {name: value_at(dist, place) for (name, dist), place in places}

    def _child(
        self,
        recall: Recall,
        trials: Sequence[FrozenTrial],
        ways: Sequence[StudyDirection],
        number: int,
    ) -> Child:
        """Return the first child that no other trial is like, or the most wanted if all are."""
        history = recall.history(trials, number)
        problem = Problem(recall.domain, tuple(way.name.lower() for way in ways))
        draws = Draws(self._seed, number)
        children = algorithm_of(self._settings.name)(problem, self._settings, history, draws)
        candidates = then_uniform(children, recall.domain, draws, _RANDOM_TRIES)
        first = next(candidates)
        if recall.exhausted:
            return first
        new = (child for child in chain([first], candidates) if not recall.knows(child.vector))
        return next(new, first)

    def sample_independent(
        self,
        study: optuna.Study,  # noqa: ARG002
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a uniform draw: nothing is known of the parameter yet."""
        domain = domain_of_params({param_name: param_distribution})
        draw = domain.sample(1, stream("independent", self._seed, trial.number, param_name))
        return value_at(param_distribution, float(draw[0, 0]))
