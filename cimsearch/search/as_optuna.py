"""Vectors as parameters of Optuna's trials: how its samplers are shown a domain."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from cimsearch.search.domain import Variable


def distributions_of(variables: Sequence[Variable]) -> dict[str, BaseDistribution]:
    """Return the distribution of every variable: of choices it is that of their index."""
    return {variable.name: _distribution(variable) for variable in variables}


def _distribution(variable: Variable) -> BaseDistribution:
    if variable.kind == "real":
        return FloatDistribution(0.0, 1.0)
    if variable.kind == "ordinal":
        return IntDistribution(0, variable.size - 1)
    return CategoricalDistribution(tuple(range(variable.size)))


def params_of_vector(
    variables: Sequence[Variable], vector: Sequence[float]
) -> dict[str, CategoricalChoiceType]:
    """Return a vector (v,) as parameters."""
    return {
        variable.name: value if variable.kind == "real" else int(value)
        for variable, value in zip(variables, vector, strict=True)
    }


def vector_of_params(
    variables: Sequence[Variable], params: Mapping[str, Any]
) -> tuple[float, ...]:
    """Return parameters as a vector (v,): the inverse of ``params_of_vector``."""
    return tuple(float(params[variable.name]) for variable in variables)


def frozen_trial(
    number: int,
    params: Mapping[str, CategoricalChoiceType],
    *,
    values: Sequence[float] | None = None,
    constraints: Sequence[float] = (),
    dists: Mapping[str, BaseDistribution] | None = None,
) -> FrozenTrial:
    """Return a trial as Optuna's samplers look at it: complete if it has values, else running."""
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.RUNNING if values is None else TrialState.COMPLETE,
        value=None,
        values=values,
        datetime_start=None,
        datetime_complete=None,
        params=dict(params),
        distributions=dict(dists or {}),
        user_attrs={},
        system_attrs={f"constraints:c{i}": value for i, value in enumerate(constraints)},
        intermediate_values={},
    )


def study_in(
    storage: InMemoryStorage, directions: Sequence[str], sampler: BaseSampler
) -> optuna.Study:
    """Return a new study, which lives for one proposal, in a storage of its own."""
    # That is no news; Optuna would announce each.
    logging.getLogger("optuna.storages._in_memory").setLevel(logging.WARNING)
    storage.create_new_study([StudyDirection[name.upper()] for name in directions], "shown")
    return optuna.Study("shown", storage, sampler)
