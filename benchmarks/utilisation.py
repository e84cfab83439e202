"""How busy the lag lets workers be, and what hypervolume it costs.

A proposal may use the results of all but the last ``lag`` trained trials, so it waits only for the
oldest. With trials of log-normal times (sigma 0.8) an event simulation gives the share of time
that 2, 8 and 32 workers work, by the rule that the study's loop uses. What is proposed depends on
the trial's number and on the lag, not on who was when ready; so the searches are run apart from
the times: NSGA-II on the quickstart's space, energy and latency priced by the cost model, accuracy
by a formula in its place. Lag 0 is the search that waits for every result: one worker at a time.

Run: ``python benchmarks/utilisation.py``; about ten minutes on 2 cores. Exit code 1 if a goal is
missed.
"""

import heapq
import math
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from statistics import fmean

import numpy as np
import optuna
from goals import Row, conclude, heading

from cimsearch import load_study, pareto
from cimsearch.search.baselines import uniform_candidate
from cimsearch.search.domain import domain_of
from cimsearch.search.history import Seen, visible
from cimsearch.search.pricing import price
from cimsearch.search.problem import Draws, Problem
from cimsearch.search.samplers import propose
from cimsearch.seeds import stream
from cimsearch.space import Candidate, Space
from cimsearch.spec.study import Sampler

WORKERS = (2, 8, 32)
LAG_OF_WORKERS, DEFAULT_LAG = 12, 8
SIGMA = 0.8
SEEDS = range(3)
# Times are log-normal, so some of a few thousand are very long: one seed says little.
TIMED_SEEDS = range(20)
TIMED_TRIALS, SEARCHED_TRIALS = 4_000, 800
POPULATION = 50
GOAL = 0.95
DIRECTIONS = ("maximize", "minimize", "minimize")
CHANCE, MARGIN = 0.1, 1.1
WEIGHTS_SCALE = 100


def utilisation(workers: int, lag: int, seed: int) -> float:
    """Return the share of their time that workers work, while there is always more to do.

    It is taken from when the first proposal could have to wait to when the last trial starts.
    """
    normal = stream("times", seed).standard_normal(TIMED_TRIALS)
    times: list[float] = np.exp(SIGMA * normal).tolist()
    trials: list[Seen] = []
    running: list[tuple[float, int]] = []
    starts: list[float] = []
    now = 0.0
    while len(trials) < TIMED_TRIALS:
        if len(running) < workers and visible(trials, lag) is not None:
            heapq.heappush(running, (now + times[len(trials)], len(trials)))
            starts.append(now)
            trials.append(_seen(len(trials)))
        else:
            now, ended = heapq.heappop(running)
            trials[ended] = replace(trials[ended], state="complete", values=(0.0,))
    begin, end = starts[lag + 1], starts[-1]
    pairs = zip(starts, times, strict=True)
    worked = sum(max(0.0, min(start + time, end) - max(start, begin)) for start, time in pairs)
    return worked / (workers * (end - begin))


def _seen(number: int) -> Seen:
    return Seen(number, (), "", True, "running", None, (), {})


def accuracy(candidate: Candidate) -> float:
    """Return an accuracy that grows with weights and bits and saturates: a formula, no network."""
    nodes = [node for node in candidate.blueprint.nodes if node.placement == "cim"]
    coarse = fmean(2.0**-n.w_bits + 2.0**-n.x_bits + 2.0**-n.adc_bits for n in nodes)
    small = (WEIGHTS_SCALE / sum(node.weights for node in nodes)) ** 0.5
    return CHANCE + (1 - CHANCE) * math.exp(-coarse - small)


def hypervolumes(lag: int, seed: int) -> list[float]:
    """Return the front's hypervolume after each trial, as a share of the box up to its reference.

    The box ends at chance accuracy and 1.1 times the uniform 8 bit network, as a study's does.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = load_study("quickstart")
    space, sampler = Space(study.space), Sampler(name="optuna_nsga2", population=POPULATION)
    problem = Problem(domain_of(space), tuple(DIRECTIONS))
    uniform = uniform_candidate(space, study.hardware, 8)
    reference = [CHANCE, *(MARGIN * value for value in price(study, uniform).objectives)]
    limit = pareto.signed(reference, DIRECTIONS)[0]
    trials: list[Seen] = []
    front = np.zeros((0, len(DIRECTIONS)))
    shares = []
    for k in range(SEARCHED_TRIALS):
        history = visible(trials, lag)
        if history is None:
            raise SystemExit("a trial has no result")
        proposal = propose(space, problem, sampler, Draws(seed, k), history)
        if proposal is None:
            raise SystemExit("the space is exhausted")
        priced = price(study, proposal.candidate)
        values = (accuracy(proposal.candidate), *priced.objectives)
        genes, name = proposal.genes, proposal.candidate.hash
        trials.append(Seen(k, genes, name, True, "complete", values, (), proposal.attrs))
        points = np.concatenate([front, pareto.signed(values, DIRECTIONS)])
        front = points[pareto.front_mask(points)]
        shares.append(pareto.hypervolume_share(front, limit, (-1.0, 0.0, 0.0)))
    return shares


def searches() -> dict[tuple[int, int], list[float]]:
    """Return the hypervolumes by lag and seed, searched on all cores."""
    cases = list(product((0, *(LAG_OF_WORKERS * n for n in WORKERS)), SEEDS))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        return dict(zip(cases, pool.map(hypervolumes, *zip(*cases, strict=True)), strict=True))


def rows() -> Iterator[Row]:
    """Return the table."""
    busy = {n: [utilisation(n, LAG_OF_WORKERS * n, seed) for seed in TIMED_SEEDS] for n in WORKERS}
    for n, shares in busy.items():
        mean = fmean(shares)
        found = f"{100 * mean:.1f} % ({100 * min(shares):.1f} at least)"
        goal = f">= {100 * GOAL:.0f} %"
        yield Row(f"{n} workers, lag {LAG_OF_WORKERS * n}: busy", found, goal, mean >= GOAL)
    for n in WORKERS:
        share = fmean(utilisation(n, DEFAULT_LAG, seed) for seed in TIMED_SEEDS)
        yield Row(f"{n} workers, lag {DEFAULT_LAG}, the default: busy", f"{100 * share:.1f} %")
    shares_of = searches()
    for seed in SEEDS:
        serial = shares_of[0, seed]
        yield Row(f"seed {seed}, lag 0: hypervolume", f"{serial[-1]:.4f}")
        for n in WORKERS:
            lag = LAG_OF_WORKERS * n
            share = shares_of[lag, seed][-1]
            # In the time in which n busy workers end all trials, one ends an n-th of them.
            alone = serial[round(SEARCHED_TRIALS / (n * fmean(busy[n]))) - 1]
            name = f"seed {seed}, lag {lag}: hypervolume, lost"
            lost = f"{share:.4f}, {100 * (1 - share / serial[-1]):+.1f} %"
            yield Row(name, f"{lost}; lag 0 in that time {alone:.4f}")


def main() -> int:
    """Print the report; return the exit code."""
    heading("Utilisation and hypervolume by lag", "moocore", "numpy")
    print(f"log-normal times, sigma {SIGMA}, {TIMED_TRIALS:,} trials; searches of ", end="")
    print(f"{SEARCHED_TRIALS} trials, population {POPULATION}")
    return conclude(rows())


if __name__ == "__main__":
    sys.exit(main())
