"""One network of a study, for those who want one answer."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from cimsearch.errors import StudyError, UsageError
from cimsearch.orchestrate.read.results import StudyResult, TrialResult, read_result
from cimsearch.orchestrate.run.stored import require_study, storage_url
from cimsearch.search.fitness import Fitness, fitness_of
from cimsearch.store import open_storage


@dataclass(frozen=True)
class Answer:
    """The fittest network of a study.

    Attributes:
        trial: It.
        value: Its fitness.
        fitness: What was maximised.
        baselines: The fitness of each baseline, by name.
    """

    trial: TrialResult
    value: float
    fitness: Fitness
    baselines: Mapping[str, float]


def best_network(name: str, *, alpha: float, beta: float, storage: str | None = None) -> Answer:
    """Return the network of a study that one would take; see ``fittest``.

    Args:
        name: The study's name in the database.
        alpha: Weight of energy, as a share of the uniform 8-bit network's.
        beta: Weight of latency, likewise.
        storage: Database URL; see ``storage_url``.

    Raises:
        StudyError: There is no such study, or it has no accuracy yet.
        UsageError: A weight is negative.
    """
    with closing(open_storage(storage_url(storage), create=False)) as database:
        result = read_result(database, require_study(database, name).id)
        return fittest(result, alpha=alpha, beta=beta)


def fittest(result: StudyResult, *, alpha: float, beta: float) -> Answer:
    """Return the trial of the greatest fitness: the first of equal ones.

    Where energy and latency are objectives it is on the front, as no weight is negative.

    Raises:
        StudyError: No trial has an accuracy.
        UsageError: A weight is negative.
    """
    if min(alpha, beta) < 0:
        raise UsageError(f"fitness: found {alpha:g} and {beta:g}; allowed is 0 or more")
    fitness = fitness_of(result.study, alpha=alpha, beta=beta)
    trials = comparable(result)
    if not trials:
        raise StudyError(f"{result.name}: no trial has an accuracy", "launch or resume it first")
    best = max(trials, key=lambda trial: (_value(fitness, trial), -trial.number))
    baselines = {each.name: _value(fitness, each) for each in result.baselines}
    return Answer(best, _value(fitness, best), fitness, baselines)


def comparable(result: StudyResult) -> list[TrialResult]:
    """Return the trials that were scored as those of the front are: at the last rung."""
    return [trial for trial in result.last_rung if trial.state == "complete"]


def _value(fitness: Fitness, item: Any) -> float:
    cost = item.cost
    return fitness.of(item.objectives["accuracy"], cost["energy_pj"], cost["latency_ns"])
