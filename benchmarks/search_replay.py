"""Searches replayed on a table: which candidates are trained, at which rung, and what that gives.

Ours propose as in a study, with the prices known before training and no candidate trained twice:
``visible`` hides the results of the last ``lag`` trained trials, 8 if a study says nothing else.
Peers run in plain Optuna studies in memory and see all results; every gene is a parameter, also
where it counts for nothing. The searches go on until their front has a share of the hypervolume of
the exact one, measured from two reference points: the study's own, and one close to the front. The
study's is the uniform 8 bit network: where the space has nothing near it, few candidates have most
of the volume. The close one is the worst that the exact front has of each objective, and a tenth
of its range there beyond. No search is told that one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.study import StudyDirection
from search_runs import Array, first_at, peer_sampler, quiet

from cimsearch.orchestrate.run.halving import Ladder, next_promotion, of_one_rung
from cimsearch.pareto import front_mask, hypervolume, signed
from cimsearch.search.auto import first_results
from cimsearch.search.history import Seen, hashes_of, visible
from cimsearch.search.problem import Draws
from cimsearch.search.samplers import Proposal, distributions, genes_of, propose
from cimsearch.search.table import Table, load_table
from cimsearch.spec.study import Sampler, SamplerName

Training = tuple[int, int]
"""Which candidate of a table is trained, and for which rung."""


@dataclass(frozen=True)
class Ours:
    """A search of cimsearch on a table.

    Attributes:
        name: Of the algorithm.
        lag: How many of the last results it may not use.
        ladder: Whether candidates are trained for the lowest rung, and only the best further; else
            each is trained for the last rung at once.
    """

    name: SamplerName
    lag: int
    ladder: bool = False


@dataclass(frozen=True)
class Peer:
    """A search of Optuna on a table.

    Attributes:
        name: Of the peer.
        population: Of evolution.
    """

    name: str
    population: int


@dataclass(frozen=True)
class Replay:
    """A search to replay.

    Attributes:
        table: The table's file.
        search: What searches.
        seed: Of the sampler.
        trials: It ends after so many trainings at the latest.
        share: It ends once its front has this share (0..1) of the exact hypervolume, from both
            reference points.
    """

    table: Path
    search: Ours | Peer
    seed: int
    trials: int
    share: float = 0.99


@dataclass(frozen=True)
class Trace:
    """What a search trained, in order.

    Attributes:
        candidates: Which (n,), as rows of the table.
        rungs: For which rung (n,).
        epochs: How many epochs all trainings so far took (n,).
        share: Of the exact hypervolume of the last rung, after each training (n,), from the close
            reference point.
        of_study: The same from the study's.
    """

    candidates: NDArray[np.int64]
    rungs: NDArray[np.int64]
    epochs: NDArray[np.int64]
    share: Array
    of_study: Array

    def trainings_to(self, share: float, *, of_study: bool = False) -> float:
        """Return after how many trainings the front has a share; infinite if it never has."""
        return first_at(self.of_study if of_study else self.share, share)

    def candidates_to(self, share: float) -> float:
        """Return how many different candidates were trained until then; infinite likewise."""
        n = self.trainings_to(share)
        return n if np.isinf(n) else float(len(np.unique(self.candidates[: int(n)])))

    def epochs_to(self, share: float) -> float:
        """Return how many epochs were trained until then; infinite likewise."""
        n = self.trainings_to(share)
        return n if np.isinf(n) else float(self.epochs[int(n) - 1])

    @property
    def repeats(self) -> int:
        """How many trainings were of a candidate that had been trained for that rung."""
        pairs = np.column_stack([self.candidates, self.rungs])
        return len(pairs) - len(np.unique(pairs, axis=0))


@lru_cache(maxsize=1)
def table_at(path: Path) -> Table:
    """Return the table of a file."""
    return load_table(path)


def replayed(replay: Replay) -> Trace:
    """Return what a search trains."""
    table = table_at(replay.table)
    top = len(table.epochs) - 1
    points, limits = table.points(top), references(table)
    exact = [hypervolume(points, limit) for limit in limits]
    front = points[:0]
    done: list[Training] = []
    shares: list[list[float]] = []
    for candidate, rung in trainings_of(table, replay.search, replay.seed):
        done.append((candidate, rung))
        if rung == top:
            front = np.vstack([front, points[candidate]])
            front = front[front_mask(front)]
        volumes = (hypervolume(front, limit) for limit in limits)
        shares.append([found / whole for found, whole in zip(volumes, exact, strict=True)])
        if len(done) == replay.trials or min(shares[-1]) >= replay.share:
            break
    candidates, rungs = np.array(done, dtype=np.int64).T
    epochs = np.cumsum(np.array(_epochs_of(table, replay.search))[rungs])
    return Trace(candidates, rungs, epochs, *np.array(shares).T)


def references(table: Table) -> tuple[Array, Array]:
    """Return the reference points (d,), of objectives to be minimised: the close, the study's."""
    top = len(table.epochs) - 1
    front = table.points(top)[table.front(top)]
    close = front.max(axis=0) + 0.1 * np.ptp(front, axis=0)
    return close, signed(table.reference, table.directions)[0]


