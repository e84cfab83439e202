"""The connection to a dask scheduler: which workers are free, giving jobs, hearing of them."""

import asyncio
import queue
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Any
from uuid import uuid4

from distributed import Client, Future

from cimsearch.evaluate.version import sources_hash
from cimsearch.workers.executor import Demands, Event
from cimsearch.workers.gone import reached
from cimsearch.workers.limits import stop_worker
from cimsearch.workers.shim import Run
from cimsearch.workers.slots import Slot, slots_of
from cimsearch.workers.task import key_of, work

_CONNECT_S = 10
_ANSWER_S = 10.0
_STOP_S = 5.0
_FRESH_S = 0.1
_PATIENCE = 10
"""How many times as long as a look at all workers took, the next one waits: at most _OLD_S."""
_OLD_S = 2.0

Heard = Event | str
"""An event that was told, or the token of an attempt whose dask task has ended."""


class Connection:
    """A connection to a scheduler; a broken one stays broken.

    Args:
        address: The scheduler's.
        demands: What each job takes.
        heard: Where what is heard is put.

    Raises:
        WorkerError: No scheduler answers there.
    """

    def __init__(self, address: str, demands: Demands, heard: "queue.SimpleQueue[Heard]") -> None:
        self.address = address
        self._demands = demands
        self._heard = heard
        with reached(address):
            self._client: Any = Client(address, timeout=_CONNECT_S, set_as_default=False)
        # dask connects again by itself, but has forgotten by then what was running.
        self._comm = self._client.scheduler_comm
        self._topic = f"cimsearch-{uuid4().hex}"
        self._client.subscribe_topic(self._topic, self._hear)
        self._slots: dict[Slot, bool] = {}
        self._looked_s = float("-inf")
        self._took_s = 0.0
        self._keys: set[str] = set()

    @property
    def alive(self) -> bool:
        """Whether the scheduler has been there all the time."""
        client = self._client
        return (
            client.status == "running"
            and client.scheduler_comm is self._comm
            and not self._comm.comm.closed()
        )

    def slots(self, age_s: float) -> dict[Slot, bool]:
        """Return which workers there are, and which can be given a job.

        As they were at most ``age_s`` seconds ago, or a little longer where looking takes long.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s > max(age_s, min(_PATIENCE * self._took_s, _OLD_S)):
            with suppress(OSError, TimeoutError):
                self._slots = self._client.sync(self._look, callback_timeout=_ANSWER_S)
            self._looked_s = time.monotonic()
            self._took_s = self._looked_s - now_s
        return self._slots

    async def _look(self) -> dict[Slot, bool]:
        scheduler = self._client.scheduler
        known, processing = await asyncio.gather(
            scheduler.identity(n_workers=-1), scheduler.processing(workers=None)
        )
        busy = {worker for worker, keys in processing.items() if not self._keys.issuperset(keys)}
        return slots_of(known["workers"], self._demands.resources, busy)

    def submit(self, token: str, payload: bytes, slot: Slot, run: Run) -> "Future[None]":
        """Give a job to a worker, and to no other."""
        self._keys.add(key_of(token))
        future: Future[None] = self._client.submit(
            work,
            token,
            payload,
            home=slot.home,
            code=sources_hash(),
            topic=self._topic,
            run=run,
            demands=self._demands,
            key=key_of(token),
            pure=False,
            workers=[slot.address],
            allow_other_workers=False,
            resources=dict(self._demands.resources) or None,
        )
        future.add_done_callback(lambda _: self._heard.put(token))
        return future

    def stop(self, slot: Slot) -> None:
        """Have the worker's nanny kill it, some time soon."""
        threading.Thread(target=self._stop, args=(slot,), daemon=True).start()

    def stop_all(self, slots: Collection[Slot]) -> None:
        """Have the workers killed, and wait a while until the scheduler knows."""
        for slot in slots:
            self.stop(slot)
        end_s = time.monotonic() + _STOP_S
        while not self.slots(0.0).keys().isdisjoint(slots) and time.monotonic() < end_s:
            time.sleep(_FRESH_S)

    def _stop(self, slot: Slot) -> None:
        # The worker may be gone by now, and the scheduler too: then there is nothing to stop.
        with suppress(OSError, TimeoutError, KeyError, RuntimeError):
            self._client.run(
                stop_worker, slot.home, workers=[slot.address], nanny=True, on_error="ignore"
            )

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        self._heard.put(Event(**event[1]["event"]))

    def close(self) -> None:
        """Close the connection; jobs that run are dask's to forget."""
        if self.alive:
            self._client.unsubscribe_topic(self._topic)
        self._client.close(timeout=_STOP_S)
