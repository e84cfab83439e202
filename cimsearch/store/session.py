"""Transactions on a database, and the mirrors of its studies that they keep up to date."""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, bindparam, select

from cimsearch.errors import LeaseLostError
from cimsearch.store import database
from cimsearch.store.looker import Looker
from cimsearch.store.mirror import Change, Entry, StudyMirror
from cimsearch.store.schema import study, study_lease, trial
from cimsearch.store.transaction import RAISE_REVISION, StudyWrite, finished_already

PATIENCE_S = 1.0
"""After this time a change that waits is written by whatever is done next on the database."""

_REVISION = select(study.c.revision).where(study.c.id == bindparam("study_id"))
_LEASE = select(study_lease.c.token, study_lease.c.owner).where(
    study_lease.c.study_id == bindparam("study_id")
)
_STUDY_OF_TRIAL = select(trial.c.study_id).where(trial.c.id == bindparam("trial_id"))


class Session:
    """One process's view of a database; threads may share it, and it may be pickled.

    A write to a study is one transaction that first raises the study's revision, which also locks
    the study against other processes; then the mirror catches up with what they wrote; only then
    the caller decides what to write. The mirror takes the change in after the commit. A read asks
    for the study's revision first, so it sees what any process has committed. Blocks of `reading`
    and of the `writing`s must not be nested in one thread.

    Optuna sets the parameters and attributes of a trial one by one. Its rule for a cache before a
    database, in `optuna.storages._CachedStorage`, is that a writing method may succeed before its
    write is persistent, but "any preceding writes on any attributes of `Trial` are guaranteed to
    be written into a persistent storage before writes on `state` of `Trial` succeed". So `edit`
    keeps changes to trials that were asked for here, and the next transaction on their study
    writes them too: their end at the latest. `study` shows them at once; `reading` and `writing`,
    which show the database itself, write them first.

    Attributes:
        url: The database, with its password.
        token: What this session signs its leases with.
        leased: The studies that it has taken a lease on: it writes to them only as long as no
            other session has taken that over, which each transaction checks.
    """

    def __init__(self, url: str, *, create: bool) -> None:
        self._engine = database.connect(url, create=create)
        # A connection that is only forgotten keeps its locks, and psycopg warns of it.
        weakref.finalize(self, self._engine.dispose)
        self.url = self._engine.url.render_as_string(hide_password=False)
        self.token = uuid4().hex
        self.leased: set[int] = set()
        self._looker = Looker(self._engine)
        weakref.finalize(self, self._looker.close)
        self._lock = threading.RLock()
        self._mirrors: dict[int, StudyMirror] = {}

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            self.flush()
            memory = database.in_memory(self._engine)
            image = database.memory_image(self._engine) if memory else None
        return {"url": self.url, "image": image}

    def __setstate__(self, state: dict[str, Any]) -> None:
        image = state["image"]
        Session.__init__(self, state["url"], create=image is not None)
        if image is not None:
            database.restore_image(self._engine, image)

    def close(self) -> None:
        """Write what waits, as `flush` does, and close the connections to the database."""
        with self._lock:
            try:
                self.flush()
            finally:
                self._looker.close()
                self._engine.dispose()

    def flush(self) -> None:
        """Write the changes that `edit` keeps.

        Raises:
            UpdateFinishedTrialError: If another process has ended a trial before its changes were
                written; the changes to the others are.
            LeaseLostError: If another session has taken over a study; its changes are dropped.
            StorageError: If the database cannot be written; what waits is kept, to try again.
        """
        with self._lock:
            for mirror in list(self._mirrors.values()):
                self._write_pending(mirror)
            refused = [(m, n) for m in self._mirrors.values() for n in m.refused]
            for mirror, number in refused:
                mirror.refused.discard(number)
            if refused:
                raise finished_already(refused[0][1])

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for reading."""
        with self._lock:
            self._write_old(0.0)
            with database.reading(self._engine) as conn:
                yield conn

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give one transaction that concerns no study's trials, such as storing a spec."""
        with self._lock:
            self._write_old(0.0)
            with database.writing(self._engine) as conn:
                yield conn

    @contextmanager
    def writing_to(self, study_id: int) -> Iterator[StudyWrite]:
        """Give one transaction on a study; if the block raises, nothing of it is kept.

        Raises:
            KeyError: If there is no such study.
            LeaseLostError: If this session had a lease on it, which another has taken over.
        """
        with self._lock:
            with database.writing(self._engine) as conn:
                revision = conn.execute(RAISE_REVISION, {"id_": study_id}).scalar()
                before = None if revision is None else revision - 1
                mirror = self._caught_up(conn, study_id, before)
                if study_id in self.leased:
                    self._require_lease(conn, mirror)
                write = StudyWrite(conn, mirror, mirror.revision + 1)
                yield write
                write.write_pending()
            write.take_in()

    @contextmanager
    def writing_trial(self, trial_id: int) -> Iterator[StudyWrite]:
        """Give one transaction on the study of a trial; KeyError if there is no such trial."""
        with self._lock, self.writing_to(self._study_of(trial_id)) as write:
            yield write

    def edit(self, trial_id: int, change: Change, *, param: str | None = None) -> None:
        """Change something of an unfinished trial other than its state, soon or at once.

        Args:
            trial_id: The trial; KeyError if there is none.
            change: Makes the change.
            param: The parameter that it sets. One that is new to the study is written at once, so
                that from then on every process compares its distribution with this one.

        Raises:
            UpdateFinishedTrialError: If the trial is finished. If another process ended it since
                this one last looked, that is noticed by a later write to the trial, or `flush`.
        """
        with self._lock:
            self._write_old(PATIENCE_S)
            mirror = next((m for m in self._mirrors.values() if trial_id in m.asked), None)
            if mirror is not None and (param is None or param in mirror.distributions):
                mirror.change(trial_id, change)
                return
            with self.writing_trial(trial_id) as write:
                frozen = write.unfinished_trial(trial_id)
                change(frozen, write.mirror)
                write.update_trial(frozen)

    @contextmanager
    def study(self, study_id: int) -> Iterator[StudyMirror]:
        """Give the study as it is now, for the time of the block; KeyError if there is none."""
        with self._lock:
            self._write_old(PATIENCE_S)
            revision = self._looker.revision(study_id)
            mirror = self._mirrors.get(study_id)
            if mirror is None or mirror.revision != revision:
                with database.reading(self._engine) as conn:
                    revision = conn.scalar(_REVISION, {"study_id": study_id})
                    mirror = self._caught_up(conn, study_id, revision)
            yield mirror

    def entries(self, study_id: int) -> list[Entry]:
        """List the trials of a study in order of number; KeyError if there is no such study."""
        with self.study(study_id) as mirror:
            return list(mirror.entries)

    def entry(self, trial_id: int) -> Entry:
        """Return a trial; KeyError if there is none.

        One with changes that wait is as it is known here: only this process should write to it.
        """
        with self._lock:
            self._write_old(PATIENCE_S)
            for mirror in self._mirrors.values():
                if trial_id in mirror.pending:
                    return mirror.entry(trial_id)
            with self.study(self._study_of(trial_id)) as mirror:
                return mirror.entry(trial_id)

    def forget(self, study_id: int) -> None:
        """Drop the mirror of a study that has been deleted."""
        with self._lock:
            self._mirrors.pop(study_id, None)

    def _write_old(self, age_s: float) -> None:
        """Write what has waited for so long; what cannot ever be written fails later, if at all.

        A trial that is finished, deleted, or another session's now refuses the next write too.
        """
        for mirror in list(self._mirrors.values()):
            if mirror.pending and monotonic() - mirror.pending_since_s >= age_s:
                with suppress(LeaseLostError):
                    self._write_pending(mirror)

    def _write_pending(self, mirror: StudyMirror) -> None:
        if not mirror.pending:
            return
        # If it fails, reading goes on until it is tried again.
        mirror.pending_since_s = monotonic()
        try:
            with self.writing_to(mirror.study_id):
                pass
        except KeyError:
            if mirror.study_id in self._mirrors:
                raise
            # Else the study has been deleted, and its trials with it.
        except LeaseLostError:
            self.forget(mirror.study_id)
            raise

    def _caught_up(self, conn: Connection, study_id: int, revision: int | None) -> StudyMirror:
        if revision is None:
            self.forget(study_id)
            raise KeyError(f"No study with study_id {study_id} exists.")
        mirror = self._mirrors.setdefault(study_id, StudyMirror(study_id))
        if mirror.revision != revision:
            mirror.refresh(conn, revision)
        return mirror

    def _require_lease(self, conn: Connection, mirror: StudyMirror) -> None:
        # The study's row is locked by now, so nobody can take the lease until the commit. A
        # statement of its own sees what was committed while the one before waited for that lock.
        row = conn.execute(_LEASE, {"study_id": mirror.study_id}).one_or_none()
        if row is None or row.token != self.token:
            raise lease_lost(mirror.name, None if row is None else row.owner)

    def _study_of(self, trial_id: int) -> int:
        for mirror in self._mirrors.values():
            if trial_id in mirror.numbers:
                return mirror.study_id
        with database.reading(self._engine) as conn:
            study_id = conn.scalar(_STUDY_OF_TRIAL, {"trial_id": trial_id})
        if study_id is None:
            raise KeyError(f"No trial with trial_id {trial_id} exists.")
        return int(study_id)


def lease_lost(study_name: str, owner: str | None) -> LeaseLostError:
    """Say that a study is another's now; `owner` is None if that one has ended already."""
    taker = "another orchestrator" if owner is None else owner
    return LeaseLostError(
        f"{taker} has taken over the study {study_name!r}: nothing is written to it from here",
        "follow it with `cimsearch status`; it goes on there",
    )
