"""The attempts in flight, and how far each has told it is."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cimsearch.evaluate.report import Report
from cimsearch.orchestrate.run.context import Context
from cimsearch.store import records as db
from cimsearch.workers import Event

_NOTE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt in flight.

    Attributes:
        evaluation_id: What it is at.
        label: What that is to a reader, such as ``trial 7``.
        report: How far it is, if it has told.
    """

    evaluation_id: int
    label: str
    report: Report | None = None


class Running:
    """Attempts by token; what they tell is noted in the database at most once a second."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._attempts: dict[str, Attempt] = {}
        self._unnoted: dict[str, tuple[str, str]] = {}
        self._noted_at = 0.0

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._attempts.values())

    def __contains__(self, token: str) -> bool:
        return token in self._attempts

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens of the attempts in flight."""
        return tuple(self._attempts)

    def add(self, token: str, attempt: Attempt) -> None:
        """Take in an attempt that starts now."""
        self._attempts[token] = attempt

    def get(self, token: str) -> Attempt:
        """Return an attempt in flight."""
        return self._attempts[token]

    def remove(self, token: str) -> None:
        """Forget an attempt that has ended."""
        del self._attempts[token]
        self._unnoted.pop(token, None)

    def hear(self, event: Event) -> None:
        """Take in a report of an attempt; one that is not in flight any more has none."""
        if event.token in self._attempts:
            report = Report.from_json(event.payload.decode())
            self._attempts[event.token] = replace(self._attempts[event.token], report=report)
            self._unnoted[event.token] = (event.worker, report.to_json())

    def note(self) -> None:
        """Write what has been told to the database, unless that was done a moment ago."""
        now = time.monotonic()
        if self._unnoted and now - self._noted_at >= _NOTE_EVERY_S:
            db.note_progress(self._context.storage, self._unnoted)
            self._unnoted = {}
            self._noted_at = now
