"""Which networks of a search are adapted."""

from collections.abc import Iterator

import numpy as np

from cimsearch import pareto
from cimsearch.orchestrate.read.results import StudyResult, TrialResult
from cimsearch.spec.adaptation import Adaptation


def chosen(result: StudyResult, how: Adaptation) -> tuple[int, ...]:
    """Return the numbers of the trials that go on.

    The cheapest of the front that lose little enough against the most accurate baseline, then the
    most accurate of its others. If the front has too few, then likewise those that are dominated
    by networks of the front alone, and so on: where a search was short or its budget narrow, one
    lucky score makes a front of one network.
    """
    best = max((b.objectives["accuracy"] for b in result.baselines), default=0.0)
    least = best - how.max_accuracy_drop
    numbers: list[int] = []
    for front in _fronts(result):
        good = [trial for trial in front if trial.objectives["accuracy"] >= least]
        others = [trial for trial in front if trial.objectives["accuracy"] < least]
        others.sort(key=lambda trial: -trial.objectives["accuracy"])
        numbers += [trial.number for trial in (*good, *others)]
        if len(numbers) >= how.networks:
            break
    return tuple(numbers[: how.networks])


def _fronts(result: StudyResult) -> Iterator[tuple[TrialResult, ...]]:
    """Yield the front, that of what is left without it, and so on: each cheapest first."""
    yield result.front
    left = [trial for trial in result.last_rung if _is_feasible(trial) and not trial.on_front]
    second = result.study.spec.objectives[1]
    while left:
        values = [tuple(trial.objectives.values()) for trial in left]
        mask = pareto.front_mask(pareto.signed(np.array(values), result.directions))
        front = [trial for trial, on in zip(left, mask, strict=True) if on]
        yield tuple(sorted(front, key=lambda t: (t.objectives[second], t.number)))
        left = [trial for trial, on in zip(left, mask, strict=True) if not on]


def _is_feasible(trial: TrialResult) -> bool:
    return trial.state == "complete" and all(value <= 0 for value in trial.constraints.values())
