"""What a proposal may know.

Proposal k may use the genes of every trial below k, but the results of the oldest trained ones
only: all but the last ``lag``. Which results those are depends on k alone, so a study proposes the
same candidates with one worker or eight, and after being killed and resumed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

State = Literal["complete", "failed", "running"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A trial as a sampler sees it.

    Attributes:
        number: Its number in the study.
        genes: Its vector (v,): choice indices of a space's genes.
        candidate_hash: Hash of the decoded candidate.
        trained: Whether it was sent to a worker; an infeasible one never is.
        state: ``running`` also when its result exists but may not be used yet.
        values: Objective values, if complete.
        constraints: Constraint values (<= 0 is feasible), known before training.
        attrs: What the sampler noted with its proposal.
        rung: What it is trained and scored at; results of different rungs are not compared.
    """

    number: int
    genes: tuple[float, ...]
    candidate_hash: str
    trained: bool
    state: State
    values: tuple[float, ...] | None
    constraints: tuple[float, ...]
    attrs: Mapping[str, Any]
    rung: int = 0


class Group(tuple[Seen, ...]):
    """Trials as a key: equal if all they hold is equal, hashed by next to nothing of it."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash((len(self), self[-1].number if self else -1))


def visible(trials: Sequence[Seen], lag: int) -> tuple[Seen, ...] | None:
    """Return what the next proposal may know, or None if it must wait for a result first.

    Args:
        trials: All trials so far, in order of number.
        lag: How many of the last trained trials have results that may not be used.
    """
    trained = [place for place, trial in enumerate(trials) if trial.trained]
    hidden = trained[max(0, len(trained) - lag) :]
    first = hidden[0] if hidden else len(trials)
    usable = trials[:first]
    if any(trial.state == "running" and trial.trained for trial in usable):
        return None
    # Every trained trial from the first hidden one on is hidden; the others stay the same objects.
    return (*usable, *(_hide(trial) if trial.trained else trial for trial in trials[first:]))


def _hide(trial: Seen) -> Seen:
    return replace(trial, state="running", values=None, constraints=())
