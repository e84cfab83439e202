"""The inline executor: one slot in this process. For debugging and for tests."""

from cimsearch.workers.executor import Event
from cimsearch.workers.shim import event_of, run_job


class InlineExecutor:
    """Runs each job when its events are asked for, in the calling thread."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, bytes]] = []

    def free_slots(self) -> int:
        """Return 1 if nothing waits, else 0."""
        return 0 if self._waiting else 1

    def submit(self, token: str, payload: bytes) -> None:
        """Keep the job until ``events`` runs it."""
        self._waiting.append((token, payload))

    def events(self, timeout_s: float) -> list[Event]:  # noqa: ARG002 - it never waits
        """Run what waits and return how it ended."""
        ended = [event_of(token, run_job(payload)) for token, payload in self._waiting]
        self._waiting.clear()
        return ended

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
