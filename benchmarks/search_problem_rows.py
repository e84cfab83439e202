"""The part of search quality on test problems: rows of hypervolumes, and of evaluations saved."""

from collections.abc import Iterator, Mapping, Sequence

from goals import Row
from search_problems import MIXED_DTLZ2, MIXED_ZDT1, MixedProblem
from search_runs import NSGA2, NSGA3, OURS, RANDOM, TPE, Array, Search, first_at, searched
from several import median, spread, told

TRIALS, TPE_TRIALS = 1_000, 250
"""Of TPE fewer: with several objectives a trial of it takes ever longer."""
CHECKPOINTS = (100, 250, 500, 1_000)
HALF, GOAL_EVALUATIONS = 500, 250
PEERS = (RANDOM, NSGA2, NSGA3, TPE)

Curves = Mapping[str, Sequence[Array]]
"""For each algorithm the hypervolume after each trial, of each seed."""


def problem_rows(seeds: range, processes: int) -> Iterator[Row]:
    """Return the rows of both problems."""
    # DTLZ2 has peers by name in its goals; ZDT1 whichever is best.
    yield from _rows(MIXED_DTLZ2, (NSGA2,), (NSGA3,), seeds, processes)
    yield from _rows(MIXED_ZDT1, PEERS, PEERS, seeds, processes)


def _rows(
    problem: MixedProblem,
    early: Sequence[str],
    late: Sequence[str],
    seeds: range,
    processes: int,
) -> Iterator[Row]:
    """Return the rows of a problem.

    Args:
        problem: The problem.
        early: Peers whose best hypervolume after ``HALF`` evaluations is to be reached sooner.
        late: Peers whose best at the end is to be had.
        seeds: Of the searches.
        processes: How many run at a time.
    """
    searches = [
        Search(problem.name, name, TPE_TRIALS if name == TPE else TRIALS, seed)
        for seed in seeds
        for name in (*OURS, *PEERS)
    ]
    found = spread(searched, searches, processes)
    curves: dict[str, list[Array]] = {}
    for search, curve in found.items():
        curves.setdefault(search.algorithm, []).append(curve)
    marks = ", ".join(f"{n:,}" for n in CHECKPOINTS)
    yield Row(f"{problem.name}, hypervolume (exact {problem.exact:.2f})", f"after {marks}")
    for name, of_name in curves.items():
        reached = [n for n in CHECKPOINTS if n <= len(of_name[0])]
        at = [median([float(curve[n - 1]) for curve in of_name]) for n in reached]
        ends = [float(curve[-1]) for curve in of_name]
        text = " ".join(f"{value:.2f}" for value in at)
        yield Row(f"  {name}", f"{text} ({min(ends):.2f} to {max(ends):.2f})")
    yield from _saved(curves, early)
    yield _end(curves, late)


def _saved(curves: Curves, early: Sequence[str]) -> Iterator[Row]:
    """Return after how many evaluations ours have what the best peer has after ``HALF``."""
    goal, peer = _best(curves, early, HALF)
    for name in OURS:
        needed = [first_at(curve, goal) for curve in curves[name]]
        wanted = f"<= {GOAL_EVALUATIONS}" if name == "auto" else "-"
        what = f"  {name} to {goal:.2f} of {peer}"
        yield Row(what, told(needed), wanted, median(needed) <= GOAL_EVALUATIONS or wanted == "-")


def _end(curves: Curves, late: Sequence[str]) -> Row:
    """Return how the hypervolume of ``auto`` at the end compares with the best peer's."""
    goal, peer = _best(curves, late, TRIALS)
    found = median([float(curve[-1]) for curve in curves["auto"]])
    return Row(
        f"  auto at the end, beside {peer}", f"{found:.2f}", f">= {goal:.2f}", found >= goal
    )


def _best(curves: Curves, peers: Sequence[str], trials: int) -> tuple[float, str]:
    """Return the highest median after so many trials, or after all if fewer, and whose it is."""
    medians = {
        peer: median([float(curve[min(trials, len(curve)) - 1]) for curve in curves[peer]])
        for peer in peers
    }
    best = max(medians, key=lambda peer: medians[peer])
    return medians[best], best
