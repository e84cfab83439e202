"""What a proposal may know.

Proposal k may use the genes of every trial below k, but the results of the oldest trained ones
only: all but the last ``lag``. Which results those are depends on k alone, so a study proposes the
same candidates with one worker or eight, and after being killed and resumed.
"""

from collections import deque
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Literal

State = Literal["complete", "failed", "running"]

# Of so many studies that grow at a time what is gathered is remembered.
_REMEMBERED = 16


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
    first, shown = len(trials), lag
    while first and shown:
        first -= 1
        shown -= trials[first].trained
    usable = trials[:first]
    if any(trial.state == "running" and trial.trained for trial in _later(usable)):
        return None
    # Every trained trial from the first hidden one on is hidden; the others stay the same objects.
    return (*usable, *(_hide(trial) if trial.trained else trial for trial in trials[first:]))


def _hide(trial: Seen) -> Seen:
    return replace(trial, state="running", values=None, constraints=())


def complete_of(history: Sequence[Seen]) -> list[Seen]:
    """Return the complete trials of a history, in its order."""
    with _growing:
        past = _past_of(history)
        later = history[len(past.trials) :]
        return [*past.complete, *(trial for trial in later if trial.state == "complete")]


@dataclass(frozen=True, slots=True)
class Hashes(Container[str]):
    """The hashes of a history's candidates.

    Attributes:
        places: Where each first was among the trials that have ended; some may be of later ones.
        ended: So many of these are the history's.
        later: The hashes of its other trials.
    """

    places: Mapping[str, int]
    ended: int
    later: frozenset[str]

    def __contains__(self, candidate_hash: Any) -> bool:
        """Return whether a trial of the history has this candidate."""
        place = self.places.get(candidate_hash, self.ended)
        return place < self.ended or candidate_hash in self.later


def hashes_of(history: Sequence[Seen]) -> Hashes:
    """Return the hashes of a history's candidates."""
    with _growing:
        past = _past_of(history)
        ended = len(past.trials)
    later = frozenset(trial.candidate_hash for trial in history[ended:])
    return Hashes(past.places, ended, later)


class _Past:
    """The first trials of a history, up to one that runs, and what is asked of them.

    Looking at 10,000 trials takes longer than all else in a proposal. What has ended stays as it
    is, so each is looked at once. This saves time and changes no answer: trials that are not the
    same, one by one, are not taken for it.
    """

    __slots__ = ("_asked", "complete", "places", "trials")

    def __init__(self) -> None:
        self._asked: tuple[Seen, ...] | None = None
        self.trials: list[Seen] = []
        self.complete: list[Seen] = []
        self.places: dict[str, int] = {}

    def begins(self, history: Sequence[Seen]) -> bool:
        """Return whether a history begins with these trials."""
        # What is asked for one proposal is asked about one and the same tuple.
        return history is self._asked or list(history[: len(self.trials)]) == self.trials

    def grow(self, history: Sequence[Seen]) -> None:
        """Take in what follows in a history, which begins with these trials."""
        for trial in history[len(self.trials) :]:
            if trial.state == "running":
                break
            self.places.setdefault(trial.candidate_hash, len(self.trials))
            self.trials.append(trial)
            if trial.state == "complete":
                self.complete.append(trial)
        self._asked = history if isinstance(history, tuple) else None


# The last used is the last.
_pasts: deque[_Past] = deque(maxlen=_REMEMBERED)
_growing = Lock()


def _past_of(history: Sequence[Seen]) -> _Past:
    """Return the past of a history; the caller has the lock."""
    past = next((past for past in reversed(_pasts) if past.begins(history)), None)
    if past is None:
        past = _Past()
    else:
        _pasts.remove(past)
    past.grow(history)
    if past.trials:
        _pasts.append(past)
    return past


def _later(history: Sequence[Seen]) -> Sequence[Seen]:
    """Return a history's trials from the first on that runs."""
    with _growing:
        return history[len(_past_of(history).trials) :]
