"""The parts of search quality on a table: rows of trainings and of epochs saved."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from goals import Row, at_least, none_of
from search_replay import (
    Ours,
    Peer,
    Replay,
    Trace,
    budget_of,
    references,
    replayed,
    table_at,
)
from search_runs import NSGA2, NSGA3, OURS, RANDOM, TPE
from several import median, number, spread, told

from cimsearch.pareto import signed
from cimsearch.search.table import Table
from cimsearch.spec.study import SamplerName

SHARE = 0.99
LAGS = (8, 1)
"""That of a study that says nothing else, and the least."""
LIMIT, SHORT = 600, 200
"""Where a search is given up; and where one of Optuna's algorithms in a study of ours is."""
OTHERS: Mapping[SamplerName, int] = {
    "random": LIMIT,
    "qmc": LIMIT,
    "tpe": SHORT,
    "optuna_nsga2": SHORT,
}
"""More of what a study can be told to use, at its usual lag, and where each is given up."""

POPULATION, SMALL = 50, 20
"""Optuna's default, and that of ours in the table's study."""
PEERS = (
    Peer(NSGA2, POPULATION),
    Peer(NSGA2, SMALL),
    Peer(NSGA3, POPULATION),
    Peer(TPE, POPULATION),
    Peer(RANDOM, POPULATION),
)
BEATEN = PEERS[:2] + PEERS[3:4]
SAVED_GOAL = 2.0

SHARES = (0.9, 0.95, 0.98, 0.99)
HALVED: tuple[SamplerName, ...] = ("auto", "nsga2", "random")
GOAL_SHARE, EPOCHS_GOAL = 0.95, 3.0

Search = Ours | Peer
Traces = Mapping[Search, Sequence[Trace]]
"""What each search trained, for each seed."""


def table_rows(path: Path, seeds: range, processes: int) -> Iterator[Row]:
    """Return the rows of trainings until the front is nearly whole."""
    yield from _about(table_at(path))
    ours = [Ours(name, lag) for lag in LAGS for name in OURS]
    limits: dict[Search, int] = dict.fromkeys((*ours, *PEERS), LIMIT)
    limits |= {Ours(name, LAGS[0]): limit for name, limit in OTHERS.items()}
    tasks = [Replay(path, s, seed, limits[s]) for seed in seeds for s in limits]
    found = _by_search(spread(replayed, tasks, processes))
    yield Row(f"trainings to {100 * SHARE:.0f} % of the exact hypervolume", "; from the study's")
    for search, traces in found.items():
        yield _trainings(search, traces, limits[search])
    for lag in LAGS:
        for peer in BEATEN:
            yield _saved(found[Ours("auto", lag)], found[peer], f"lag {lag}: auto, {_name(peer)}")
    repeats = sum(trace.repeats for s in ours for trace in found[s])
    yield none_of("trainings of ours that were repeats", repeats)


def _about(table: Table) -> Iterator[Row]:
    """Return what the table is like."""
    top = len(table.epochs) - 1
    front = f"{len(table):,}, {int(table.front(top).sum())} on the front"
    yield Row(f"{table.study.name}: candidates", front)
    for name, limit in zip(("close to the front", "the study's"), references(table), strict=True):
        point = ", ".join(f"{value:.4g}" for value in signed(limit, table.directions)[0])
        yield Row(f"  reference point, {name}", point)
    for rung, epochs in enumerate(table.epochs):
        tau = f"tau {table.rank_agreement(rung, top):.2f}"
        noise = f"noise {100 * table.noise_std(rung):.2f} points, {tau}"
        yield Row(f"  rung {rung}, {epochs} epochs: accuracy", noise)


def _by_search(found: Mapping[Replay, Trace]) -> dict[Search, list[Trace]]:
    by_search: dict[Search, list[Trace]] = {}
    for replay, trace in found.items():
        by_search.setdefault(replay.search, []).append(trace)
    return by_search


def _name(search: Search) -> str:
    if isinstance(search, Ours):
        return f"{search.name}, lag {search.lag}"
    evolves = search.name in (NSGA2, NSGA3)
    return f"{search.name}, {search.population}" if evolves else search.name


def _trainings(search: Search, traces: Sequence[Trace], limit: int) -> Row:
    """Return how often a search trains, how many different candidates, from which point."""
    name = _name(search) if limit == LIMIT else f"{_name(search)}, up to {limit}"
    to = told([trace.trainings_to(SHARE) for trace in traces])
    different = number(median([trace.candidates_to(SHARE) for trace in traces]))
    study = number(median([trace.trainings_to(SHARE, of_study=True) for trace in traces]))
    return Row(f"  {name}", f"{to}, {different} different; {study}")


def _saved(ours: Sequence[Trace], theirs: Sequence[Trace], name: str) -> Row:
    """Return how many times the trainings of ours a peer needs: it trains repeats again.

    The note has the same without its repeats. A peer that was given up counts with what it had
    trained by then.
    """
    needed = median([trace.trainings_to(SHARE) for trace in ours])
    trained = [min(trace.trainings_to(SHARE), float(len(trace.share))) for trace in theirs]
    different = [
        min(trace.candidates_to(SHARE), float(len(np.unique(trace.candidates))))
        for trace in theirs
    ]
    note = f"without repeats {median(different) / needed:.1f} x"
    return at_least(name, median(trained) / needed, SAVED_GOAL, note)


def rung_rows(path: Path, seeds: range, processes: int) -> Iterator[Row]:
    """Return the rows of epochs, with successive halving and without."""
    table = table_at(path)
    yield from _about(table)
    budget = budget_of(table)
    in_full: dict[str, Search] = {name: Ours(name, LAGS[0]) for name in HALVED}
    halved: dict[str, Search] = {name: Ours(name, LAGS[0], ladder=True) for name in HALVED}
    tasks = [Replay(path, s, seed, LIMIT) for seed in seeds for s in (*in_full.values(), PEERS[0])]
    tasks += [Replay(path, s, seed, budget) for seed in seeds for s in halved.values()]
    found = _by_search(spread(replayed, tasks, processes))
    yield Row("epochs to a share of the exact hypervolume", "trained in full / halved")
    for name in HALVED:
        yield from _epochs(name, found[in_full[name]], found[halved[name]])
        if name == "auto":
            what = f"auto halved, {_name(PEERS[0])} in full"
            yield from _epochs(what, found[PEERS[0]], found[halved[name]])
        end = told([100 * trace.share[-1] for trace in found[halved[name]]], 1)
        yield Row(f"  {name}, halved: share after {budget} trainings", f"{end} %")


def _epochs(name: str, in_full: Sequence[Trace], halved: Sequence[Trace]) -> Iterator[Row]:
    """Return how many times the epochs of halving it takes without, for every share.

    A search in full that was given up counts with what it had trained by then.
    """
    for share in SHARES:
        full = median([min(t.epochs_to(share), float(t.epochs[-1])) for t in in_full])
        steps = [trace.epochs_to(share) for trace in halved]
        what, note = f"  {name}, {100 * share:.0f} %", f"{full:,.0f} / {told(steps)}"
        ratio = full / median(steps)
        if name == "auto" and share == GOAL_SHARE:
            yield at_least(what, ratio, EPOCHS_GOAL, note)
        else:
            yield Row(what, f"{ratio:.1f} x ({note})" if ratio else f"- ({note})")
