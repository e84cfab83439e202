"""What a proposal takes while a study grows to many trials, and how much memory.

On the quickstart's space, one trial after the other as the study's loop asks: ``visible``, then
``propose``, with energy and latency priced by the cost model. The accuracy is a formula in the
place of training. Processor time of this thread; memory of a process that does nothing else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import psutil
from search_runs import Array
from utilisation import CHANCE, MARGIN, POPULATION, accuracy

from cimsearch import load_study
from cimsearch.search.baselines import uniform_candidate
from cimsearch.search.history import Seen, visible
from cimsearch.search.pricing import price, problem_of
from cimsearch.search.problem import Draws, Problem
from cimsearch.search.samplers import Proposal, propose
from cimsearch.space import Candidate, Space
from cimsearch.spec.study import Sampler, SamplerName

_MEMORY_EVERY = 100


@dataclass(frozen=True)
class Growth:
    """What proposals took.

    Attributes:
        spent_s: Processor seconds (n,) of each.
        memory_bytes: The most that the process had while the study grew.
    """

    spent_s: Array
    memory_bytes: int


def grown(name: SamplerName, trials: int) -> Growth:
    """Return what ``trials`` proposals of an algorithm took. Run it in a process of its own."""
    study = load_study("quickstart")
    space = Space(study.space)
    uniform = uniform_candidate(space, study.hardware, 8)
    worst = (MARGIN * value for value in price(study, uniform).objectives)
    problem = problem_of(study, space, (CHANCE, *worst))
    sampler = Sampler(name=name, population=POPULATION)

    def values_of(candidate: Candidate) -> tuple[float, ...]:
        return (accuracy(candidate), *price(study, candidate).objectives)

    return _grown(space, problem, sampler, values_of, trials)


def _grown(
    space: Space,
    problem: Problem,
    sampler: Sampler,
    values_of: Callable[[Candidate], tuple[float, ...]],
    trials: int,
) -> Growth:
    seen: list[Seen] = []
    spent, memory, process = [], 0, psutil.Process()
    for k in range(trials):
        started = time.thread_time()
        proposal = _proposed(space, problem, sampler, seen)
        spent.append(time.thread_time() - started)
        values, name = values_of(proposal.candidate), proposal.candidate.hash
        seen.append(Seen(k, proposal.genes, name, True, "complete", values, (), proposal.attrs))
        if k % _MEMORY_EVERY == 0 or k == trials - 1:
            memory = max(memory, process.memory_info().rss)
    return Growth(np.array(spent), memory)


def _proposed(space: Space, problem: Problem, sampler: Sampler, seen: list[Seen]) -> Proposal:
    history = visible(seen, sampler.lag)
    if history is None:
        raise SystemExit("a trial has no result")
    proposal = propose(space, problem, sampler, Draws(0, len(seen)), history)
    if proposal is None:
        raise SystemExit("the space is exhausted")
    return proposal
