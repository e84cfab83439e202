"""Surrogates for screening, compared: rank correlation on trials not seen, results to a goal.

    python benchmarks/surrogates.py [--seeds 5] [--table FILE] [--only problems|table]

Two questions to each surrogate, of the mixed test problems and of a table of trained candidates:

- Rank correlation (Spearman's) of its expectations with the truth on trials that it has not seen:
  it is fitted to the first n trials of an evolutionary search and asked about the next 60. On a
  table it is fitted to n random candidates and asked about all others.
- Results until a search by ``auto`` that uses it reaches a goal: on mixed DTLZ2 and ZDT1 the
  hypervolume that Optuna's NSGA-II has after 500 (medians of 7 seeds), on a table 99 % of the
  exact front's.

``process`` is the surrogate in use. ``own lengths`` has a prior for each length scale instead of a
shared one, ``one length`` has one for all. Features are genes and prices, or ``genes`` alone;
``raw`` learns the accuracy itself instead of the logarithm of its error.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import optuna
from numpy.typing import NDArray
from scipy.stats import spearmanr
from search_replay import Ours, Replay, replayed, table_at
from search_runs import NSGA2, PROBLEMS, Search, first_at, quiet, searched
from several import median, told
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.linear_model import BayesianRidge

from cimsearch.search import make_sampler, screening, surrogate
from cimsearch.search.acquisition import Belief
from cimsearch.search.features import Lesson, lesson_of, prices_of, vectors_of
from cimsearch.search.history import Group, Seen
from cimsearch.search.problem import Prices, Problem
from cimsearch.search.recall import Recall
from cimsearch.search.surrogate import Groups, Scales
from cimsearch.search.table import Table

Array = NDArray[np.float64]

RESULTS = (15, 30, 60, 120)
UNSEEN = 60
GOAL_TRIALS, GOAL_SEEDS, MOST_TRIALS = 500, 7, 300
SHARE = 0.99


@dataclass(frozen=True)
class Learnt:
    """A surrogate of another kind in the place of a process.

    Attributes:
        scales: What screening keeps of it.
        model: A fitted regressor of scikit-learn.
    """

    scales: Scales
    model: Any

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return expectations (k,) and deviations (k,): over the trees of a forest."""
        if isinstance(self.model, BayesianRidge):
            mean, deviation = self.model.predict(features, return_std=True)
            return mean, deviation
        trees = np.array([tree.predict(features) for tree in self.model.estimators_])
        return trees.mean(axis=0), np.maximum(trees.std(axis=0), 1e-6)


@contextmanager
def other_model(make: Callable[[], Any]) -> Iterator[None]:
    """Let screening use a regressor of scikit-learn."""

    def keep(start: Scales, groups: Groups, features: Array, results: Array) -> Scales:  # noqa: ARG001
        return start

    def learn(scales: Scales, groups: Groups, features: Array, results: Array) -> Learnt:  # noqa: ARG001
        return Learnt(scales, make().fit(features, results))

    with (
        patch.object(screening, "fitted", keep),
        patch.object(screening, "conditioned", learn),
    ):
        yield


@contextmanager
def other_priors(shared: tuple[float, float], own: tuple[float, float]) -> Iterator[None]:
    """Let length scales have other priors."""
    with patch.object(surrogate, "_SHARED", shared), patch.object(surrogate, "_OWN", own):
        yield


@contextmanager
def other_lesson(change: Callable[[Lesson], Lesson]) -> Iterator[None]:
    """Let screening learn from results that were changed."""

    def lesson(problem: Problem, results: Any) -> Lesson:
        return change(lesson_of(problem, results))

    with patch.object(screening, "lesson_of", lesson):
        yield


@contextmanager
def only_genes() -> Iterator[None]:
    """Let screening see no priced features."""

    def without(problem: Problem, vectors: Array) -> Prices:
        prices = prices_of(problem, vectors)
        return replace(prices, features=prices.features[:, :0])

    with ExitStack() as stack:
        for home in ("cimsearch.search.screening", "cimsearch.search.features"):
            stack.enter_context(patch(f"{home}.prices_of", without))
        yield


def _raw(lesson: Lesson) -> Lesson:
    return replace(lesson, floor=np.full_like(lesson.floor, -np.inf))


SURROGATES: dict[str, Callable[[], Any]] = {
    "process": ExitStack,
    "process, raw": partial(other_lesson, _raw),
    "process, genes": only_genes,
    "own lengths": partial(other_priors, (3.0, 1e-3), (0.0, 3.0**0.5)),
    "one length": partial(other_priors, (0.0, 1.5), (0.0, 1e-3)),
    "linear": partial(other_model, BayesianRidge),
    "random forest": partial(
        other_model, partial(RandomForestRegressor, n_estimators=60, random_state=0)
    ),
    "extra trees": partial(
        other_model, partial(ExtraTreesRegressor, n_estimators=60, random_state=0)
    ),
}


