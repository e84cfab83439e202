"""Screening: of many children, those first that promise most, given what is known before training.

Objectives that are priced are exact. Of every other one a surrogate is fitted to the visible
results. A child is worth its expected gain in hypervolume over the visible front, to which trials
that still run are added with the values that the surrogates expect of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from math import ceil, isfinite
from threading import Lock

import moocore
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from threadpoolctl import ThreadpoolController

from cimsearch.pareto import Points, front_mask, signed
from cimsearch.search.acquisition import Array, Belief, Boxes, boxes, expected_gain, known
from cimsearch.search.domain import Domain, Vectors
from cimsearch.search.features import Lesson, lesson_of, prices_of, vectors_of
from cimsearch.search.history import Group, Seen
from cimsearch.search.operators import Parents, children_of
from cimsearch.search.population import order_of
from cimsearch.search.problem import Prices, Problem
from cimsearch.search.surrogate import Posterior, Scales, conditioned, fitted, prior_scales

# A space of at most so many vectors is weighed as a whole.
WHOLE = 4096

# Of a larger one so many children of so many of the best results are weighed. Uniform draws and
# children of the best children would be where a surrogate errs most: searches that weighed those
# needed more results.
_PARENTS, _BORN = 20, 800

# The surrogates' scales are fitted to so many results first, and anew after a growth by so much.
_FIRST_FIT, _GROWTH = 8, 1.15

# No result is taken to be reachable that is better than expected by more deviations than this.
OPTIMISM = 3.0

# The hypervolume to gain reaches beyond the front by this part of its ranges, but not beyond the
# study's reference point: from far away nothing would seem worth what ends a front.
_BEYOND = 0.5

# At most so many points of a front, which is split into boxes, with 3 objectives and with more.
_MOST, _MOST_OF_MANY = 300, 60

# How many threads BLAS has is a setting of the process.
_one_blas_thread = Lock()


@dataclass(frozen=True)
class Screen:
    """What is expected of vectors, and what there is to gain.

    Attributes:
        problem: What is searched.
        lesson: What was learnt from.
        surrogates: Of each of the lesson's targets.
        free: What the front leaves.
    """

    problem: Problem
    lesson: Lesson
    surrogates: tuple[Posterior, ...]
    free: Boxes


def usable_results(history: Sequence[Seen], most: int) -> Group:
    """Return the first trained trials of a history with values, all of them finite: ``most``."""
    usable = (
        trial
        for trial in history
        if trial.trained and trial.values is not None and all(map(isfinite, trial.values))
    )
    return Group(islice(usable, most))


def screened(
    problem: Problem, results: Group, running: Sequence[Seen], rng: np.random.Generator
) -> Vectors:
    """Return feasible vectors (n, v), those that promise most first.

    Left out are those that would gain nothing even if every unknown objective were better than
    expected by ``OPTIMISM`` standard deviations of its surrogate.

    Args:
        problem: What is searched.
        results: From ``usable_results``; there is at least one.
        running: Trials without a result.
        rng: The draws.
    """
    with _same_on_any_blas():
        screen = screen_of(problem, results, running)
        vectors = whole(problem.domain)
        if vectors is None:
            vectors = _children(problem, results, rng)
        gain, hopeful = _gain(screen, vectors)
    order = np.argsort(-gain, kind="stable")
    return vectors[order[hopeful[order]]]


def promising(
    problem: Problem, results: Group, running: Sequence[Seen], vectors: Vectors
) -> NDArray[np.bool_]:
    """Return which vectors (n, v) ``screened`` would not leave out, had it weighed them.

    Args:
        problem: What is searched.
        results: From ``usable_results``; there is at least one.
        running: Trials without a result.
        vectors: Repaired.
    """
    with _same_on_any_blas():
        return _gain(screen_of(problem, results, running), vectors)[1]


@contextmanager
def _same_on_any_blas() -> Iterator[None]:
    """Keep BLAS to one thread: the last bits of a sum, and orders, depend on how many share it."""
    with _one_blas_thread, _blas().limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _gain(screen: Screen, vectors: Vectors) -> tuple[Array, NDArray[np.bool_]]:
    """Return what vectors (n, v) are expected to gain (n,), and which could gain anything (n,).

    Infeasible ones gain nothing.
    """
    gain, hopeful = np.zeros(len(vectors)), np.zeros(len(vectors), dtype=bool)
    prices = prices_of(screen.problem, vectors)
    feasible = prices.feasible
    gain[feasible], hopeful[feasible] = _gain_of_feasible(
        screen, vectors[feasible], _rows(prices, feasible)
    )
    return gain, hopeful


def _gain_of_feasible(
    screen: Screen, vectors: Vectors, prices: Prices
) -> tuple[Array, NDArray[np.bool_]]:
    features = screen.lesson.encoder.encode(vectors, prices)
    belief = _belief(screen.lesson, screen.surrogates, prices.objectives, features)
    gain = expected_gain(screen.free, belief)
    for constraint in screen.surrogates[len(screen.lesson.unknown) :]:
        violation, spread = constraint.predict(features)
        gain *= ndtr(-violation / spread)
    return gain, expected_gain(screen.free, known(belief.at(-OPTIMISM))) > 0


def _rows(prices: Prices, rows: NDArray[np.bool_]) -> Prices:
    return Prices(prices.objectives[rows], prices.violations[rows], prices.features[rows])


@lru_cache(maxsize=8)
def whole(domain: Domain) -> Vectors | None:
    """Return every vector (n, v) of a small domain, repaired, without repeats; else None."""
    sizes = domain.sizes.astype(np.float64)
    if not sizes.all() or sizes.prod() > WHOLE:
        return None
    grid = np.indices(tuple(domain.sizes.tolist())).reshape(len(sizes), -1).T.astype(np.float64)
    return np.unique(domain.repaired(grid), axis=0)


def _children(problem: Problem, results: Group, rng: np.random.Generator) -> Vectors:
    """Return children (n, v) of the best results."""
    order = order_of(results, problem.directions)
    best = np.argsort(order, kind="stable")[:_PARENTS]
    vectors = vectors_of(problem, [results[place] for place in best])
    return children_of(problem.domain, Parents(vectors, order[best]), _BORN, rng)


def _belief(
    lesson: Lesson, surrogates: Sequence[Posterior], priced: Points, features: Array
) -> Belief:
    """Return what is held of the objectives of features (n, f), some of them priced (n, m)."""
    mean, deviation = priced.copy(), np.zeros_like(priced)
    for j, surrogate in zip(lesson.unknown, surrogates, strict=False):
        mean[:, j], deviation[:, j] = surrogate.predict(features)
    return Belief(mean, deviation, lesson.floor)


def screen_of(problem: Problem, results: Group, running: Sequence[Seen]) -> Screen:
    """Return what is expected, given complete trials and what still runs."""
    lesson = lesson_of(problem, results)
    scales = _scales(problem, results)
    groups, targets = lesson.encoder.groups, lesson.targets()
    surrogates = tuple(
        conditioned(scale, groups, lesson.features, target)
        for scale, target in zip(scales, targets, strict=True)
    )
    front = lesson.values[(lesson.violations <= 0).all(axis=1)]
    if running:
        vectors = vectors_of(problem, running)
        prices = prices_of(problem, vectors)
        features = lesson.encoder.encode(vectors, prices)
        believed = _belief(lesson, surrogates, prices.objectives, features)
        front = np.vstack([front, believed.at(0.0)])
        more = np.vstack([lesson.features, features])
        surrogates = tuple(
            conditioned(s.scales, groups, more, np.append(target, s.predict(features)[0]))
            for s, target in zip(surrogates, targets, strict=True)
        )
    return Screen(problem, lesson, surrogates, _free(problem, front, lesson.values))


def _free(problem: Problem, front: Points, values: Points) -> Boxes:
    """Return what a front leaves of what is worth gaining."""
    front = front[front_mask(front)]
    ends = front if len(front) > 1 else values
    span = np.ptp(ends, axis=0)
    # An objective may be the same all along the front, or in every result there is.
    span = np.where(span > 0, span, np.ptp(values, axis=0))
    reference = ends.max(axis=0) + _BEYOND * np.where(span > 0, span, 1.0)
    if problem.reference is not None:
        reference = np.minimum(reference, signed(problem.reference, problem.directions)[0])
    most = _MOST if len(reference) <= 3 else _MOST_OF_MANY
    if len(front) > most:
        own = moocore.hv_contributions(front, ref=reference)
        front = front[np.sort(np.argsort(-own, kind="stable")[:most])]
    return boxes(front, reference)


def _scales(problem: Problem, results: Group) -> tuple[Scales, ...]:
    """Return the scales of every target, fitted to the first so many results."""
    scales = _fitted(problem, Group(results[:_FIRST_FIT]), None)
    count = ceil(_FIRST_FIT * _GROWTH)
    while count <= len(results):
        scales = _fitted(problem, Group(results[:count]), scales)
        count = ceil(count * _GROWTH)
    return scales


@lru_cache(maxsize=256)
def _fitted(
    problem: Problem, results: Group, start: tuple[Scales, ...] | None
) -> tuple[Scales, ...]:
    """Return the scales of every target of these results, sought from where they were before."""
    lesson = lesson_of(problem, results)
    targets = lesson.targets()
    begin = start or (prior_scales(lesson.encoder.variables),) * len(targets)
    groups, features = lesson.encoder.groups, lesson.features
    return tuple(
        fitted(scale, groups, features, target)
        for scale, target in zip(begin, targets, strict=True)
    )
