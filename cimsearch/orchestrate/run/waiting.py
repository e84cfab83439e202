"""Evaluations that wait for a worker, and how long those wait that lost theirs."""

from collections import deque
from collections.abc import Iterable

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0


def delay_s(losses: int) -> float:
    """Return how long an evaluation waits after its n-th loss: twice as long each time.

    What killed a worker may be of the machine (memory that others use, a file server that is
    away), and then pass; an evaluation that is to blame itself keeps no worker busy meanwhile.
    """
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** (losses - 1))


class Waiting:
    """A queue of evaluations, each once; those that wait out a delay go before the others then."""

    def __init__(self) -> None:
        self._ready: deque[int] = deque()
        self._delayed: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._ready) + len(self._delayed)

    def __contains__(self, evaluation_id: int) -> bool:
        return evaluation_id in self._delayed or evaluation_id in self._ready

    def add(self, evaluation_ids: Iterable[int]) -> None:
        """Append evaluations, unless they wait already."""
        for evaluation_id in evaluation_ids:
            if evaluation_id not in self:
                self._ready.append(evaluation_id)

    def delay(self, evaluation_id: int, *, until_s: float) -> None:
        """Let an evaluation wait until ``until_s`` on the caller's clock, then go first."""
        self._delayed[evaluation_id] = until_s

    def ready(self, now_s: float) -> int | None:
        """Return the evaluation whose turn it is, if any; it waits on until it is removed."""
        due = [(until_s, each) for each, until_s in self._delayed.items() if until_s <= now_s]
        if due:
            return min(due)[1]
        return self._ready[0] if self._ready else None

    def remove(self, evaluation_id: int) -> None:
        """Take an evaluation out of the queue."""
        if self._delayed.pop(evaluation_id, None) is None:
            self._ready.remove(evaluation_id)
