"""The study loop: keep the workers busy, record what they find.

All state is in the store. Each step reads it, decides, and writes the outcome in one transaction,
so killing the loop at any moment loses at most the attempts in flight.
"""

import time
from collections import deque
from collections.abc import Callable
from uuid import uuid4

from cimsearch.orchestrate.context import Context
from cimsearch.orchestrate.evaluations import add_baselines, add_test_scorings
from cimsearch.orchestrate.outcome import INTERRUPTED, record
from cimsearch.orchestrate.progress import OnProgress, Phase, Progress
from cimsearch.orchestrate.proposing import next_trial
from cimsearch.orchestrate.state import best_accuracy, is_scored
from cimsearch.store import records as db
from cimsearch.workers import Executor

_POLL_S = 0.5


def run_study(
    context: Context,
    executor: Executor,
    on_progress: OnProgress,
    stopping: Callable[[], bool],
) -> None:
    """Run a study from wherever it stands to the end of its budget.

    First what a dead orchestrator left, then the baselines and the trials, at last the scoring
    of the front on test images. Running it again goes on where it stopped.

    Args:
        context: The study.
        executor: Where evaluations run.
        on_progress: Called with a snapshot after every step.
        stopping: Whether the user has asked to stop; looked at between steps.

    Raises:
        KeyboardInterrupt: The user has asked to stop; attempts in flight are recorded as lost.
        SpaceError: Proposals stay infeasible for too long.
    """
    loop = _Loop(context, executor, on_progress, stopping)
    try:
        loop.waiting.extend(e.id for e in db.recover(context.storage, context.study_id))
        loop.waiting.extend(add_baselines(context))
        loop.work(refill=True)
        loop.phase = "scoring the front on test images"
        loop.waiting.extend(add_test_scorings(context))
        loop.work(refill=False)
        loop.phase = "finished"
        loop.show()
    finally:
        loop.abandon()


class _Loop:
    """What the loop keeps between steps: the queue, the attempts in flight, the clock."""

    def __init__(
        self,
        context: Context,
        executor: Executor,
        on_progress: OnProgress,
        stopping: Callable[[], bool],
    ) -> None:
        self.context = context
        self.stopping = stopping
        self.executor = executor
        self.on_progress = on_progress
        self.waiting: deque[int] = deque()
        self.in_flight: dict[str, int] = {}
        self.phase: Phase = "searching"
        self.ended_here = 0
        self.started = time.monotonic()

    def work(self, *, refill: bool) -> None:
        """Dispatch and record until nothing waits, nothing runs and no trial is to be added."""
        more = refill
        while True:
            more = self._fill_slots(more)
            self.show()
            if not (self.waiting or self.in_flight or more):
                return
            if self.stopping():
                raise KeyboardInterrupt
            for event in self.executor.events(_POLL_S):
                evaluation_id = self.in_flight.pop(event.token)
                if record(self.context, evaluation_id, event):
                    self.ended_here += 1
                else:
                    self.waiting.appendleft(evaluation_id)

    def _fill_slots(self, more: bool) -> bool:
        """Dispatch to every free slot; return whether trials may still be added later."""
        # A long run of infeasible proposals must not keep a user from stopping it.
        while self.executor.free_slots() and (self.waiting or more) and not self.stopping():
            if not self.waiting:
                following = next_trial(self.context)
                if following.evaluation_id is not None:
                    self.waiting.append(following.evaluation_id)
                if following.kind != "added":
                    return following.kind == "wait"
            if self.waiting:
                self._dispatch(self.waiting.popleft())
        return more

    def abandon(self) -> None:
        """Record that the attempts in flight are lost; they run again on resume."""
        for token in self.in_flight:
            db.end_attempt(self.context.storage, token, state="lost", reason=INTERRUPTED)
        self.in_flight.clear()

    def _dispatch(self, evaluation_id: int) -> None:
        token = uuid4().hex
        job = db.get_evaluation(self.context.storage, evaluation_id).job
        db.start_attempt(self.context.storage, evaluation_id, token=token, worker="")
        self.in_flight[token] = evaluation_id
        self.executor.submit(token, job.encode())

    def show(self) -> None:
        """Give a snapshot to whoever watches."""
        trials = self.context.trials()
        front = self.context.front()
        done = sum(map(is_scored, trials))
        failed = sum(trial.state == "fail" for trial in trials)
        trained = sum(trial.evaluation_id is not None for trial in trials)
        to_do = len(self.waiting) + len(self.in_flight)
        if self.phase == "searching":
            to_do += max(0, self.context.plan.trials - trained)
        idle = to_do > 0 and not self.in_flight and not self.executor.free_slots()
        elapsed_s = time.monotonic() - self.started
        self.on_progress(
            Progress(
                phase="waiting for workers" if idle else self.phase,
                done=done,
                to_do=to_do,
                running=len(self.in_flight),
                failed=failed,
                infeasible=len(trials) - trained,
                budget=self.context.plan.trials,
                best_accuracy=best_accuracy(trials),
                hypervolume=front.hypervolume,
                front=len(front.trial_ids),
                elapsed_s=elapsed_s,
                left_s=elapsed_s / self.ended_here * to_do if self.ended_here else None,
            )
        )
