"""One transaction on a study: what may be written in it, and how the mirror learns of it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from optuna.distributions import check_distribution_compatibility
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Table, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from cimsearch.store.encoding import (
    content_hash,
    editable,
    encode_distributions,
    encode_trial,
    from_json,
    to_json,
)
from cimsearch.store.mirror import Entry, StudyMirror
from cimsearch.store.schema import distribution_set, study, trial

_THE_STUDY = study.c.id == bindparam("id_")
RAISE_REVISION = (
    update(study)
    .where(_THE_STUDY)
    .values(revision=study.c.revision + 1)
    .returning(study.c.revision)
)
_RAISE_N_TRIALS = (
    update(study)
    .where(_THE_STUDY)
    .values(n_trials=study.c.n_trials + 1)
    .returning(study.c.n_trials)
)
_INSERT_TRIAL = insert(trial).returning(trial.c.id)
_UPDATE_TRIAL = update(trial).where(trial.c.id == bindparam("id_"))


def running_trial() -> FrozenTrial:
    """Make a trial that starts now, without parameters, id or number."""
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def finished_already(number: int) -> UpdateFinishedTrialError:
    """Say, in Optuna's words, that a trial must not be changed any more."""
    return UpdateFinishedTrialError(f"Trial#{number} has already finished and can not be updated.")


def insert_once(conn: Connection, into: Table, row: dict[str, Any]) -> None:
    """Insert a row addressed by its content's hash, unless it is there already."""
    if conn.scalar(select(into.c.hash).where(into.c.hash == row["hash"])) is not None:
        return
    try:
        with conn.begin_nested():
            conn.execute(insert(into), row)
    except IntegrityError:
        pass  # another process has just stored the same content


@dataclass(frozen=True)
class StudyWrite:
    """The open transaction, with the study as it is before it; `take_in` after the commit."""

    conn: Connection
    mirror: StudyMirror
    revision: int
    entries: dict[int, Entry] = field(default_factory=dict)
    attrs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def set_attrs(self, column: str, attrs: dict[str, Any]) -> None:
        """Replace the study's `user_attrs` or `system_attrs`."""
        text = to_json(attrs)
        self.conn.execute(
            update(study).where(_THE_STUDY).values({column: text}), {"id_": self.mirror.study_id}
        )
        self.attrs[column] = from_json(text)

    def unfinished_trial(self, trial_id: int) -> FrozenTrial:
        """Copy a trial to change it; UpdateFinishedTrialError if it is finished."""
        frozen = self.mirror.entry(trial_id).frozen
        if frozen.state.is_finished():
            self.mirror.refused.discard(frozen.number)
            raise finished_already(frozen.number)
        return editable(frozen)

    def insert_trial(
        self,
        frozen: FrozenTrial,
        *,
        candidate_hash: str | None = None,
        rung: int | None = None,
        promoted_from: int | None = None,
        fail_reason: str | None = None,
    ) -> Entry:
        """Add a trial with the study's next number."""
        study_id = self.mirror.study_id
        row = {
            **encode_trial(frozen),
            "study_id": study_id,
            "number": self.conn.execute(_RAISE_N_TRIALS, {"id_": study_id}).scalar_one() - 1,
            "dists_hash": self._store_distributions(frozen),
            "candidate_hash": candidate_hash,
            "rung": rung,
            "promoted_from": promoted_from,
            "fail_reason": fail_reason,
            "revision": self.revision,
        }
        row["id"] = self.conn.execute(_INSERT_TRIAL, row).scalar_one()
        return self._written({**row, "evaluation_id": None}, frozen)

    def update_trial(self, frozen: FrozenTrial, *, fail_reason: str | None = None) -> None:
        """Write back a trial that `unfinished_trial` gave."""
        old = self.mirror.entry(frozen._trial_id)
        row = {
            **encode_trial(frozen),
            "dists_hash": self._store_distributions(frozen),
            "fail_reason": fail_reason,
            "revision": self.revision,
        }
        self.conn.execute(_UPDATE_TRIAL, {**row, "id_": frozen._trial_id})
        kept = {
            "id": frozen._trial_id,
            "number": frozen.number,
            "candidate_hash": old.candidate_hash,
            "rung": old.rung,
            "promoted_from": old.promoted_from,
            "evaluation_id": old.evaluation_id,
        }
        self._written({**row, **kept}, frozen)

    def link(self, trial_id: int, evaluation_id: int) -> None:
        """Note that a trial added in this transaction has got this evaluation."""
        self.entries[trial_id] = replace(self.entries[trial_id], evaluation_id=evaluation_id)

    def write_pending(self) -> None:
        """Write the changes that waited, of trials that this transaction has not written."""
        for trial_id in self.mirror.pending.keys() - self.entries.keys():
            self.update_trial(self.unfinished_trial(trial_id))

    def take_in(self) -> None:
        """Bring the mirror to the state that has been committed."""
        self.mirror.pending.clear()
        for entry in self.entries.values():
            self.mirror.put(entry)
        self.mirror.user_attrs = self.attrs.get("user_attrs", self.mirror.user_attrs)
        self.mirror.system_attrs = self.attrs.get("system_attrs", self.mirror.system_attrs)
        self.mirror.revision = self.revision

    def _written(self, row: dict[str, Any], frozen: FrozenTrial) -> Entry:
        # Decoded from what was written, so that the mirror equals what another process reads.
        distributions = self.mirror.sets.get(row["dists_hash"], frozen.distributions)
        entry = Entry.of(row, distributions)
        self.entries[entry.frozen._trial_id] = entry
        return entry

    def _store_distributions(self, frozen: FrozenTrial) -> str:
        """Store a trial's distributions and return their hash, unless they contradict others."""
        known = self.mirror.digest(frozen.distributions)
        if known is not None:
            return known
        text = encode_distributions(frozen.distributions)
        digest = content_hash(text)
        if digest not in self.mirror.sets:
            for name in frozen.distributions.keys() & self.mirror.distributions.keys():
                check_distribution_compatibility(
                    self.mirror.distributions[name], frozen.distributions[name]
                )
            insert_once(self.conn, distribution_set, {"hash": digest, "json": text})
        return digest
