"""Parameters of Optuna become vectors and come back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cimsearch.search.from_optuna import domain_of_params, place_of, value_at

DISTS = {
    "share": FloatDistribution(-2.0, 3.0),
    "rate": FloatDistribution(1e-6, 10.0, log=True),
    "quarter": FloatDistribution(0.0, 1.0, step=0.25),
    "fine": FloatDistribution(-10.2, 10.2, step=0.1),
    "stage.depth": IntDistribution(-3, 4),
    "even": IntDistribution(0, 10, step=2),
    "many": IntDistribution(0, 5000, step=5),
    "width": IntDistribution(1, 1000, log=True),
    "kind": CategoricalDistribution(("a", None, True, 2.5)),
}
KINDS = {
    "share": ("real", 0),
    "rate": ("real", 0),
    "quarter": ("ordinal", 5),
    "fine": ("real", 0),
    "stage.depth": ("ordinal", 8),
    "even": ("ordinal", 6),
    "many": ("real", 0),
    "width": ("real", 0),
    "kind": ("categorical", 4),
}


def test_each_parameter_is_a_variable_of_its_kind() -> None:
    variables = domain_of_params(DISTS).variables
    assert {v.name: (v.kind, v.size) for v in variables} == KINDS
    assert {v.name: v.group for v in variables}["stage.depth"] == "stage"


@given(st.integers(0, 10**6))
def test_every_place_is_a_value_in_range_that_comes_back(seed: int) -> None:
    drawn = domain_of_params(DISTS).sample(1, np.random.default_rng(seed))[0]
    for (name, dist), place in zip(DISTS.items(), drawn.tolist(), strict=True):
        value = value_at(dist, place)
        assert dist._contains(dist.to_internal_repr(value)), name
        again = value_at(dist, place_of(dist, value))
        assert again == pytest.approx(value) if isinstance(value, float) else again == value


@pytest.mark.parametrize("dist", [DISTS["many"], DISTS["width"], DISTS["even"]])
def test_every_integer_has_a_place(dist: IntDistribution) -> None:
    values = range(dist.low, dist.high + 1, dist.step)
    assert [value_at(dist, place_of(dist, value)) for value in values] == list(values)


@pytest.mark.parametrize("name", ["share", "rate", "fine", "many", "width"])
def test_the_ends_of_a_range_are_reached(name: str) -> None:
    dist: BaseDistribution = DISTS[name]
    assert isinstance(dist, FloatDistribution | IntDistribution)
    assert value_at(dist, 0.0) == pytest.approx(dist.low)
    assert value_at(dist, 1.0) == pytest.approx(dist.high)


def test_what_is_out_of_a_changed_range_is_at_its_edge() -> None:
    assert place_of(IntDistribution(0, 4), 9) == 4.0
    assert place_of(FloatDistribution(0.0, 2.0), -7.0) == 0.0


def test_integers_on_a_log_scale_are_drawn_as_often_in_each_octave() -> None:
    dist = IntDistribution(1, 1023, log=True)
    values = [value_at(dist, place) for place in np.linspace(0, 1, 1001).tolist()]
    low = sum(1 for value in values if isinstance(value, int) and value < 32)
    assert 0.4 < low / 1001 < 0.6
