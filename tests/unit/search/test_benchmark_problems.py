"""The test problems of the benchmarks are as they are stated."""

import math
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cimsearch.pareto import hypervolume

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def problems() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        return import_module("search_problems")


def at(problems: Any, place_of_others: float, **reals: float) -> dict[str, Any]:
    """Return parameters at given places: ``place_of_others`` is one that every kind has."""
    numbers = range(10)
    choices = {
        n: next(c for c in "abcde" if problems.choice_place(n, c) == place_of_others)
        for n in numbers
    }
    return {
        **{f"real{n}": reals.get(f"real{n}", place_of_others) for n in numbers},
        **{f"step{n}": round(10 * place_of_others) for n in numbers},
        **{f"choice{n}": choices[n] for n in numbers},
    }


def values(problem: Any, params: dict[str, Any]) -> list[float]:
    """Return what an Optuna study is told of parameters."""
    study = optuna.create_study(directions=problem.directions)
    study.enqueue_trial(params)
    study.optimize(problem, n_trials=1)
    (trial,) = study.trials
    assert trial.params == params
    return list(trial.values)


def test_parameters_are_ten_of_each_kind(problems: Any) -> None:
    study = optuna.create_study(directions=problems.MIXED_DTLZ2.directions)
    study.optimize(problems.MIXED_DTLZ2, n_trials=1)
    dists = study.trials[0].distributions
    for n in range(10):
        assert dists.pop(f"real{n}") == FloatDistribution(0.0, 1.0)
        assert dists.pop(f"step{n}") == IntDistribution(0, 10)
        assert dists.pop(f"choice{n}") == CategoricalDistribution(("a", "b", "c", "d", "e"))
    assert dists == {}


def test_choices_are_at_five_places_and_no_neighbours_of_a_list_are_neighbours(
    problems: Any,
) -> None:
    for n in range(10):
        places = [problems.choice_place(n, choice) for choice in "abcde"]
        assert sorted(places) == [0.0, 0.25, 0.5, 0.75, 1.0]
        assert all(abs(a - b) > 0.25 for a, b in pairwise(places))
    assert [problems.choice_place(0, choice) for choice in "abcde"] == [0, 0.5, 1, 0.25, 0.75]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (0.0, 0.0, [1.0, 0.0, 0.0]),
        (0.0, 1.0, [0.0, 1.0, 0.0]),
        (1.0, 0.3, [0.0, 0.0, 1.0]),
        (0.5, 0.5, [0.5, 0.5, math.sqrt(0.5)]),
    ],
)
def test_dtlz2_has_the_sphere_at_its_optimum(
    problems: Any, first: float, second: float, expected: list[float]
) -> None:
    found = values(problems.MIXED_DTLZ2, at(problems, 0.5, real0=first, real1=second))
    assert found == pytest.approx(expected, abs=1e-12)


def test_dtlz2_at_its_worst_is_eight_times_the_sphere(problems: Any) -> None:
    found = values(problems.MIXED_DTLZ2, at(problems, 1.0, real0=0.0, real1=0.0))
    assert found == pytest.approx([1 + 28 / 4, 0.0, 0.0], abs=1e-12)


@given(places=st.lists(st.floats(0, 1), min_size=30, max_size=30))
def test_dtlz2_is_on_the_sphere_of_its_radius(problems: Any, places: list[float]) -> None:
    radius = 1 + sum((place - 0.5) ** 2 for place in places[2:])
    found = problems.MIXED_DTLZ2.values(places)
    assert math.hypot(*found) == pytest.approx(radius)
    assert min(found) >= -1e-12


@pytest.mark.parametrize("first", [0.0, 0.25, 1.0])
def test_zdt1_has_its_front_at_its_optimum(problems: Any, first: float) -> None:
    found = values(problems.MIXED_ZDT1, at(problems, 0.0, real0=first))
    assert found == pytest.approx([first, 1 - math.sqrt(first)])


def test_zdt1_at_its_worst(problems: Any) -> None:
    assert values(problems.MIXED_ZDT1, at(problems, 1.0, real0=0.0)) == pytest.approx([0.0, 10.0])


@given(places=st.lists(st.floats(0, 1), min_size=30, max_size=30))
def test_nothing_is_below_the_front_of_zdt1(problems: Any, places: list[float]) -> None:
    first, second = problems.MIXED_ZDT1.values(places)
    assert first == places[0]
    assert second >= 1 - math.sqrt(first) - 1e-12


def test_exact_hypervolumes_are_those_of_the_fronts(problems: Any) -> None:
    ends = np.linspace(0, 1, 200)
    sphere = [problems.dtlz2([a, b, *[0.5] * 28]) for a in ends for b in ends]
    curve = [problems.zdt1([a, *[0.0] * 29]) for a in ends]
    for problem, front in ((problems.MIXED_DTLZ2, sphere), (problems.MIXED_ZDT1, curve)):
        found = hypervolume(np.array(front), problem.reference)
        assert found <= problem.exact
        assert found == pytest.approx(problem.exact, abs=0.02)
