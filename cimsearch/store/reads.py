"""The reads of `cimsearch.store.records`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import Select, Table, select

from cimsearch.errors import StorageError
from cimsearch.store.encoding import from_json
from cimsearch.store.rows import (
    AttemptRow,
    EvaluationRow,
    FrontEvent,
    LayerCost,
    Role,
    StudyRow,
    TrialRow,
)
from cimsearch.store.schema import attempt, evaluation, front_event, layer_cost, spec, study
from cimsearch.store.storage import CimStorage


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

    Only what changed since the last call is read from the database, and a trial that did not
    change is the same object as before: what is new can be told by identity.
    """
    with storage.session.study(study_id) as mirror:
        return mirror.rows()


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


def unfinished(storage: CimStorage, study_id: int) -> list[EvaluationRow]:
    """List the evaluations of a study that are pending or running, in the order of adding."""
    query = fields_of(EvaluationRow, evaluation).where(
        evaluation.c.study_id == study_id, evaluation.c.state.in_(("pending", "running"))
    )
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
