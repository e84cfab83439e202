"""Populations: a replay of the results, of whom the best survive."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.search import population
from cimsearch.search.history import Seen
from cimsearch.search.population import (
    Rule,
    Survival,
    order_of,
    population_of,
    selected,
    standing_of,
)
from cimsearch.seeds import stream
from tests.unit.search.evolving import MIN3, NAMES, dealt, draws_of, trial


def replayed(history: Sequence[Seen], rule: Rule) -> tuple[Seen, ...]:
    """Return the population as it came about, told once more without any memory."""
    alive: tuple[Seen, ...] = ()
    waiting: list[Seen] = []
    for seen in history:
        if seen.state != "complete":
            continue
        if len(alive) < rule.size:
            alive = (*alive, seen)
            continue
        waiting.append(seen)
        if len(waiting) == rule.chunk:
            trials = (*alive, *waiting)
            rng = stream("survival", len(trials), trials[-1].number)
            kept = selected(rule, standing_of(trials, rule.directions), rng)
            alive, waiting = tuple(trials[i] for i in sorted(kept)), []
    return alive


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 70),
    objectives=st.integers(1, 4),
    size=st.integers(2, 12),
    chunk=st.integers(1, 6),
)
def test_a_population_is_its_history_replayed(
    name: Survival, seed: int, n: int, objectives: int, size: int, chunk: int
) -> None:
    rule = Rule(name, size, chunk, ("maximize", *MIN3)[:objectives])
    history = dealt(seed, n, objectives)
    alive = population_of(history, rule)
    assert alive == replayed(history, rule)
    complete = sum(seen.state == "complete" for seen in history)
    assert len(alive) == min(size, complete)
    # The same again from other objects that are equal, with what is remembered and without.
    again = [replace(seen) for seen in history]
    assert population_of(again, rule) == alive


def test_a_long_history_is_replayed_as_a_short_one_is() -> None:
    rule = Rule("nsga2", 6, 2, MIN3)
    history = dealt(1, 600, 3)
    grown = [population_of(history[:n], rule) for n in range(400, 600)]
    assert grown[-1] == replayed(history[:599], rule)
    assert grown[60] == replayed(history[:460], rule)


def test_what_has_survived_once_is_not_selected_again() -> None:
    rule = Rule("sms_emoa", 8, 5, MIN3)
    history = [trial(n, tuple(values)) for n, values in enumerate(draws_of(3, 1500))]
    population_of(history[:1400], rule)
    before = population._after_chunk.cache_info().misses
    for n in range(1400, 1500):
        population_of(history[:n], rule)
    assert population._after_chunk.cache_info().misses - before <= 100 // 5


@pytest.mark.parametrize("name", NAMES)
def test_survivors_are_the_feasible_ones_and_then_those_that_miss_least(name: Survival) -> None:
    rng = np.random.default_rng(0)
    feasible = [trial(i, tuple(rng.random(3)), constraints=(-1.0, 0.0)) for i in range(5)]
    others = [trial(5 + i, (0.0, 0.0, 0.0), constraints=(0.1 * (9 - i), -3.0)) for i in range(8)]
    alive = population_of([*others, *feasible], Rule(name, 8, 5, MIN3))
    assert {seen.number for seen in alive} == {0, 1, 2, 3, 4, 10, 11, 12}


@pytest.mark.parametrize("name", NAMES)
def test_a_dominated_one_dies_first(name: Survival) -> None:
    rng = np.random.default_rng(0)
    directions = rng.random((20, 3)) + 0.05
    front = directions / np.linalg.norm(directions, axis=1)[:, None]
    good = [trial(i, tuple(point)) for i, point in enumerate(front)]
    bad = [trial(20 + i, tuple(1.2 * point)) for i, point in enumerate(front)]
    alive = population_of([*bad, *good], Rule(name, 20, 20, MIN3))
    assert {seen.number for seen in alive} == set(range(20))


def test_the_order_is_by_rank_then_by_crowding_then_by_violation() -> None:
    trials = [
        trial(0, (0.0, 1.0)),
        trial(1, (1.0, 0.0)),
        trial(2, (0.5, 0.45)),
        trial(3, (0.4, 0.55)),
        trial(4, (0.6, 0.6)),
        trial(5, (0.0, 0.0), constraints=(0.5, -2.0)),
        trial(6, (0.0, 0.0), constraints=(0.1, 0.2)),
    ]
    # Ends are infinitely lonely; the neighbours of 2 are 0.6 + 0.55 apart, those of 3 0.5 + 0.55.
    order = order_of(trials, ("minimize", "minimize"))
    assert order[0] == order[1] < order[2] < order[3] < order[4] < order[6] < order[5]


def test_a_maximised_objective_is_better_when_larger() -> None:
    order = order_of([trial(0, (0.5, 3.0)), trial(1, (0.9, 3.0))], ("maximize", "minimize"))
    assert order[1] < order[0]


def test_equals_tie() -> None:
    assert order_of([trial(i, (0.3, 0.3)) for i in range(2)], ("minimize",) * 2).tolist() == [0, 0]


def test_an_infinite_value_is_worse_than_any_other() -> None:
    values = [np.inf, 3.0, -2.0, -np.inf]
    order = order_of([trial(i, (value,)) for i, value in enumerate(values)], ("minimize",))
    assert order.tolist() == [3, 2, 1, 0]
    points = standing_of([trial(0, (np.inf, 1.0)), trial(1, (np.inf, 1.0))], ("minimize",) * 2)
    assert np.isfinite(points.points).all()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 25), st.integers(1, 5)),
    decimals=st.integers(0, 2),
    kind=st.sampled_from(["any", "equal", "one objective is constant", "all infeasible"]),
)
def test_points_of_any_kind_survive(
    name: Survival, seed: int, shape: tuple[int, int], decimals: int, kind: str
) -> None:
    rng = np.random.default_rng(seed)
    points = np.round(rng.random(shape), decimals)
    if kind == "equal":
        points[:] = points[0]
    elif kind == "one objective is constant":
        points[:, 0] = 0.5
    missed = rng.random(shape[0]) if kind == "all infeasible" else np.zeros(shape[0])
    trials = [
        trial(number, tuple(values), constraints=(miss,))
        for number, (values, miss) in enumerate(zip(points.tolist(), missed, strict=True))
    ]
    directions = ("minimize",) * shape[1]
    kept = selected(Rule(name, 9, 1, directions), standing_of(trials, directions), rng)
    assert len(set(kept)) == len(kept) == min(9, len(trials))


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
@pytest.mark.parametrize("name", NAMES)
def test_units_do_not_matter(name: Survival, scale: float) -> None:
    history = dealt(3, 60, 3)
    other = [
        seen
        if seen.values is None
        else replace(seen, values=(*seen.values[:2], seen.values[2] * scale))
        for seen in history
    ]
    rule = Rule(name, 8, 4, MIN3)
    numbers = [seen.number for seen in population_of(history, rule)]
    assert [seen.number for seen in population_of(other, rule)] == numbers
