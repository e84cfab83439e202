"""Vectors as parameters of Optuna's trials: how its samplers are shown a domain."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

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


def quiet() -> None:
    """Keep Optuna from announcing studies in memory: one that lives for a proposal is no news."""
    logging.getLogger("optuna.storages._in_memory").setLevel(logging.WARNING)
