"""The Optuna storage: Optuna's samplers, plots and dashboard work on a cimsearch database."""

import copy
import uuid
import weakref
from collections.abc import Container, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage

# Optuna keeps this and `FrozenStudy` private, but they are part of what it asks of a storage.
from optuna.storages._base import DEFAULT_STUDY_NAME_PREFIX
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import delete, insert, select

from cimsearch.store.encoding import from_json, to_json
from cimsearch.store.mirror import StudyMirror, directions_of
from cimsearch.store.schema import study
from cimsearch.store.session import Session
from cimsearch.store.transaction import running_trial


def open_storage(url: str, *, create: bool = True) -> "CimStorage":
    """Open the database at a URL, creating it by default if it does not exist.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite:///:memory:`, or a
            PostgreSQL URL.
        create: False to refuse a database that does not exist, as a reader should.

    Raises:
        StorageError: If the database cannot be opened, is not cimsearch's, or has another layout.
    """
    return CimStorage(Session(url, create=create))


class CimStorage(BaseStorage):
    """An Optuna storage with one row a trial; the rest of a study is in `cimsearch.store.records`.

    It may be shared by threads, and pickled: the copy opens the same database, or, if that is in
    memory, gets a copy of it. What the reading methods return must not be changed.

    Parameters, attributes and intermediate values of a trial that this storage created are written
    together: with the next change of a trial's state or any other write to the study, with what
    is done on this storage a second or more later, by `flush`, by `close`, when it is collected or
    Python ends. A process that is killed loses what was not written; no finished trial does.

    Args:
        session: The transactions on the database, which the records use too.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        weakref.finalize(self, session.flush)

    def __reduce__(self) -> tuple[type["CimStorage"], tuple[Session]]:
        """Pickle the session only; the copy looks after its own end."""
        return CimStorage, (self.session,)

    def flush(self) -> None:
        """Write all that waits, so that other processes see it and a kill does not lose it.

        Raises:
            UpdateFinishedTrialError: If another process has ended a trial before its changes were
                written; the changes to the others are.
            LeaseLostError: If another has taken over a study that this storage had a lease on; the
                changes are dropped.
            StorageError: If the database cannot be written; nothing is lost, try again.
        """
        self.session.flush()

    def close(self) -> None:
        """Flush, and close the connections to the database; an in-memory database is lost."""
        self.session.close()

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        """See Optuna's `BaseStorage`."""
        name = DEFAULT_STUDY_NAME_PREFIX + str(uuid.uuid4()) if study_name is None else study_name
        return self.insert_study(directions, name, spec_hash=None, user_attrs={})

    def insert_study(
        self,
        directions: Sequence[StudyDirection],
        name: str,
        *,
        spec_hash: str | None,
        user_attrs: dict[str, Any],
    ) -> int:
        """Create a study and return its id; DuplicatedStudyError if the name is taken."""
        row = {
            "name": name,
            "directions": to_json([d.name.lower() for d in directions]),
            "spec_hash": spec_hash,
            "user_attrs": to_json(user_attrs),
            "system_attrs": to_json({}),
            "n_trials": 0,
            "revision": 0,
            "created": datetime.now(UTC),
        }
        with self.session.writing() as conn:
            if conn.scalar(select(study.c.id).where(study.c.name == name)) is not None:
                raise DuplicatedStudyError(f"A study with the name {name!r} already exists.")
            return int(conn.execute(insert(study).returning(study.c.id), row).scalar_one())

    def delete_study(self, study_id: int) -> None:
        """See Optuna's `BaseStorage`; the evaluations and the front of the study go too."""
        with self.session.writing() as conn:
            if conn.execute(delete(study).where(study.c.id == study_id)).rowcount == 0:
                raise KeyError(f"No study with study_id {study_id} exists.")
        self.session.forget(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """See Optuna's `BaseStorage`."""
        with self.session.writing_to(study_id) as write:
            write.set_attrs("user_attrs", {**write.mirror.user_attrs, key: value})

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """See Optuna's `BaseStorage`."""
        with self.session.writing_to(study_id) as write:
            write.set_attrs("system_attrs", {**write.mirror.system_attrs, key: value})

    def get_study_id_from_name(self, study_name: str) -> int:
        """See Optuna's `BaseStorage`."""
        with self.session.reading() as conn:
            study_id = conn.scalar(select(study.c.id).where(study.c.name == study_name))
        if study_id is None:
            raise KeyError(f"No such study {study_name}.")
        return int(study_id)

    def get_study_name_from_id(self, study_id: int) -> str:
        """See Optuna's `BaseStorage`."""
        with self.session.study(study_id) as mirror:
            return mirror.name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """See Optuna's `BaseStorage`."""
        with self.session.study(study_id) as mirror:
            return mirror.directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """See Optuna's `BaseStorage`."""
        with self.session.study(study_id) as mirror:
            return mirror.user_attrs

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """See Optuna's `BaseStorage`."""
        with self.session.study(study_id) as mirror:
            return mirror.system_attrs

    def get_all_studies(self) -> list[FrozenStudy]:
        """See Optuna's `BaseStorage`."""
        with self.session.reading() as conn:
            rows = conn.execute(select(study).order_by(study.c.id)).mappings().all()
        return [
            FrozenStudy(
                study_name=r["name"],
                direction=None,
                directions=directions_of(r["directions"]),
                user_attrs=from_json(r["user_attrs"]),
                system_attrs=from_json(r["system_attrs"]),
                study_id=r["id"],
            )
            for r in rows
        ]

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """See Optuna's `BaseStorage`."""
        frozen = running_trial() if template_trial is None else template_trial
        with self.session.writing_to(study_id) as write:
            trial_id = write.insert_trial(frozen).frozen._trial_id
        if frozen.state == TrialState.RUNNING:
            write.mirror.asked.add(trial_id)
        return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """See Optuna's `BaseStorage`."""

        def change(frozen: FrozenTrial, mirror: StudyMirror) -> None:
            if param_name in mirror.distributions:
                check_distribution_compatibility(mirror.distributions[param_name], distribution)
            # There and back as when it is written: what cannot be is refused now, not later.
            value = distribution.to_external_repr(param_value_internal)
            value = distribution.to_external_repr(distribution.to_internal_repr(value))
            frozen.params[param_name] = _as_written(value)
            frozen.distributions = {**frozen.distributions, param_name: distribution}

        self.session.edit(trial_id, change, param=param_name)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """See Optuna's `BaseStorage`."""
        with self.session.writing_trial(trial_id) as write:
            frozen = write.unfinished_trial(trial_id)
            if state == TrialState.RUNNING and frozen.state != TrialState.WAITING:
                return False
            frozen.state = state
            if values is not None:
                frozen.values = values
            if state == TrialState.RUNNING:
                frozen.datetime_start = datetime.now()
            if state.is_finished():
                frozen.datetime_complete = datetime.now()
            write.update_trial(frozen)
        if state == TrialState.RUNNING:
            write.mirror.asked.add(trial_id)
        return True

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """See Optuna's `BaseStorage`."""
        new = {int(step): float(intermediate_value)}
        self.session.edit(trial_id, lambda t, _: t.intermediate_values.update(new))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See Optuna's `BaseStorage`."""
        new = _as_written({key: value})
        self.session.edit(trial_id, lambda t, _: t.user_attrs.update(new))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See Optuna's `BaseStorage`."""
        new = _as_written({key: value})

        def change(frozen: FrozenTrial, _mirror: StudyMirror) -> None:
            frozen.system_attrs.update(new)
            to_json(frozen.constraints)  # they are among them: no constraint is refused now

        self.session.edit(trial_id, change)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See Optuna's `BaseStorage`."""
        return self.session.entry(trial_id).frozen

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """See Optuna's `BaseStorage`."""
        entries = self.session.entries(study_id)
        if not 0 <= trial_number < len(entries):
            raise KeyError(f"No trial with number {trial_number} exists in study {study_id}.")
        return entries[trial_number].frozen._trial_id

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """See Optuna's `BaseStorage`."""
        with self.session.study(study_id) as mirror:
            trials = list(mirror.trials)
            if states is not None:
                if not any(s.is_finished() and s in states for s in TrialState):
                    # Asked at every `Study.ask`: look only at the few trials that can be meant.
                    trials = [trials[n] for n in sorted(mirror.unfinished)]
                trials = [t for t in trials if t.state in states]
        if deepcopy:
            trials = copy.deepcopy(trials)
            for trial in trials:
                # Equal ones may be one object, which a deep copy of them all keeps.
                trial.system_attrs = dict(trial.system_attrs)
        return trials


def _as_written(value: Any) -> Any:
    """Return a value as it will be read back; TypeError if it cannot be written."""
    return from_json(to_json(value))
