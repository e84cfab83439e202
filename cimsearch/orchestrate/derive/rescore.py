"""Finding the stale accuracies of a repriced study anew, on its own hardware."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

from cimsearch.errors import DataError, StudyError
from cimsearch.evaluate import AnyJob
from cimsearch.orchestrate.derive.repricing import is_repriced
from cimsearch.orchestrate.derive.stale_work import Change, OnChange, RescoreResult, StaleWork
from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.lease import leased
from cimsearch.orchestrate.run.parents import keep_parents
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.sources import (
    check_sources_readable,
    find_sources_again,
    stored_sources,
)
from cimsearch.orchestrate.run.stopping import Stopping, stop_on_signals
from cimsearch.orchestrate.run.stored import require_study, storage_url, stored_study
from cimsearch.store import CimStorage, open_storage
from cimsearch.store import records as db
from cimsearch.workers import Demands, Event, Executor, connect

_POLL_S = 0.5


def _silent(change: Change, left: int) -> None:
    """Show nothing."""


def rescore(
    name: str,
    *,
    storage: str | None = None,
    front_only: bool = False,
    workers: int | None = None,
    cluster: str | None = None,
    data: str | None = None,
    executor: Executor | None = None,
    on_change: OnChange = _silent,
) -> RescoreResult:
    """Train and score the stale trials of a repriced study on its own hardware.

    The baselines come first, then what is on the front, which changes as accuracies do, then the
    rest. Each result is written as it comes, so a run that was stopped goes on where it was.
    A score that the database has of an equal job is taken instead of a training.

    Args:
        name: The study's name in the database.
        storage: Database URL; see ``storage_url``.
        front_only: Stop when nothing on the front is stale.
        workers: As for ``launch``.
        cluster: As for ``launch``.
        data: As for ``launch``.
        executor: As for ``launch``.
        on_change: Called after each.

    Raises:
        StudyError: There is no such study, it was not repriced, or somebody else is at it.
        DataError: The data is missing or other data than the study's.
        WorkerError: The cluster cannot be reached.
        KeyboardInterrupt: The user has asked to stop.
    """
    with closing(open_storage(storage_url(storage), create=False)) as database:
        row = require_study(database, name)
        _check_repriced(row)
        plan = _plan(database, row, data)
        context = Context(plan, database, row.id)
        with stop_on_signals() as stopping, leased(context, lambda _: None, stopping):
            work = StaleWork(context, row, front_only, on_change)
            if work.next() is not None:
                with _used(executor, plan, workers, cluster) as where:
                    _Rescoring(work, where, stopping).run()
            return work.result()


def _check_repriced(row: db.StudyRow) -> None:
    """Check that the study was repriced in this database.

    Raises:
        StudyError: It was not; accuracies of others are theirs to find.
    """
    if not is_repriced(row):
        raise StudyError(
            f"study {row.name!r} was not repriced in this database: there is nothing to rescore",
            f"make one that is with: cimsearch study reprice {row.name} --hardware NAME",
        )


def _plan(database: CimStorage, row: db.StudyRow, data: str | None) -> Plan:
    """Return the study with its data.

    Raises:
        DataError: It is missing, or other data than the study's.
    """
    study = stored_study(database, row)
    sources = find_sources_again(study, row.user_attrs, data)
    known = stored_sources(row.user_attrs)
    for workload, found, wanted in zip(study.workloads, sources, known, strict=True):
        if found.fingerprint != wanted.fingerprint:
            raise DataError(
                f"{found.path or workload.data.kind}: not the data of study {row.name!r}: its "
                f"fingerprint is {found.fingerprint[:12]}, not {wanted.fingerprint[:12]}",
                "name the place of the same files with --data",
            )
    check_sources_readable(study, sources)
    keep_parents(study)
    return Plan.of(study, sources, row.user_attrs["trials"])


@contextmanager
def _used(
    executor: Executor | None, plan: Plan, workers: int | None, cluster: str | None
) -> Iterator[Executor]:
    """Give the executor, or one of the study's own that is closed at the end."""
    if executor is not None:
        yield executor
        return
    spec = plan.study.spec
    memory_gb = spec.limits.memory_gb
    demands = Demands(
        time_s=spec.limits.time_s,
        memory_bytes=None if memory_gb is None else round(memory_gb * 1e9),
        resources=spec.cluster.resources,
    )
    made = connect(
        workers=workers or spec.workers,
        address=cluster,
        demands=demands,
        slurm=spec.cluster.slurm,
    )
    with closing(made):
        yield made


class _Rescoring:
    """Dispatches what is to be found anew, and takes what comes.

    Nothing of an attempt is written before its result: one that is cut off has never been.
    """

    def __init__(self, work: StaleWork, executor: Executor, stopping: Stopping) -> None:
        self.work, self.executor, self.stopping = work, executor, stopping
        self.running: dict[str, tuple[db.EvaluationRow, AnyJob]] = {}
        self.lost: Counter[int] = Counter()
        self.draining_since_s: float | None = None

    def run(self) -> None:
        """Work until there is nothing left to do.

        Raises:
            KeyboardInterrupt: The user has asked to stop.
        """
        try:
            while self.running or self.work.next() is not None:
                self._check_stop()
                if self.draining_since_s is None:
                    self._fill()
                for event in self.executor.events(_POLL_S):
                    self._take(event)
        finally:
            for token in self.running:
                self.executor.cancel(token, reason="rescoring has ended")

    def _check_stop(self) -> None:
        """End if the user has asked to: at once, or when what runs has ended."""
        how, now = self.stopping(), time.monotonic()
        if how == "no":
            return
        self.draining_since_s = self.draining_since_s or now
        drain_s = self.work.context.plan.study.spec.limits.drain_s
        if how == "now" or not self.running or now - self.draining_since_s >= drain_s:
            raise KeyboardInterrupt

    def _fill(self) -> None:
        while self.executor.free_slots() and (row := self.work.next()) is not None:
            job = self.work.job(row)
            known = db.find_score(self.work.context.storage, job.key)
            if known is not None:
                self.work.take(row, job, known)
                continue
            token = uuid4().hex
            self.work.at_work.add(row.id)
            self.running[token] = row, job
            self.executor.submit(token, job.to_json().encode())

    def _take(self, event: Event) -> None:
        if event.kind == "progress" or event.token not in self.running:
            return
        row, job = self.running.pop(event.token)
        self.work.at_work.discard(row.id)
        if event.kind == "done":
            self.work.take(row, job, event.payload.decode())
        elif event.kind == "failed":
            self.work.failed[self.work.label(row)] = event.reason
        elif event.kind == "lost":
            self._lose(row, event.reason)

    def _lose(self, row: db.EvaluationRow, reason: str) -> None:
        """Count a worker that died at it: after so many, it is not tried again."""
        self.lost[row.id] += 1
        most = self.work.context.plan.study.spec.limits.losses
        if self.lost[row.id] >= most:
            text = f"poison: {most} workers died running it; last: {reason}"
            self.work.failed[self.work.label(row)] = text
