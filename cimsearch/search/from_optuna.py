"""The parameters of Optuna's trials as vectors: how a plain study's space becomes a domain."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cimsearch.search.domain import Domain, Variable, Vectors

# Of more values than these a step to the next is a small one: the variable is real, and rounded.
_MOST_STEPS = 32


def domain_of_params(dists: Mapping[str, BaseDistribution]) -> Domain:
    """Return the domain of parameters with these distributions, in their order.

    All of them count always: what an objective asks for under a condition is not known before.
    """
    variables = tuple(_variable(name, dist) for name, dist in dists.items())
    return Domain(variables, _all_count, _as_they_are)


def _all_count(vectors: Vectors) -> NDArray[np.bool_]:
    return np.ones(vectors.shape, dtype=bool)


def _as_they_are(vectors: Vectors) -> Vectors:
    return vectors


def _variable(name: str, dist: BaseDistribution) -> Variable:
    """Return a parameter as a variable; its group is what its name has before a dot."""
    group = name.split(".", 1)[0]
    if isinstance(dist, CategoricalDistribution):
        return Variable(name, "categorical", len(dist.choices), group)
    if _is_ordinal(dist):
        return Variable(name, "ordinal", _steps(dist), group)
    return Variable(name, "real", 0, group)


def _is_ordinal(dist: BaseDistribution) -> bool:
    """Return whether neighbours of few numbers are equally alike: a log scale is no such."""
    return not _number(dist).log and 0 < _steps(dist) <= _MOST_STEPS


def _number(dist: BaseDistribution) -> FloatDistribution | IntDistribution:
    if not isinstance(dist, FloatDistribution | IntDistribution):
        raise TypeError(f"found a parameter of {type(dist).__name__}; Optuna's three are known")
    return dist


def _steps(dist: BaseDistribution) -> int:
    """Return how many values a parameter has; 0 if any in its range."""
    number = _number(dist)
    if number.step is None:
        return 0
    return round((number.high - number.low) / number.step) + 1


def value_at(dist: BaseDistribution, place: float) -> CategoricalChoiceType:
    """Return the parameter at a place of its variable: an index, or 0..1 of its range."""
    if isinstance(dist, CategoricalDistribution):
        return dist.choices[int(place)]
    number = _number(dist)
    if number.log:
        low, high = _log_range(number)
        value = math.exp(low + place * (high - low))
    elif number.step is None:
        value = number.low + place * (number.high - number.low)
    else:
        steps = _steps(dist)
        index = place if _is_ordinal(dist) else min(math.floor(place * steps), steps - 1)
        value = number.low + int(index) * number.step
    value = min(max(value, number.low), number.high)
    return round(value) if isinstance(dist, IntDistribution) else float(value)


def place_of(dist: BaseDistribution, value: CategoricalChoiceType) -> float:
    """Return the place of a parameter, of which ``value_at`` gives it back.

    What is out of range, as it can be where a study changes its ranges, is put at its edge.
    """
    if isinstance(dist, CategoricalDistribution):
        return dist.to_internal_repr(value)
    number = _number(dist)
    inside = min(max(dist.to_internal_repr(value), number.low), number.high)
    if number.log:
        low, high = _log_range(number)
        return (math.log(inside) - low) / (high - low)
    if number.step is None:
        return (inside - number.low) / (number.high - number.low)
    index = round((inside - number.low) / number.step)
    return float(index) if _is_ordinal(dist) else (index + 0.5) / _steps(dist)


def _log_range(number: FloatDistribution | IntDistribution) -> tuple[float, float]:
    """Return the logarithms that a log scale is from and to: half a step more for integers."""
    more = 0.5 if isinstance(number, IntDistribution) else 0.0
    return math.log(number.low - more), math.log(number.high + more)
