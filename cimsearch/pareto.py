"""Pareto domination and hypervolume, on moocore.

Points are rows of a float array (n, d). Every objective here is *minimised*; ``signed`` turns a
study's directions into that form.
"""

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


def signed(values: ArrayLike, directions: Sequence[str]) -> Points:
    """Return objective values (n, d) with maximised columns negated, so that all are minimised."""
    points = np.atleast_2d(np.asarray(values, dtype=np.float64))
    signs = np.array([-1.0 if d == "maximize" else 1.0 for d in directions])
    return np.asarray(points * signs)


def front_mask(points: Points) -> NDArray[np.bool_]:
    """Return which rows (n,) of ``points`` (n, d) no other row dominates.

    Of rows that are equal only the first is on the front, so that a front has no repeats.
    Rows with NaN are never on the front.
    """
    mask = np.zeros(len(points), dtype=bool)
    known = ~np.isnan(points).any(axis=1)
    if known.any():
        mask[known] = moocore.is_nondominated(points[known], keep_weakly=False)
    return mask


def hypervolume(points: Points, reference: ArrayLike) -> float:
    """Return the volume that ``points`` (n, d) dominate up to ``reference`` (d,).

    Points that do not dominate the reference add nothing; an empty set has volume 0.
    """
    if len(points) == 0:
        return 0.0
    return float(moocore.hypervolume(points, ref=np.asarray(reference, dtype=np.float64)))


def hypervolume_share(points: Points, reference: ArrayLike, ideal: ArrayLike) -> float:
    """Return the hypervolume as a share (0..1) of the box from ``reference`` to ``ideal`` (d,).

    The box is fixed, so shares of one study can be compared; no point may be beyond the ideal.
    """
    box = np.prod(np.asarray(reference, dtype=np.float64) - np.asarray(ideal, dtype=np.float64))
    return hypervolume(points, reference) / float(box)


def share_of(values: ArrayLike, directions: Sequence[str], reference: ArrayLike) -> float:
    """Return the hypervolume of objective values (n, d) as a study records it: a share (0..1).

    It is that of the box between ``reference`` (d,), the study's reference point, and the ideal:
    accuracy 1, which is what a study maximises, and every other objective 0.

    Raises:
        ValueError: If the reference point is not worse than the ideal in every objective.
    """
    given = np.asarray(reference, dtype=np.float64)
    ideal = np.array([-1.0 if direction == "maximize" else 0.0 for direction in directions])
    if given.shape != ideal.shape:
        raise ValueError(f"{len(ideal)} objectives need a reference point of as many values")
    limit = signed(given, directions)[0]
    if not (np.isfinite(limit) & (limit > ideal)).all():
        raise ValueError(f"the reference point {given.tolist()} is not short of the ideal")
    if np.size(values) == 0:
        return 0.0
    return hypervolume_share(signed(values, directions), limit, ideal)
