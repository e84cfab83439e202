"""Expected gain in hypervolume of points whose objectives are known, uncertain, or both.

The region that a front does not dominate is split into boxes once. What a point would gain in a
box is a product over its objectives, so the expectation is exact for independent objectives that
are normal, log-normal above a floor, or known: K. Yang et al., "Efficient
computation of expected hypervolume improvement using box decomposition algorithms",
Journal of Global Optimization 75, 2019. The boxes are those of R. Lacour et al., "A box
decomposition algorithm to compute the hypervolume indicator", Computers & Operations Research 79,
2017, applied to the front and then to the corners that it leaves.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from cimsearch.pareto import Points, front_mask

Array = NDArray[np.float64]

# How many candidates are weighed at once: what is held for each box stays in the cache.
_ROWS = 256

# What is nearer to its floor counts as so near: its logarithm is far below any that is met.
_TINY = 1e-300


@dataclass(frozen=True)
class Boxes:
    """Disjoint boxes that fill what is better than the reference point and not dominated.

    Attributes:
        lower: Corners (b, m), minus infinity where a box has no end; all is minimised.
        upper: Corners (b, m).
    """

    lower: Points
    upper: Points


def boxes(front: Points, reference: Array) -> Boxes:
    """Return the boxes that ``front`` (n, m) leaves undominated, up to ``reference`` (m,).

    Points that are dominated or not better than the reference in every objective are left out.
    """
    inside = front[(front < reference).all(axis=1)]
    inside = inside[front_mask(inside)]
    corners, _ = _upper_corners(inside[np.argsort(inside[:, -1], kind="stable")], reference)
    # What lies below some corner is what the corners dominate if everything is turned over.
    turned = -corners[np.argsort(-corners[:, -1], kind="stable")]
    # Corners share coordinates, and the split needs them all different: it is made of their ranks.
    ranks = np.argsort(np.argsort(turned, axis=0, kind="stable"), axis=0).astype(np.float64)
    tops, definers = _upper_corners(ranks, np.full(len(reference), np.inf))
    lower, upper = tops.copy(), tops.copy()
    upper[:, 0] = np.inf
    for j in range(1, len(reference)):
        lower[:, j] = definers[:, :j, j].max(axis=1)
    lower, upper = _values(lower, turned), _values(upper, turned)
    full = (lower < upper).all(axis=1)
    return Boxes(-upper[full], -lower[full])


def _values(ranks: Points, points: Points) -> Points:
    """Return ranks (b, m) as the coordinates of ``points`` (n, m) that have them."""
    ordered = np.sort(points, axis=0)
    values = ranks.copy()
    for j in range(points.shape[1]):
        finite = np.isfinite(ranks[:, j])
        values[finite, j] = ordered[ranks[finite, j].astype(np.int64), j]
    return values


def _upper_corners(points: Points, reference: Points) -> tuple[Points, Points]:
    """Return the local upper bounds (u, m) of points and the points that define each (u, m, m)."""
    m = len(reference)
    corners = reference[None, :].copy()
    # The reference is met in objective j by a point that is as good as can be in all others.
    definers = np.where(np.eye(m, dtype=bool), reference, -np.inf)[None]
    for point in points:
        above = (point < corners).all(axis=1)
        split, ends = corners[above], definers[above]
        new_corners, new_definers = [corners[~above]], [definers[~above]]
        for j in range(m):
            others = [k for k in range(m) if k != j]
            floor = ends[:, others, j].max(axis=1, initial=-np.inf)
            useful = point[j] > floor
            moved, meets = split[useful].copy(), ends[useful].copy()
            moved[:, j] = point[j]
            meets[:, j] = point
            new_corners.append(moved)
            new_definers.append(meets)
        corners, definers = np.concatenate(new_corners), np.concatenate(new_definers)
    return corners, definers


@dataclass(frozen=True)
class Belief:
    """What is held of the objectives of n points, all minimised and independent.

    Attributes:
        mean: (n, m) Expectations, of the objective or of a logarithm.
        deviation: (n, m) Standard deviations; 0 where an objective is known.
        floor: (m,) Where finite, the logarithm of what an objective is above its floor is normal;
            where minus infinity, the objective itself is.
    """

    mean: Points
    deviation: Array
    floor: Array

    def at(self, deviations: float) -> Points:
        """Return the objectives (n, m) so many deviations above their medians."""
        point = self.mean + deviations * self.deviation
        high = np.isfinite(self.floor)
        point[:, high] = self.floor[high] + np.exp(point[:, high])
        return point


def known(points: Points) -> Belief:
    """Return the belief that the objectives are those of ``points`` (n, m)."""
    return Belief(points, np.zeros_like(points), np.full(points.shape[1], -np.inf))


def expected_gain(free: Boxes, belief: Belief) -> Array:
    """Return the expected gain in hypervolume (n,) of each of n points alone."""
    n, m = belief.mean.shape
    gain = np.empty(n)
    corners = [np.concatenate([free.lower[:, j], free.upper[:, j]]) for j in range(m)]
    edges, places = zip(*(np.unique(c, return_inverse=True) for c in corners), strict=True)
    for start in range(0, n, _ROWS):
        rows = slice(start, start + _ROWS)
        volume = np.ones((len(gain[rows]), len(free.lower)))
        for j in range(m):
            mean, deviation = belief.mean[rows, j], belief.deviation[rows, j]
            below = _expected_below(edges[j], mean, deviation, belief.floor[j])
            low, high = places[j].reshape(2, -1)
            volume *= below[:, high] - below[:, low]
        gain[rows] = volume.sum(axis=1)
    return gain


def _expected_below(edges: Array, mean: Array, deviation: Array, floor: float) -> Array:
    """Return the expectation (n, e) of max(0, edge - y) for each of n values y and e edges.

    For a log-normal y it is the price of a put option: F. Black, M. Scholes, "The pricing of
    options and corporate liabilities", Journal of Political Economy 81, 1973.
    """
    ends = np.isfinite(edges)
    edge = np.where(ends, edges, 0.0)
    sure = (deviation == 0)[:, None]
    spread = np.where(deviation > 0, deviation, 1.0)[:, None]
    middle = mean[:, None]
    if np.isfinite(floor):
        room = np.maximum(edge - floor, 0.0)
        z = _far(np.log(np.maximum(room, _TINY)) - middle, spread)
        average = np.exp(middle + 0.5 * spread * spread)
        uncertain = room * ndtr(z) - average * ndtr(z - spread)
        exact = room - np.exp(middle)
    else:
        z = _far(edge - middle, spread)
        density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
        uncertain = (edge - middle) * ndtr(z) + spread * density
        exact = edge - middle
    return np.where(ends, np.maximum(np.where(sure, exact, uncertain), 0.0), 0.0)


def _far(distance: Array, spread: Array) -> Array:
    return np.clip(distance / spread, -40.0, 40.0)
