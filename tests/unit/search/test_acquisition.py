"""Expected gains in hypervolume against hypervolumes, and against averages of many draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.pareto import hypervolume
from cimsearch.search.acquisition import Belief, boxes, expected_gain, known

UNBOUNDED = np.full(3, -np.inf)


def gains(front: np.ndarray, points: np.ndarray, reference: np.ndarray) -> list[float]:
    """Return by how much the hypervolume grows with each point: two hypervolumes a point."""
    before = hypervolume(front, reference)
    return [hypervolume(np.vstack([front, point]), reference) - before for point in points]


@settings(deadline=None, max_examples=60)
@given(
    objectives=st.integers(1, 4),
    size=st.integers(0, 12),
    grid=st.sampled_from([0, 3]),
    seed=st.integers(0, 2**16),
)
def test_a_known_point_gains_what_the_hypervolume_grows_by(
    objectives: int, size: int, grid: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    front, points = rng.random((size, objectives)), 1.4 * rng.random((9, objectives)) - 0.2
    if grid:
        # Many coordinates are shared, and some points are on the edges of others' boxes.
        front, points = np.round(front * grid) / grid, np.round(points * grid) / grid
    reference = np.ones(objectives)
    found = expected_gain(boxes(front, reference), known(points))
    np.testing.assert_allclose(found, gains(front, points, reference), atol=1e-12)


def test_boxes_are_disjoint_and_fill_what_is_left() -> None:
    rng = np.random.default_rng(3)
    front = rng.random((30, 3))
    free = boxes(front, np.ones(3))
    inside = np.clip(free.upper, 0, 1) - np.clip(free.lower, 0, 1)
    left = inside.prod(axis=1).sum()
    assert left == pytest.approx(1.0 - hypervolume(front, np.ones(3)), abs=1e-12)


@pytest.mark.parametrize("floor", [UNBOUNDED, np.array([-1.0, -np.inf, -0.5])])
def test_an_uncertain_point_gains_what_its_draws_gain_on_average(floor: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    front = rng.random((15, 3))
    free = boxes(front / np.linalg.norm(front, axis=1, keepdims=True), np.ones(3))
    mean, deviation = np.array([[0.3, 0.5, 0.2]]), np.array([[0.15, 0.0, 0.2]])
    belief = Belief(mean, deviation, floor)
    draws = 200_000
    latent = mean + deviation * rng.standard_normal((draws, 3))
    spread = Belief(latent, np.zeros_like(latent), floor)
    of_draws = expected_gain(free, spread)
    error = 4 * of_draws.std() / draws**0.5
    assert expected_gain(free, belief)[0] == pytest.approx(of_draws.mean(), abs=error + 1e-9)


def test_a_belief_is_at_its_median_and_its_good_end_is_better() -> None:
    floor = np.array([-1.0, -np.inf, -np.inf])
    belief = Belief(np.log([[0.25, np.e, np.e]]), np.array([[0.5, 0.0, 2.0]]), floor)
    np.testing.assert_allclose(belief.at(0.0), [[-0.75, 1.0, 1.0]])
    np.testing.assert_allclose(belief.at(-2.0), [[-1 + 0.25 * np.exp(-1), 1.0, -3.0]])


def test_nothing_is_gained_beyond_the_reference_or_behind_the_front() -> None:
    free = boxes(np.array([[0.5, 0.5]]), np.ones(2))
    behind = known(np.array([[0.5, 0.5], [0.6, 0.7], [1.0, 0.0], [2.0, -5.0]]))
    np.testing.assert_array_equal(expected_gain(free, behind), np.zeros(4))


def test_far_beliefs_give_no_warning_and_no_nonsense() -> None:
    free = boxes(np.array([[0.5, 0.5]]), np.ones(2))
    mean = np.array([[1e6, 0.1], [-1e6, 0.1], [50.0, 0.1]])
    belief = Belief(mean, np.full((3, 2), 1e-3), np.array([-np.inf, -np.inf]))
    gain = expected_gain(free, belief)
    assert np.isfinite(gain).all()
    assert gain[0] == gain[2] == 0
    assert gain[1] == pytest.approx(1e6 * 0.9, rel=1e-3)
