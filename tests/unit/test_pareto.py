"""Domination and hypervolume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cimsearch.pareto import front_mask, hypervolume, hypervolume_share, share_of, signed

clouds = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(3)), elements=st.integers(0, 6))


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@given(clouds)
@settings(max_examples=200, deadline=None)
def test_front_is_what_nothing_dominates_without_repeats(points: np.ndarray) -> None:
    mask = front_mask(points)
    for i, point in enumerate(points):
        beaten = any(dominates(other, point) for other in points)
        repeat = any((points[j] == point).all() for j in range(i))
        assert mask[i] == (not beaten and not repeat)


@given(clouds, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_hypervolume_is_the_counted_volume(points: np.ndarray, rng: object) -> None:
    """Count unit cubes of the integer grid up to the reference (7, 7, 7)."""
    corners = np.stack(np.meshgrid(*[np.arange(7)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    covered = int(np.any(np.all(points[None] <= corners[:, None], axis=2), axis=1).sum())
    assert hypervolume(points, (7, 7, 7)) == covered
    assert hypervolume(points[::-1], (7, 7, 7)) == covered
    assert hypervolume(points[front_mask(points)], (7, 7, 7)) == covered


@given(clouds)
@settings(max_examples=100, deadline=None)
def test_hypervolume_never_falls_as_points_come(points: np.ndarray) -> None:
    volumes = [hypervolume(points[:n], (7, 7, 7)) for n in range(len(points) + 1)]
    assert volumes == sorted(volumes)


def test_points_beyond_the_reference_add_nothing() -> None:
    assert hypervolume(np.array([[8.0, 0.0, 0.0]]), (7, 7, 7)) == 0.0
    assert hypervolume(np.empty((0, 3)), (7, 7, 7)) == 0.0


def test_nan_is_never_on_the_front() -> None:
    assert front_mask(np.array([[np.nan, 0.0], [1.0, 1.0]])).tolist() == [False, True]


def test_signed_negates_what_is_maximised() -> None:
    assert signed([[0.9, 5.0]], ["maximize", "minimize"]).tolist() == [[-0.9, 5.0]]


def test_the_share_of_the_box() -> None:
    limits = ((10.0, 4.0), (-1.0, 0.0))
    assert hypervolume_share(np.array([[-1.0, 0.0]]), *limits) == 1.0
    assert hypervolume_share(np.array([[4.5, 0.0]]), *limits) == 0.5
    assert hypervolume_share(np.empty((0, 2)), *limits) == 0.0


def test_the_share_of_a_study_is_that_of_its_signed_values() -> None:
    directions = ("maximize", "minimize")
    assert share_of([(1.0, 0.0)], directions, (0.5, 8.0)) == 1.0
    assert share_of([(0.75, 4.0), (0.7, 6.0)], directions, (0.5, 8.0)) == 0.25
    assert share_of([(0.4, 9.0)], directions, (0.5, 8.0)) == 0.0
    assert share_of([], directions, (0.5, 8.0)) == 0.0


@pytest.mark.parametrize("reference", [(1.0, 8.0), (0.5, 0.0), (0.5, np.inf), (0.5,), ()])
def test_a_study_has_no_share_without_a_box(reference: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="reference point"):
        share_of([(0.75, 4.0)], ("maximize", "minimize"), reference)
