"""Evolution finds more than uniform draws do, and proposals are pure functions."""

import random
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from cimsearch.pareto import hypervolume
from cimsearch.search import evolution
from cimsearch.search.algorithms import uniform
from cimsearch.search.domain import domain_of
from cimsearch.search.evolution import offspring
from cimsearch.search.history import Seen
from cimsearch.search.population import Survival
from cimsearch.search.problem import Algorithm, Draws, Problem
from cimsearch.space import Space
from cimsearch.spec import load_space_spec
from cimsearch.spec.study import Sampler
from tests.unit.search.evolving import DOMAIN, MIN3, NAMES, dealt, trial

ALGORITHMS: dict[str, Algorithm] = {name: getattr(evolution, name) for name in NAMES}
BOX = 1.5
SHUFFLED = np.array([3, 0, 4, 1, 2])


def dtlz2(vector: Sequence[float]) -> tuple[float, ...]:
    """Return three objectives of DTLZ2 on the mixed domain; the best have distance 0.5."""
    units = np.array(vector).reshape(4, 3)
    x = [*units[:, 0], *(units[:, 1] / 8), *(SHUFFLED[units[:, 2].astype(int)] / 4)]
    far = 1 + sum((value - 0.5) ** 2 for value in x[2:])
    a, b = np.array(x[:2]) * np.pi / 2
    return (
        float(far * np.cos(a) * np.cos(b)),
        float(far * np.cos(a) * np.sin(b)),
        float(far * np.sin(a)),
    )


def searched(algorithm: Algorithm, trials: int, *, seed: int = 0, size: int = 12) -> float:
    """Return the hypervolume that an algorithm finds."""
    problem, history = Problem(DOMAIN, MIN3), list[Seen]()
    sampler = Sampler(name="nsga2", population=size)
    for k in range(trials):
        child = next(algorithm(problem, sampler, history, Draws(seed, k)))
        history.append(trial(k, dtlz2(child.vector), genes=child.vector))
    return hypervolume(np.array([seen.values for seen in history]), [BOX] * 3)


@pytest.mark.parametrize("name", NAMES)
def test_evolution_finds_more_than_uniform_draws(name: str) -> None:
    draws = [searched(uniform, 200, seed=seed) for seed in range(5)]
    found = [searched(ALGORITHMS[name], 200, seed=seed) for seed in range(5)]
    assert np.median(found) > max(draws)
    # What there is to find: the box without an eighth of the ball of radius 1.
    best = BOX**3 - np.pi / 6
    assert best - np.median(found) < 0.7 * (best - np.median(draws))


def global_state() -> tuple[object, object]:
    return random.getstate(), str(np.random.get_state(legacy=False)["state"])  # noqa: NPY002


@pytest.mark.parametrize("name", NAMES)
def test_a_proposal_that_starts_afresh_is_the_same(name: str) -> None:
    history, problem = dealt(7, 80, 3), Problem(DOMAIN, MIN3)
    sampler = Sampler(name="nsga2", population=10)

    def first(trials: Sequence[Seen]) -> list[tuple[float, ...]]:
        children = ALGORITHMS[name](problem, sampler, trials, Draws(3, 80))
        return [child.vector for child in islice(children, 30)]

    before = first(history)
    for n in range(10, 80):
        first(history[:n])
    state = global_state()
    filters = list(warnings.filters)
    assert first([replace(seen) for seen in history]) == before
    assert global_state() == state
    assert warnings.filters == filters
    other = ALGORITHMS[name](problem, sampler, history, Draws(4, 80))
    assert [child.vector for child in islice(other, 30)] != before


@pytest.mark.parametrize("name", NAMES)
def test_offspring_are_uniform_draws_until_there_is_a_population(name: Survival) -> None:
    problem, sampler = Problem(DOMAIN, MIN3), Sampler(name="nsga2", population=9)
    few = [seen for seen in dealt(2, 60, 3) if seen.state == "complete"][:9]
    drawn = DOMAIN.sample(5, np.random.default_rng(6))
    made = offspring(problem, sampler, few[:8], np.random.default_rng(6), 5, name)
    assert np.array_equal(made, drawn)
    bred = offspring(problem, sampler, few, np.random.default_rng(6), 5, name)
    assert bred.shape == (5, 12)
    assert not np.array_equal(bred, drawn)


@pytest.mark.parametrize("name", NAMES)
def test_a_space_is_searched_without_repeats(name: str) -> None:
    space = Space(load_space_spec("vgg_tiny"))
    problem = Problem(domain_of(space), ("maximize", "minimize"))
    sampler = Sampler(name="nsga2", population=6)
    history: list[Seen] = []
    for k in range(40):
        known = {seen.candidate_hash for seen in history}
        for child in islice(ALGORITHMS[name](problem, sampler, history, Draws(1, k)), 50):
            candidate = space.decode(child.vector)
            if candidate.hash not in known:
                break
        else:
            pytest.fail("no new candidate")
        values = (1 - 1 / candidate.blueprint.weights, float(candidate.blueprint.macs))
        history.append(Seen(k, child.vector, candidate.hash, True, "complete", values, (), {}))
    assert len({seen.candidate_hash for seen in history}) == 40
