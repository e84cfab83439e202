"""The trials of one study, held in memory as they are in the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, bindparam, select

from cimsearch.store.encoding import (
    Distributions,
    decode_distributions,
    decode_trial,
    from_json,
    utc_time,
)
from cimsearch.store.rows import TrialRow, TrialStateName
from cimsearch.store.schema import distribution_set, evaluation, study, trial

_STUDY = select(study).where(study.c.id == bindparam("study_id"))
_CHANGED = (trial.c.study_id == bindparam("study_id")) & (trial.c.revision > bindparam("seen"))
_TRIALS = (
    select(trial, evaluation.c.id.label("evaluation_id"))
    .outerjoin(evaluation, (evaluation.c.trial_id == trial.c.id) & (evaluation.c.role == "trial"))
    .where(_CHANGED)
    .order_by(trial.c.number)
)
_SETS = select(distribution_set).where(
    distribution_set.c.hash.in_(select(trial.c.dists_hash).where(_CHANGED))
)
_STATE_NAMES: dict[str, TrialStateName] = {name: name for name in get_args(TrialStateName)}


@dataclass(frozen=True, slots=True)
class Entry:
    """A trial: what Optuna knows of it, and what only cimsearch does. Never changed."""

    frozen: FrozenTrial
    dists_hash: str
    candidate_hash: str | None
    rung: int | None
    promoted_from: int | None
    fail_reason: str | None
    evaluation_id: int | None

    @classmethod
    def of(cls, row: Mapping[Any, Any], distributions: Distributions) -> "Entry":
        """Build the entry from a row of the table `trial` and its `evaluation_id`."""
        return cls(
            frozen=decode_trial(row, distributions),
            dists_hash=row["dists_hash"],
            candidate_hash=row["candidate_hash"],
            rung=row["rung"],
            promoted_from=row["promoted_from"],
            fail_reason=row["fail_reason"],
            evaluation_id=row["evaluation_id"],
        )


def directions_of(text: str) -> list[StudyDirection]:
    """Read the column `directions` of a study."""
    return [StudyDirection[d.upper()] for d in from_json(text)]


class StudyMirror:
    """One study as of `revision`: its row and its trials in order of their number.

    Entries and attribute dictionaries are replaced, never changed, so what was handed out stays as
    it was.
    """

    def __init__(self, study_id: int) -> None:
        self.study_id = study_id
        self.revision = -1
        self.name = ""
        self.directions: list[StudyDirection] = []
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}
        self.entries: list[Entry] = []
        self.numbers: dict[int, int] = {}
        self.unfinished: set[int] = set()
        self.sets: dict[str, Distributions] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        self._rows: dict[int, TrialRow] = {}
        self._without_row: set[int] = set()

    def refresh(self, conn: Connection, revision: int) -> None:
        """Load what changed since the last time; `revision` is the study's now."""
        seen = {"study_id": self.study_id, "seen": self.revision}
        row = conn.execute(_STUDY, {"study_id": self.study_id}).mappings().one()
        self.name, self.directions = row["name"], directions_of(row["directions"])
        self.user_attrs = from_json(row["user_attrs"])
        self.system_attrs = from_json(row["system_attrs"])
        rows = conn.execute(_TRIALS, seen).mappings().all()
        if not self.sets.keys() >= {r["dists_hash"] for r in rows}:
            for digest, text in conn.execute(_SETS, seen):
                self.sets.setdefault(digest, decode_distributions(text))
        for r in rows:
            self.put(Entry.of(r, self.sets[r["dists_hash"]]))
        self.revision = revision

    def put(self, entry: Entry) -> None:
        """Take in a new or changed trial, as it has been committed."""
        number = entry.frozen.number
        if number == len(self.entries):
            self.entries.append(entry)
            self.numbers[entry.frozen._trial_id] = number
        else:
            self.entries[number] = entry
        self._without_row.add(number)
        if entry.frozen.state.is_finished():
            self.unfinished.discard(number)
        else:
            self.unfinished.add(number)
        self.sets.setdefault(entry.dists_hash, dict(entry.frozen.distributions))
        for name, distribution in entry.frozen.distributions.items():
            self.distributions.setdefault(name, distribution)

    def entry(self, trial_id: int) -> Entry:
        """Return a trial by its id; KeyError if the study has no such trial."""
        return self.entries[self.numbers[trial_id]]

    def rows(self) -> list[TrialRow]:
        """List the trials as records; one that did not change is the same object as before."""
        # In order of number, so that the dictionary, which keeps its order, stays sorted.
        for number in sorted(self._without_row):
            self._rows[number] = _trial_row(self.entries[number])
        self._without_row.clear()
        return list(self._rows.values())


def _trial_row(entry: Entry) -> TrialRow:
    frozen = entry.frozen
    return TrialRow(
        number=frozen.number,
        trial_id=frozen._trial_id,
        state=_STATE_NAMES[frozen.state.name.lower()],
        params=frozen.params,
        values=None if frozen.values is None else tuple(frozen.values),
        constraints=tuple(frozen.constraints.values()),
        candidate_hash=entry.candidate_hash,
        rung=entry.rung,
        promoted_from=entry.promoted_from,
        fail_reason=entry.fail_reason,
        user_attrs=frozen.user_attrs,
        started=utc_time(frozen.datetime_start),
        ended=utc_time(frozen.datetime_complete),
        evaluation_id=entry.evaluation_id,
    )
