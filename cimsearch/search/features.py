"""What a surrogate is fitted to: vectors and prices as features, results as targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimsearch.pareto import Points, signed
from cimsearch.search.domain import Domain, Vectors
from cimsearch.search.history import Seen
from cimsearch.search.penalties import tempered
from cimsearch.search.problem import Prices, Problem

Array = NDArray[np.float64]

# No accuracy is measured to be nearer to 1: a thousand images do not tell.
_LEAST_ERROR = 1e-3


@dataclass(frozen=True)
class Encoder:
    """How vectors and what is priced of them become features.

    Attributes:
        domain: Of the vectors.
        low: Smallest of each priced feature (p,) among the results.
        span: Its range there; 1 where it has none.
    """

    domain: Domain
    low: Array
    span: Array

    @property
    def groups(self) -> NDArray[np.int64]:
        """Which variable each feature (f,) is of; each priced one counts as a variable."""
        widths = [v.size if v.kind == "categorical" else 1 for v in self.domain.variables]
        widths += [1] * len(self.low)
        return np.repeat(np.arange(len(widths)), widths)

    @property
    def variables(self) -> int:
        """How many variables the groups are of."""
        return len(self.domain.variables) + len(self.low)

    def encode(self, vectors: Vectors, prices: Prices) -> Array:
        """Return features (n, f): each in 0..1, different choices at a distance of 1."""
        columns = []
        for variable, values in zip(self.domain.variables, vectors.T, strict=True):
            if variable.kind == "categorical":
                columns.append((values[:, None] == np.arange(variable.size)) * 0.5**0.5)
            else:
                columns.append(values[:, None] / max(variable.size - 1, 1))
        return np.hstack([*columns, (prices.features - self.low) / self.span])


@dataclass(frozen=True)
class Lesson:
    """Results to learn from.

    Attributes:
        encoder: Of the features.
        features: (n, f).
        values: (n, m) Objectives, all to be minimised; without penalties.
        unknown: Which objectives are not priced.
        floor: (m,) As in ``Belief``: an accuracy is at most 1, and learnt by the logarithm of its
            error; other objectives as they are.
        violations: (n, c) Of constraints, where they are not priced.
    """

    encoder: Encoder
    features: Array
    values: Points
    unknown: tuple[int, ...]
    floor: Array
    violations: Array

    def targets(self) -> list[Array]:
        """Return what is to be learnt (n,): each unknown objective, then each constraint."""
        return [
            *(self.latent(self.values[:, j], j) for j in self.unknown),
            *map(_tempered_violations, self.violations.T),
        ]

    def latent(self, values: Array, j: int) -> Array:
        """Return values (n,) of objective ``j`` as they are learnt."""
        if np.isneginf(self.floor[j]):
            return values
        return np.asarray(np.log(np.maximum(values - self.floor[j], _LEAST_ERROR)))


def lesson_of(problem: Problem, results: Sequence[Seen]) -> Lesson:
    """Return complete trials as results to learn from; there is at least one."""
    vectors = vectors_of(problem, results)
    prices = prices_of(problem, vectors)
    low, span = prices.features.min(axis=0), np.ptp(prices.features, axis=0)
    encoder = Encoder(problem.domain, low, np.where(span > 0, span, 1.0))
    unknown = tuple(int(j) for j in np.flatnonzero(np.isnan(prices.objectives[0])))
    floor = np.full(len(problem.directions), -np.inf)
    if problem.price is not None:
        # What a study cannot price is its accuracy, which is maximised: -1 if it is perfect.
        floor[list(unknown)] = -1.0
    violations = np.zeros((len(results), 0))
    if problem.price is None:
        violations = np.array([trial.constraints for trial in results], dtype=np.float64)
    values = np.array([trial.values for trial in results], dtype=np.float64)
    features = encoder.encode(vectors, prices)
    points = signed(values, problem.directions)
    for j in unknown:
        if np.isneginf(floor[j]):
            points[:, j] = tempered(points[:, j])
    return Lesson(encoder, features, points, unknown, floor, violations)


def _tempered_violations(values: Array) -> Array:
    """Return what constraints are missed by (n,) without penalties; what is missed stays so."""
    lesser = tempered(np.clip(values, -1e9, 1e9))
    return np.where(values > 0, np.abs(lesser), lesser)


def vectors_of(problem: Problem, trials: Sequence[Seen]) -> Vectors:
    """Return the vectors (n, v) of trials, with those variables repaired that do not count."""
    return problem.domain.repaired(np.array([trial.genes for trial in trials], dtype=np.float64))


def prices_of(problem: Problem, vectors: Vectors) -> Prices:
    """Return what is known of vectors (n, v) before training: nothing, where nothing is priced."""
    if problem.price is not None:
        return problem.price(vectors)
    n = len(vectors)
    unknown = np.full((n, len(problem.directions)), np.nan)
    return Prices(unknown, np.zeros((n, 0)), np.zeros((n, 0)))