def correlation(problem: Problem, results: Group, unseen: Group) -> float:
    """Return the rank correlation on unseen trials, a mean over unknown objectives."""
    screening._fitted.cache_clear()
    screen = screening.screen_of(problem, results, ())
    there = lesson_of(problem, unseen)
    vectors = vectors_of(problem, unseen)
    width = len(screen.lesson.encoder.low)
    prices = prices_of(problem, vectors)
    # Without priced features, if that is what the surrogate is fitted to.
    prices = replace(prices, features=prices.features[:, :width])
    features = screen.lesson.encoder.encode(vectors, prices)
    found = []
    for j, model in zip(screen.lesson.unknown, screen.surrogates, strict=False):
        mean, deviation = model.predict(features)
        belief = Belief(mean[:, None], deviation[:, None], screen.lesson.floor[[j]])
        found.append(spearmanr(belief.at(0.0)[:, 0], there.values[:, j])[0])
    return float(np.mean(found))


def evolved(name: str, seed: int) -> tuple[Problem, Group]:
    """Return a test problem and the trials of an evolutionary search on it."""
    sampler = make_sampler("nsga2", seed)
    study = optuna.create_study(directions=PROBLEMS[name].directions, sampler=sampler)
    study.optimize(PROBLEMS[name], n_trials=max(RESULTS) + UNSEEN)
    recall = Recall(dict(sorted(study.trials[0].distributions.items())), seed)
    history = recall.history(study.trials, -1)
    ways = ("minimize",) * len(PROBLEMS[name].reference)
    return Problem(recall.domain, ways), Group(history)


def shuffled(table: Table, seed: int) -> tuple[Problem, Group]:
    """Return a table's problem and its candidates as trials in random order."""
    problem, values = table.problem(), table.values(len(table.epochs) - 1)
    genes = table.space.repair(table.genes).astype(np.float64)
    order = np.random.default_rng(seed).permutation(len(genes))
    rows = zip(genes[order].tolist(), values[order].tolist(), strict=True)
    return problem, Group(
        Seen(n, tuple(at), str(n), True, "complete", tuple(value), (), {})
        for n, (at, value) in enumerate(rows)
    )


def correlations(source: Callable[[int], tuple[Problem, Group]], seeds: int, unseen: int) -> None:
    """Print a row of rank correlations for each surrogate."""
    cases = [source(seed) for seed in range(seeds)]
    print("surrogate".ljust(16), *(f"n={n}".rjust(7) for n in RESULTS))
    for name, variant in SURROGATES.items():
        row = []
        for n in RESULTS:
            with variant():
                found = [
                    correlation(p, Group(all_[:n]), Group(all_[n : n + unseen]))
                    for p, all_ in cases
                ]
            row.append(f"{np.median(found):7.3f}")
        print(name.ljust(16), *row, flush=True)


def searches(seeds: int, needed: Callable[[int], float]) -> None:
    """Print how many results each surrogate's search needs: median, least and most."""
    for name, variant in SURROGATES.items():
        found = []
        for seed in range(seeds):
            screening._fitted.cache_clear()
            with variant():
                found.append(needed(seed))
        print(name.ljust(16), told(found), flush=True)


def on_problem(name: str, seeds: int) -> None:
    """Compare surrogates on a test problem."""
    print(f"\n{name}: rank correlation on the next {UNSEEN} trials of NSGA-II")
    correlations(partial(evolved, name), seeds, UNSEEN)
    peers = [searched(Search(name, NSGA2, GOAL_TRIALS, seed)) for seed in range(GOAL_SEEDS)]
    goal = median([float(found[-1]) for found in peers])
    print(f"{name}: results to a hypervolume of {goal:.2f}")
    searches(seeds, lambda s: first_at(searched(Search(name, "auto", MOST_TRIALS, s)), goal))


def on_table(path: Path, seeds: int) -> None:
    """Compare surrogates on a table."""
    table = table_at(path)
    print(f"\n{path.name}: rank correlation on all candidates not seen")
    correlations(partial(shuffled, table), seeds, len(table))
    print(f"{path.name}: trained candidates to {SHARE:.0%} of the exact hypervolume")
    ours = Ours("auto", table.study.spec.sampler.lag)
    searches(
        seeds,
        lambda seed: replayed(Replay(path, ours, seed, MOST_TRIALS, SHARE)).trainings_to(SHARE),
    )


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--table", type=Path, default=Path("benchmarks/tables/digits.npz"))
    parser.add_argument("--only", choices=["problems", "table"])
    parser.add_argument("--surrogate", choices=sorted(SURROGATES), action="append")
    given = parser.parse_args()
    quiet()
    for name in [name for name in SURROGATES if name not in (given.surrogate or SURROGATES)]:
        del SURROGATES[name]
    if given.only != "problems":
        on_table(given.table, given.seeds)
    if given.only != "table":
        for name in PROBLEMS:
            on_problem(name, given.seeds)


if __name__ == "__main__":
    main()
