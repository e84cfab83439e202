"""What an executor is: a place where evaluations run.

An executor is given jobs as bytes and gives events back. It makes no decision and remembers
nothing of a study: which attempt counts, and whether to try again, is the orchestrator's to say.
"""

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Event:
    """The end of an attempt.

    Attributes:
        token: The attempt's token, as submitted.
        kind: ``done``, ``failed`` (the code raised), or ``lost`` (its worker died).
        payload: The score as JSON bytes, if done.
        reason: Why it failed or was lost.
        worker: Which worker ran it, as far as known.
    """

    token: str
    kind: Literal["done", "failed", "lost"]
    payload: bytes = b""
    reason: str = ""
    worker: str = ""


class Executor(Protocol):
    """A place where evaluations run, one in each slot."""

    def free_slots(self) -> int:
        """Return how many jobs can be submitted now without queueing."""
        ...

    def submit(self, token: str, payload: bytes) -> None:
        """Start the job ``payload`` (JSON bytes); its end is reported under ``token``."""
        ...

    def events(self, timeout_s: float) -> list[Event]:
        """Return the attempts that ended; wait up to ``timeout_s`` for the first."""
        ...

    def close(self) -> None:
        """Stop the workers that this executor started; running jobs are abandoned."""
        ...
