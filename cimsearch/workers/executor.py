"""What an executor is: a place where evaluations run.

An executor is given jobs as bytes and gives events back. It makes no decision and remembers
nothing of a study: which attempt counts, and whether to try again, is the orchestrator's to say.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Demands:
    """What each job takes of the worker it runs on.

    Attributes:
        time_s: Seconds after which it is stopped, if any.
        memory_bytes: Resident memory beyond which it is stopped, if any.
        resources: What a worker must declare to be given it, by name.
    """

    time_s: float | None = None
    memory_bytes: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an attempt: its end, or how far it is.

    Attributes:
        token: The attempt's token, as submitted.
        kind: ``done``, ``failed`` (the code raised, or went beyond a limit), ``lost`` (its worker
            died), ``interrupted`` (the cluster is of no use any more, which is no fault of the
            job's), or ``progress`` (it runs on).
        payload: The score as JSON bytes if done, a report if it runs on.
        reason: Why it failed, was lost or interrupted.
        worker: Which worker ran it, as far as known.
    """

    token: str
    kind: Literal["done", "failed", "lost", "interrupted", "progress"]
    payload: bytes = b""
    reason: str = ""
    worker: str = ""


def message_of(event: Event) -> dict[str, Any]:
    """Return the event as dask sends it, which adds keys of its own beside."""
    return {"event": asdict(event)}


class Executor(Protocol):
    """A place where evaluations run, one in each slot.

    Every token that was submitted and not cancelled ends in exactly one event that is not
    ``progress``; none of that token follows it.
    """

    def free_slots(self) -> int:
        """Return how many jobs can be submitted now without queueing."""
        ...

    def submit(self, token: str, payload: bytes) -> None:
        """Start the job ``payload`` (JSON bytes); what happens is told under ``token``."""
        ...

    def events(self, timeout_s: float) -> list[Event]:
        """Return what happened; wait up to ``timeout_s`` for the first."""
        ...

    def cancel(self, token: str, *, reason: str) -> None:
        """Stop the job for real, if it runs still; no event of ``token`` follows."""
        ...

    def close(self) -> None:
        """Stop the jobs that run, and the workers that this executor started."""
        ...
