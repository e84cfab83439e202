"""The inline executor: one slot in this process. For debugging and for tests."""

from cimsearch.workers.executor import Event
from cimsearch.workers.shim import Run, run_attempt, run_job


class InlineExecutor:
    """Runs each job when its events are asked for, in the calling thread.

    Nobody can stop a job that runs in one's own thread: limits do not hold here.

    Args:
        run: What evaluates a job.
    """

    def __init__(self, run: Run = run_job) -> None:
        self._run = run
        self._waiting: list[tuple[str, bytes]] = []

    def free_slots(self) -> int:
        """Return 1 if nothing waits, else 0."""
        return 0 if self._waiting else 1

    def submit(self, token: str, payload: bytes) -> None:
        """Keep the job until ``events`` runs it."""
        self._waiting.append((token, payload))

    def events(self, timeout_s: float) -> list[Event]:  # noqa: ARG002 - it never waits
        """Run what waits and return how far it was on the way, and how it ended.

        Raises:
            WorkerError: This process cannot run jobs.
        """
        events: list[Event] = []
        for token, payload in self._waiting:
            events.append(run_attempt(token, payload, self._run, events.append))
        self._waiting.clear()
        return events

    def cancel(self, token: str, *, reason: str) -> None:  # noqa: ARG002 - nobody is told
        """Forget the job if it waits."""
        self._waiting = [job for job in self._waiting if job[0] != token]

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
