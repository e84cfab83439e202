"""The dask executor: local workers, or the workers of a scheduler at an address.

One task per free slot, each given to one worker by name, so that dask never queues and never
moves a job: a worker that dies takes one attempt with it. dask itself retries nothing; the
orchestrator counts attempts.
"""

import logging
import queue
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from distributed import Future

from cimsearch.errors import WorkerError
from cimsearch.workers.connection import Heard
from cimsearch.workers.executor import Demands, Event
from cimsearch.workers.gone import cannot_begin, died, died_of
from cimsearch.workers.limits import was_stopped
from cimsearch.workers.settings import quiet
from cimsearch.workers.shim import Run, run_job
from cimsearch.workers.slots import Slot
from cimsearch.workers.supply import Lent, Local, StartedCluster

_LOG = logging.getLogger(__name__)

_EVALUATIONS_NEED = ("cimsearch.workers.preloaded",)

_FRESH_S = 0.2
_LOOK_S = 0.5
_GRACE_S = 1.0
_STOP_AGAIN_S = 3.0


@dataclass(slots=True)
class _Attempt:
    """An attempt that runs: where, its dask task, since when its worker has not been seen."""

    slot: Slot
    future: "Future[None]"
    unseen_s: float | None = None


class DaskExecutor:
    """Runs jobs on dask workers.

    Args:
        workers: How many local worker processes to start, each with one thread.
        address: A scheduler's address (``tcp://host:port``) to use instead.
        demands: What each job takes of its worker.
        cluster: A cluster to use instead, and to close at the end.
        run: What evaluates a job; workers must be able to import it.

    Raises:
        WorkerError: Workers cannot be started, or the scheduler at ``address`` not reached.
    """

    def __init__(
        self,
        *,
        workers: int,
        address: str | None = None,
        demands: Demands | None = None,
        cluster: StartedCluster | None = None,
        run: Run = run_job,
    ) -> None:
        quiet()
        self._run = run
        self._heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._running: dict[str, _Attempt] = {}
        self._leaving: dict[str, _Attempt] = {}
        self._doomed: dict[Slot, float] = {}
        self._events: list[Event] = []
        self._error: WorkerError | None = None
        if cluster is not None:
            address = cluster.scheduler_address
        demands = demands or Demands()
        self._supply = (
            Local(workers, demands, self._heard, _EVALUATIONS_NEED if run is run_job else ())
            if address is None
            else Lent(address, demands, self._heard, cluster)
        )
        self._connection = self._supply.connect()

    def free_slots(self) -> int:
        """Return how many workers could be given a job now.

        Raises:
            WorkerError: The scheduler is gone, local workers do not stay, or workers cannot run
                jobs; once all that was submitted has ended.
        """
        self._look()
        if self._error is None:
            return max(0, len(self._free()) - len(self._waiting))
        if not (self._running or self._events):
            raise self._error
        return 0

    def submit(self, token: str, payload: bytes) -> None:
        """Give the job to a free worker; if there is none any more, to the next.

        Raises:
            WorkerError: As ``free_slots``; no event of ``token`` follows then.
        """
        if self._error:
            raise self._error
        self._waiting.append((token, payload))
        self._give()

    def events(self, timeout_s: float) -> list[Event]:
        """Return what happened; wait up to ``timeout_s`` for the first.

        Raises:
            WorkerError: As ``free_slots``, once all that was submitted has ended.
        """
        end_s = time.monotonic() + timeout_s
        while True:
            self._look()
            self._give()
            if self._events:
                events, self._events = self._events, []
                return events
            if self._error and not self._running:
                raise self._error
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return []
            with suppress(queue.Empty):
                self._take(self._heard.get(timeout=min(left_s, _LOOK_S)))

    def cancel(self, token: str, *, reason: str) -> None:
        """Stop the job by killing its worker, which is replaced; no event of it follows."""
        _LOG.info("attempt %s is stopped: %s", token, reason)
        self._waiting = deque(job for job in self._waiting if job[0] != token)
        self._events = [event for event in self._events if event.token != token]
        attempt = self._running.pop(token, None)
        if attempt is not None:
            attempt.future.release()
            self._stop(attempt.slot)

    def close(self) -> None:
        """Stop the jobs that run, and the workers that are ours."""
        if self._connection.alive and not self._supply.jobs_end_with_it:
            self._connection.stop_all([attempt.slot for attempt in self._running.values()])
        self._connection.close()
        self._supply.close()

    def _free(self) -> list[Slot]:
        slots = self._connection.slots(_FRESH_S)
        taken = {attempt.slot for attempt in self._running.values()} | self._doomed.keys()
        return [slot for slot, usable in slots.items() if usable and slot not in taken]

    def _give(self) -> None:
        """Give jobs that wait to free workers."""
        while self._waiting and self._connection.alive and (free := self._free()):
            token, payload = self._waiting.popleft()
            future = self._connection.submit(token, payload, free[0], self._run)
            self._running[token] = self._leaving[token] = _Attempt(free[0], future)

    def _stop(self, slot: Slot) -> None:
        self._doomed[slot] = time.monotonic() + _STOP_AGAIN_S
        self._connection.stop(slot)

    def _look(self) -> None:
        """Take in what was heard, and look whether scheduler and workers are there."""
        with suppress(queue.Empty):
            while True:
                self._take(self._heard.get_nowait())
        if not self._connection.alive:
            self._lose_scheduler()
            return
        if self._running or self._doomed:
            self._look_for_workers()
        try:
            self._supply.check()
        except WorkerError as error:
            self._fail(error)

    def _fail(self, error: WorkerError) -> None:
        """Give out no more jobs; those that wait for a worker are interrupted, others go on."""
        self._error = self._error or error
        for token, _ in self._waiting:
            self._events.append(Event(token, "interrupted", reason=error.message))
        self._waiting.clear()

    def _take(self, heard: Heard) -> None:
        if isinstance(heard, str):
            self._leave(heard)
        elif heard.kind != "progress":
            self._end(heard)
        elif heard.token in self._running:
            self._events.append(heard)

    def _end(self, event: Event) -> None:
        """Take in the end of an attempt; what comes after the first is late and counts not."""
        attempt = self._running.pop(event.token, None)
        if attempt is None:
            return
        if event.kind == "lost" or was_stopped(event):
            self._doomed[attempt.slot] = time.monotonic() + _STOP_AGAIN_S
        if event.kind in ("done", "failed"):
            self._supply.job_ended()
        self._events.append(event)

    def _lose(self, token: str, address: str, how: str = "") -> None:
        self._end(Event(token, "lost", reason=died(address, how), worker=address))

    def _leave(self, token: str) -> None:
        """Take in that dask has done with an attempt; if it has not told its end, it is lost."""
        attempt = self._leaving.pop(token, None)
        if attempt is None or token not in self._running:
            return
        if not self._connection.alive:
            return  # all that runs is lost then
        address = attempt.slot.address
        if attempt.future.status != "error":
            self._lose(token, address, ": its scheduler forgot the attempt")
            return
        error = attempt.future.exception()
        if unable := cannot_begin(self._connection.address, error):
            self._end(Event(token, "interrupted", reason=unable.message, worker=address))
            self._fail(unable)
        else:
            self._end(Event(token, "lost", reason=died_of(address, error), worker=address))

    def _look_for_workers(self) -> None:
        """Lose attempts whose worker has gone unheard, and see to it that doomed ones go."""
        slots = self._connection.slots(_LOOK_S)
        now_s = time.monotonic()
        for token, attempt in list(self._running.items()):
            if attempt.slot in slots:
                attempt.unseen_s = None
            elif attempt.unseen_s is None:
                attempt.unseen_s = now_s
            elif now_s - attempt.unseen_s > _GRACE_S:
                attempt.future.release()
                self._leaving.pop(token, None)
                self._lose(token, attempt.slot.address)
        for slot, again_s in list(self._doomed.items()):
            if slot not in slots:
                del self._doomed[slot]
            elif now_s > again_s:
                self._stop(slot)

    def _lose_scheduler(self) -> None:
        """Lose what runs; start local workers again, which others' we cannot."""
        for token, attempt in list(self._running.items()):
            address = attempt.slot.address
            if self._supply.restarts:
                self._lose(token, address, " with its scheduler")
            else:
                reason = "its scheduler is gone"
                self._end(Event(token, "interrupted", reason=reason, worker=address))
        self._leaving.clear()
        self._doomed.clear()
        if self._error:
            return
        self._connection.close()
        try:
            self._connection = self._supply.reconnect()
        except WorkerError as error:
            self._fail(error)
