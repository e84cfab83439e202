"""Evaluations that take no time: what the loop does is tested here, not what a worker finds."""

import time
from collections import deque
from dataclasses import dataclass, field
from random import Random

from cimsearch.evaluate import Job, Score
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.workers import Event

Table = list[tuple[object, ...]]


def score_of(payload: bytes) -> bytes:
    """Return a score that follows from the job alone, as a worker's does."""
    job = Job.from_json(payload.decode())
    # Not the job's key, which follows the sources that train: what is tested here does not.
    asked = (
        job.candidate_hash,
        job.hardware.hash,
        job.rung.training,
        job.replicate,
        job.first_chip,
    )
    rng = Random(repr(asked))
    accuracies = tuple(rng.randrange(10, 100) / 100 for _ in range(job.rung.chips))
    return (
        Score(
            level=job.rung.score_level,
            split=job.split,
            images=100,
            accuracy_per_chip=accuracies,
            ideal_accuracy=0.9,
            float_accuracy=0.95,
            activity_frac={node.name: 0.5 for node in job.blueprint.nodes},
            density_frac={node.name: 0.5 for node in job.blueprint.nodes},
            parent_epochs=job.recipe.parent_epochs,
            epochs=job.epochs,
        )
        .to_json()
        .encode()
    )


@dataclass
class QuickExecutor:
    """Slots that answer in any order; each attempt ends by ``fate``: how often and with what."""

    slots: int
    rng: Random
    running: dict[str, bytes] = field(default_factory=dict)
    told: deque[Event] = field(default_factory=deque)
    submitted: int = 0

    def free_slots(self) -> int:
        return self.slots - len(self.running)

    def submit(self, token: str, payload: bytes) -> None:
        self.running[token] = payload
        self.submitted += 1

    def events(self, timeout_s: float) -> list[Event]:
        if self.running and self.rng.random() < 0.8:
            token = self.rng.choice(sorted(self.running))
            self.told.extend(self.fate(token, self.running.pop(token)))
        elif not self.told:
            time.sleep(min(timeout_s, 0.01))
        return [self.told.popleft()] if self.told else []

    def fate(self, token: str, payload: bytes) -> list[Event]:
        return [Event(token, "done", score_of(payload), worker="quick")]

    def cancel(self, token: str, *, reason: str) -> None:  # noqa: ARG002 - the protocol's
        self.running.pop(token, None)

    def close(self) -> None:
        self.running.clear()


class UnreliableExecutor(QuickExecutor):
    """Loses attempts, answers twice, and answers late for attempts that it called lost."""

    def fate(self, token: str, payload: bytes) -> list[Event]:
        done = Event(token, "done", score_of(payload), worker="quick")
        lost = Event(token, "lost", reason="KilledWorker: the worker at quick died")
        return self.rng.choice([[done], [done], [done, done], [lost], [lost, done]])


def table(url: str) -> Table:
    """Return what must not depend on who ran the study, or how often it was disturbed."""
    storage = open_storage(url)
    row = db.list_studies(storage)[0]
    front: dict[int, float | None] = {}
    for event in db.front_events(storage, row.id):
        if event.action == "add":
            front[event.trial_id] = None
        else:
            del front[event.trial_id]
    rows: Table = [
        (
            t.number,
            t.state,
            tuple(t.params.items()),
            t.values,
            t.constraints,
            t.trial_id in front,
            t.rung,
            t.promoted_from,
        )
        for t in db.trial_rows(storage, row.id)
    ]
    storage.close()
    return rows