def _epochs_of(table: Table, search: Ours | Peer) -> tuple[int, ...]:
    """Return how many epochs a training for each rung takes, on top of what is kept."""
    if isinstance(search, Ours) and search.ladder:
        return table.epochs
    return tuple(int(total) for total in np.cumsum(table.epochs))


def trainings_of(table: Table, search: Ours | Peer, seed: int) -> Iterator[Training]:
    """Yield what a search trains, until nothing is left."""
    if isinstance(search, Peer):
        yield from _of_peer(table, search, seed)
    else:
        yield from _of_ours(table, search, seed)


def _of_peer(table: Table, peer: Peer, seed: int) -> Iterator[Training]:
    quiet()
    dists, top = distributions(table.space), len(table.epochs) - 1
    values = table.values(top)
    sampler = peer_sampler(peer.name, seed, peer.population)
    ways = [StudyDirection[way.upper()] for way in table.directions]
    study = optuna.create_study(directions=ways, sampler=sampler)
    while True:
        trial = study.ask(dists)
        row = int(table.rows(np.array([genes_of(table.space, trial.params)]))[0])
        study.tell(trial, values[row].tolist())
        yield row, top


def _of_ours(table: Table, search: Ours, seed: int) -> Iterator[Training]:
    rungs = len(table.epochs)
    ladder = _ladder(table) if search.ladder else None
    start = 0 if ladder else rungs - 1
    population = table.study.spec.sampler.population
    settings = Sampler(name=search.name, lag=search.lag, population=population)
    problem, space = table.problem(), table.space
    enough = max(population, first_results(problem))
    results = [table.values(rung) for rung in range(rungs)]
    trials: list[Seen] = []

    def trained(child: Proposal | Seen, name: str, rung: int) -> Training:
        row = int(table.rows(np.array([child.genes]))[0])
        values = tuple(results[rung][row].tolist())
        # Without a ladder there is one rung.
        at, k = rung if ladder else 0, len(trials)
        trials.append(Seen(k, child.genes, name, True, "complete", values, (), child.attrs, at))
        return row, rung

    while True:
        history = visible(trials, search.lag)
        if history is None:
            raise SystemExit("a trial has no result")
        due = next_promotion(ladder, history, closed=False) if ladder else None
        if isinstance(due, Seen):
            yield trained(due, due.candidate_hash, due.rung + 1)
            continue
        shown = of_one_rung(history, rungs, enough) if ladder else history
        draws = Draws(seed, len(trials))
        proposal = propose(space, problem, settings, draws, shown, hashes_of(history))
        if proposal is None:
            break
        yield trained(proposal, proposal.candidate.hash, start)
    while ladder and isinstance(due := next_promotion(ladder, trials, closed=True), Seen):
        yield trained(due, due.candidate_hash, due.rung + 1)


def budget_of(table: Table) -> int:
    """Return how many trainings the table's study makes: of new candidates, and promotions."""
    new = table.study.spec.budget.trials
    return new + _ladder(table).promotions(new)


def _ladder(table: Table) -> Ladder:
    halving = table.study.spec.halving
    if halving is None:
        raise SystemExit(f"{table.study.name}: the study has no halving")
    return Ladder(halving, len(table.epochs), table.directions, table.reference)
