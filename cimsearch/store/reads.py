"""The reads of `cimsearch.store.records`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

from sqlalchemy import Select, Table, select

from cimsearch.errors import StorageError
from cimsearch.store.encoding import from_json, utc_time
from cimsearch.store.mirror import Entry
from cimsearch.store.rows import (
    AttemptRow,
    EvaluationRow,
    FrontEvent,
    LayerCost,
    Role,
    StudyRow,
    TrialRow,
    TrialStateName,
)
from cimsearch.store.schema import attempt, evaluation, front_event, layer_cost, spec, study
from cimsearch.store.storage import CimStorage

_STATE_NAMES: dict[str, TrialStateName] = {name: name for name in get_args(TrialStateName)}


def load_spec(storage: CimStorage, spec_hash: str) -> str:
    """Return the canonical JSON text of a spec; StorageError if the database does not have it."""
    with storage.session.reading() as conn:
        text = conn.scalar(select(spec.c.json).where(spec.c.hash == spec_hash))
    if text is None:
        raise StorageError(f"the database has no spec with the hash {spec_hash}")
    return str(text)


def find_study(storage: CimStorage, name: str) -> StudyRow | None:
    """Return the study with this name, if there is one."""
    with storage.session.reading() as conn:
        row = conn.execute(select(study).where(study.c.name == name)).mappings().one_or_none()
    return None if row is None else _study_row(row)


def list_studies(storage: CimStorage) -> list[StudyRow]:
    """List the studies in the order in which they were created."""
    with storage.session.reading() as conn:
        rows = conn.execute(select(study).order_by(study.c.id)).mappings().all()
    return [_study_row(row) for row in rows]


def trial_rows(storage: CimStorage, study_id: int) -> list[TrialRow]:
    """List the trials of a study in order of their number; KeyError if there is no such study.

    Only what changed since the last call is read from the database.
    """
    return [_trial_row(entry) for entry in storage.session.entries(study_id)]


def find_score(storage: CimStorage, key: str) -> str | None:
    """Return the score of the first evaluation of any study that is done and has this key."""
    query = (
        select(evaluation.c.score)
        .where(
            evaluation.c.key == key, evaluation.c.state == "done", evaluation.c.score.is_not(None)
        )
        .order_by(evaluation.c.id)
        .limit(1)
    )
    with storage.session.reading() as conn:
        score: str | None = conn.scalar(query)
    return score


def evaluations(
    storage: CimStorage, study_id: int, *, role: Role | None = None
) -> list[EvaluationRow]:
    """List the evaluations of a study, all or of one role, in the order of adding."""
    query = fields_of(EvaluationRow, evaluation).where(evaluation.c.study_id == study_id)
    if role is not None:
        query = query.where(evaluation.c.role == role)
    with storage.session.reading() as conn:
        return [EvaluationRow(*row) for row in conn.execute(query.order_by(evaluation.c.id))]


def get_evaluation(storage: CimStorage, evaluation_id: int) -> EvaluationRow:
    """Return one evaluation; KeyError if there is none with this id."""
    query = fields_of(EvaluationRow, evaluation).where(evaluation.c.id == evaluation_id)
    with storage.session.reading() as conn:
        row = conn.execute(query).one_or_none()
    if row is None:
        raise KeyError(f"there is no evaluation {evaluation_id}")
    return EvaluationRow(*row)


def attempts(storage: CimStorage, evaluation_id: int) -> list[AttemptRow]:
    """List the attempts at an evaluation in their order."""
    query = fields_of(AttemptRow, attempt).where(attempt.c.evaluation_id == evaluation_id)
    with storage.session.reading() as conn:
        return [AttemptRow(*row) for row in conn.execute(query.order_by(attempt.c.n))]


def layer_costs(storage: CimStorage, evaluation_id: int) -> list[LayerCost]:
    """List what the layers of an evaluated network cost, in order of the layers."""
    query = fields_of(LayerCost, layer_cost).where(layer_cost.c.evaluation_id == evaluation_id)
    with storage.session.reading() as conn:
        rows = conn.execute(query.order_by(layer_cost.c.layer_index)).mappings().all()
    return [LayerCost(**{**row, "components": from_json(row["components"])}) for row in rows]


def front_events(storage: CimStorage, study_id: int) -> list[FrontEvent]:
    """List the changes of a study's Pareto fronts in their order."""
    query = fields_of(FrontEvent, front_event).where(front_event.c.study_id == study_id)
    with storage.session.reading() as conn:
        return [FrontEvent(*row) for row in conn.execute(query.order_by(front_event.c.seq))]


def fields_of(row_class: type, table: Table) -> Select[Any]:
    """Select the columns named as the fields of a row class, in their order."""
    return select(*(table.c[f.name] for f in fields(row_class)))


def _study_row(row: Mapping[Any, Any]) -> StudyRow:
    return StudyRow(
        id=row["id"],
        name=row["name"],
        spec_hash=row["spec_hash"],
        directions=tuple(from_json(row["directions"])),
        user_attrs=from_json(row["user_attrs"]),
        created=row["created"],
    )


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
