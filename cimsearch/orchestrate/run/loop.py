"""The study loop: keep the workers busy, record what they find.

All state is in the store. Each step reads it, decides, and writes the outcome in one transaction,
so killing the loop at any moment loses at most the attempts in flight. A step that found the
database away is done again when it is back: none does anything twice.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from cimsearch.errors import LeaseLostError, StorageError, StorageUnreachableError
from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.evaluations import label_of
from cimsearch.orchestrate.run.outcome import record, times_lost
from cimsearch.orchestrate.run.progress import OnProgress, Phase, Progress, snapshot
from cimsearch.orchestrate.run.running import Attempt, Running
from cimsearch.orchestrate.run.stalling import ENDED, EndedBy
from cimsearch.orchestrate.run.stopping import Stopping
from cimsearch.orchestrate.run.tasks import SEARCH, SEARCHING, Task
from cimsearch.orchestrate.run.waiting import Waiting, delay_s
from cimsearch.store import records as db
from cimsearch.workers import Event, Executor

INTERRUPTED = "the orchestrator was stopped"

_POLL_S = 0.5
_AWAY_LOOK_S = 1.0
_LONGEST_AWAY_S = 120.0


def run_study(
    context: Context,
    executor: Executor,
    on_progress: OnProgress,
    stopping: Stopping,
    tasks: Sequence[Task] = SEARCH,
) -> None:
    """Run a study from wherever it stands to the end of its tasks.

    First what a dead orchestrator left. Running it again goes on where it stopped.

    Args:
        context: The study, whose lease is held.
        executor: Where evaluations run.
        on_progress: Called with a snapshot after every step.
        stopping: How the user has asked to stop; looked at between steps.
        tasks: What is done, one after the other.

    Raises:
        KeyboardInterrupt: The user has asked to stop; attempts still in flight are interrupted.
        SpaceError: Proposals stay infeasible for too long.
        LeaseLostError: Another orchestrator has taken the study over.
        StorageUnreachableError: The database's server has been away for two minutes.
    """
    loop = _Loop(context, executor, on_progress, stopping)
    try:
        loop.recover()
        for task in tasks:
            loop.work(task)
        loop.phase = "finished"
        loop.show()
    finally:
        loop.abandon()


class _Loop:
    """What the loop keeps between steps: the queue, the attempts in flight, the clock."""

    def __init__(
        self, context: Context, executor: Executor, on_progress: OnProgress, stopping: Stopping
    ) -> None:
        self.context = context
        self.stopping = stopping
        self.executor = executor
        self.on_progress = on_progress
        self.waiting = Waiting()
        self.running = Running(context)
        self.task = SEARCHING
        self.phase: Phase = SEARCHING.phase
        self.more = True
        self.ended_by: EndedBy | None = None
        self.issued: dict[str, int] = {}
        self.unrecorded: deque[Event] = deque()
        self.ended_here = 0
        self.started = time.monotonic()
        self.draining_since: float | None = None
        self.away_since: float | None = None
        self.shown: Progress | None = None

    def recover(self) -> None:
        """Note what a dead orchestrator had running as lost; its task queues it again."""
        while True:
            try:
                db.recover(self.context.storage, self.context.study_id)
            except StorageUnreachableError as error:
                self._wait_for_database(error)
                self._check_stop()
            else:
                return

    def work(self, task: Task) -> None:
        """Dispatch and record until nothing waits, nothing runs and nothing is to be added."""
        self.task, self.phase = task, task.phase
        self.more = True
        added = ended = False
        while not ended:
            try:
                # A study that is stopping begins nothing: what is unfinished waits for a resume.
                if not added and self.draining_since is None:
                    self._add_evaluations()
                    added = True
                ended = self._step()
                self.away_since = None
            except StorageUnreachableError as error:
                self._wait_for_database(error)
                added = False  # whether the last transaction was committed is not known
            self._check_stop()

    def _add_evaluations(self) -> None:
        """Queue the evaluations of this task that the database has and nobody is at."""
        self.task.begin(self.context)
        rows = db.unfinished(self.context.storage, self.context.study_id)
        running = {attempt.evaluation_id for attempt in self.running}
        self.waiting.add(
            row.id for row in rows if row.role in self.task.roles and row.id not in running
        )

    def _step(self) -> bool:
        """Dispatch, wait for events, record them; return whether the phase has ended."""
        if self.draining_since is None:
            self._look_at_clock()
            self._fill_slots()
        self.running.note()
        self.show()
        if not (self.waiting or self.running or self.unrecorded or self._may_add()):
            if self._searches():
                self.context.storage.set_study_user_attr(
                    self.context.study_id, ENDED, self.ended_by
                )
            return True
        if not self.unrecorded:
            self.unrecorded.extend(self.executor.events(_POLL_S))
        while self.unrecorded:
            self._take(self.unrecorded[0])
            self.unrecorded.popleft()
        return False

    def _take(self, event: Event) -> None:
        """Record an event; what it says of an attempt that is not in flight changes nothing."""
        if event.kind == "progress":
            self.running.hear(event)
            return
        evaluation_id = self.issued[event.token]
        ended = record(self.context, evaluation_id, event)
        if event.token not in self.running:
            return
        self.running.remove(event.token)
        if ended:
            self.ended_here += 1
        else:
            wait_s = delay_s(times_lost(self.context, evaluation_id))
            self.waiting.delay(evaluation_id, until_s=time.monotonic() + wait_s)

    def _look_at_clock(self) -> None:
        """Once the time is up, leave what waits to a resume, and add nothing."""
        time_s = self.context.plan.study.spec.budget.time_s
        if not self._searches() or time_s is None:
            return
        if time.monotonic() - self.started >= time_s and (self.waiting or self.more):
            self.waiting, self.more = Waiting(), False
            self.ended_by = "time"

    def _searches(self) -> bool:
        """Return whether the search goes on: not where it is to stop."""
        return self.phase == SEARCHING.phase

    def _may_add(self) -> bool:
        proposes = self.task.propose is not None
        return proposes and self.more and self.phase == self.task.phase

    def _fill_slots(self) -> None:
        """Dispatch to every free slot, proposing trials while there are slots for them."""
        # A long run of infeasible proposals must not keep a user from stopping it.
        while self.executor.free_slots() and self.stopping() == "no":
            evaluation_id = self.waiting.ready(time.monotonic())
            if evaluation_id is not None:
                self._dispatch(evaluation_id)
                continue
            if self.task.propose is None or not self._may_add():
                return
            following = self.task.propose(self.context)
            if following.evaluation_id is not None:
                self.waiting.add([following.evaluation_id])
            if following.kind != "added":
                self.more = following.kind == "wait"
                self.ended_by = following.ended_by or self.ended_by
                return

    def _dispatch(self, evaluation_id: int) -> None:
        token = uuid4().hex
        row = db.get_evaluation(self.context.storage, evaluation_id)
        db.start_attempt(self.context.storage, evaluation_id, token=token, worker="")
        self.waiting.remove(evaluation_id)
        self.issued[token] = evaluation_id
        self.running.add(token, Attempt(evaluation_id, label_of(self.context.known(), row)))
        self.executor.submit(token, row.job.encode())

    def _check_stop(self) -> None:
        """End the loop if the user has asked to: at once, or when what runs has ended."""
        how = self.stopping()
        if how == "no":
            return
        now = time.monotonic()
        if self.draining_since is None:
            self.draining_since = now
            self.phase = "stopping when what runs has ended"
        drained = not self.running and not self.unrecorded
        limit_s = self.context.plan.study.spec.limits.drain_s
        if how == "now" or drained or now - self.draining_since >= limit_s:
            raise KeyboardInterrupt

    def _wait_for_database(self, error: StorageUnreachableError) -> None:
        """Wait a moment for the server.

        Raises:
            StorageUnreachableError: It has been away for too long.
        """
        now = time.monotonic()
        if self.away_since is None:
            self.away_since = now
        if now - self.away_since >= _LONGEST_AWAY_S or self.stopping() == "now":
            raise error
        if self.shown is not None:
            self.on_progress(replace(self.shown, phase="waiting for the database"))
        time.sleep(_AWAY_LOOK_S)

    def abandon(self) -> None:
        """Record that the attempts in flight are interrupted; they run again on resume."""
        try:
            for token in self.running.tokens:
                db.end_attempt(
                    self.context.storage, token, state="interrupted", reason=INTERRUPTED
                )
        except (StorageError, LeaseLostError, KeyError):
            pass  # whoever goes on with the study finds them, if it is still there

    def show(self) -> None:
        """Give a snapshot to whoever watches."""
        to_do = len(self.waiting) + len(self.running)
        if self._may_add():
            to_do += self.task.to_come(self.context)
        idle = to_do > 0 and not self.running and not self.executor.free_slots()
        elapsed_s = time.monotonic() - self.started
        self.shown = snapshot(
            self.context,
            "waiting for workers" if idle else self.phase,
            to_do=to_do,
            running=self.running,
            elapsed_s=elapsed_s,
            left_s=elapsed_s / self.ended_here * to_do if self.ended_here else None,
            ended_by=self.ended_by,
        )
        self.on_progress(self.shown)
