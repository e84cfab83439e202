"""The trials of one study, held in memory as they are in the database."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from sys import intern
from time import monotonic
from typing import Any, get_args

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, bindparam, select

from cimsearch.store.encoding import (
    Distributions,
    decode_distributions,
    decode_trial,
    editable,
    from_json,
    to_json,
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
_MAX_SHARED = 1000
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
        frozen = decode_trial(row, distributions)
        # Of thousands of trials: one copy of each name in memory, and fast to find in all of them.
        frozen.params = _with_shared_names(frozen.params)
        frozen.user_attrs = _with_shared_names(frozen.user_attrs)
        frozen.system_attrs = _with_shared_names(frozen.system_attrs)
        return cls(
            frozen=frozen,
            dists_hash=row["dists_hash"],
            candidate_hash=row["candidate_hash"],
            rung=row["rung"],
            promoted_from=row["promoted_from"],
            fail_reason=row["fail_reason"],
            evaluation_id=row["evaluation_id"],
        )


def _with_shared_names(values: dict[str, Any]) -> dict[str, Any]:
    return {intern(name): value for name, value in values.items()}


def directions_of(text: str) -> list[StudyDirection]:
    """Read the column `directions` of a study."""
    return [StudyDirection[d.upper()] for d in from_json(text)]


class StudyMirror:
    """One study as of `revision`: its row and its trials in order of their number.

    Entries and attribute dictionaries are replaced, never changed, so what was handed out stays as
    it was.

    Attributes:
        trials: Of each entry, what Optuna knows of it.
        asked: The running trials that were asked for here: no other process writes to them, so
            changes to them may wait.
        pending: By the id of a trial, the changes that the database does not have yet; `entries`
            show them already.
        pending_since_s: When the first of them was made, by the monotonic clock.
        refused: The finished trials for which changes waited while another process ended them.
    """

    def __init__(self, study_id: int) -> None:
        self.study_id = study_id
        self.revision = -1
        self.name = ""
        self.directions: list[StudyDirection] = []
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}
        self.entries: list[Entry] = []
        self.trials: list[FrozenTrial] = []
        self.numbers: dict[int, int] = {}
        self.unfinished: set[int] = set()
        self.sets: dict[str, Distributions] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        self.asked: set[int] = set()
        self.pending: dict[int, list[Change]] = {}
        self.pending_since_s = 0.0
        self.refused: set[int] = set()
        self._digests: dict[tuple[str, ...], str] = {}
        self._shared: dict[str, dict[str, Any]] = {}
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
                self._learn(digest, decode_distributions(text))
        for r in rows:
            self.put(Entry.of(r, self.sets[r["dists_hash"]]))
        self.revision = revision

    def put(self, entry: Entry) -> None:
        """Take in a new or changed trial, as it has been committed."""
        number, trial_id = entry.frozen.number, entry.frozen._trial_id
        self._learn(entry.dists_hash, entry.frozen.distributions)
        if entry.frozen.state.is_finished():
            self.unfinished.discard(number)
            self.asked.discard(trial_id)
            if self.pending.pop(trial_id, None) is not None:
                self.refused.add(number)
            self._share(entry)
        else:
            self.unfinished.add(number)
            entry = self._changed(entry, self.pending.get(trial_id, ()))
        if number == len(self.entries):
            self.entries.append(entry)
            self.trials.append(entry.frozen)
            self.numbers[trial_id] = number
        self._show(number, entry)

    def change(self, trial_id: int, change: "Change") -> None:
        """Change an unfinished trial here; the next transaction on the study writes it."""
        number = self.numbers[trial_id]
        self._show(number, self._changed(self.entries[number], (change,)))
        if not self.pending:
            self.pending_since_s = monotonic()
        self.pending.setdefault(trial_id, []).append(change)

    def digest(self, distributions: Distributions) -> str | None:
        """Return the hash of distributions if the database is known to have just these."""
        digest = self._digests.get(tuple(distributions))
        return digest if digest is not None and self._usual(distributions) else None

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

    def _show(self, number: int, entry: Entry) -> None:
        self.entries[number], self.trials[number] = entry, entry.frozen
        self._without_row.add(number)

    def _share(self, entry: Entry) -> None:
        """Let a finished trial, new here, have its system attributes in common with its like.

        Optuna's NSGA-II keeps the generation there, and looks it up in all trials at every ask:
        half the time of that is waiting for memory.
        """
        attrs = entry.frozen.system_attrs
        if any(isinstance(value, list | dict) for value in attrs.values()):
            return
        if len(self._shared) >= _MAX_SHARED:
            self._shared.clear()
        entry.frozen.system_attrs = self._shared.setdefault(to_json(attrs), attrs)

    def _changed(self, entry: Entry, changes: Iterable["Change"]) -> Entry:
        frozen = editable(entry.frozen)
        for change in changes:
            change(frozen, self)
        return replace(entry, frozen=frozen)

    def _learn(self, digest: str, distributions: Distributions) -> None:
        if digest in self.sets:
            return
        self.sets[digest] = dict(distributions)
        for name, distribution in distributions.items():
            self.distributions.setdefault(name, distribution)
        if self._usual(distributions):
            self._digests.setdefault(tuple(distributions), digest)

    def _usual(self, distributions: Distributions) -> bool:
        """Tell whether each parameter has the first distribution that the study had for it."""
        first = self.distributions
        return all(n in first and _same(d, first[n]) for n, d in distributions.items())


Change = Callable[[FrozenTrial, StudyMirror], None]
"""Changes a copy of a trial, given the study as it is known."""


def _same(one: BaseDistribution, other: BaseDistribution) -> bool:
    """Tell whether two distributions are written alike."""
    if one is other:
        return True
    if isinstance(one, CategoricalDistribution) and isinstance(other, CategoricalDistribution):
        # Optuna takes 1, 1.0 and True for the same choice.
        return one == other and [*map(type, one.choices)] == [*map(type, other.choices)]
    return one == other


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
