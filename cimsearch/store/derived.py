"""A study that follows from another, written whole or not at all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from cimsearch.errors import StudyError
from cimsearch.store import schema
from cimsearch.store.encoding import (
    canonical_json,
    content_hash,
    encode_distributions,
    encode_trial,
    plain_text,
    to_json,
)
from cimsearch.store.rows import Direction, NewEvaluation, NewTrial, Tell, TrialRow
from cimsearch.store.storage import CimStorage
from cimsearch.store.transaction import insert_once

_BATCH = 200
_ADD_EVALUATION = insert(schema.evaluation).returning(
    schema.evaluation.c.id, sort_by_parameter_order=True
)


@dataclass(frozen=True)
class DerivedEvaluation:
    """An evaluation whose score is known already, as of the time it was found.

    ``trial`` is the number of the derived study's trial that it belongs to, if it is of one.
    """

    new: NewEvaluation
    created: datetime
    ended: datetime
    trial: int | None = None


@dataclass(frozen=True)
class DerivedTrial:
    """A finished trial: what it was proposed as, and how it ends in the derived study.

    ``source`` is the trial it follows from, whose times and parameters it has; ``promoted_from``
    is a number here.
    """

    source: TrialRow
    new: NewTrial
    tell: Tell
    promoted_from: int | None = None


@dataclass(frozen=True)
class DerivedStudy:
    """A study with its trials in order of number, its evaluations, and the front of each rung.

    ``fronts`` is by rung: the numbers on it, in order, and their hypervolume.
    """

    name: str
    spec_json: str
    directions: tuple[Direction, ...]
    user_attrs: dict[str, Any]
    trials: Sequence[DerivedTrial]
    evaluations: Sequence[DerivedEvaluation]
    fronts: dict[int | None, tuple[tuple[int, ...], float]] = field(default_factory=dict)


def add_derived(storage: CimStorage, derived: DerivedStudy) -> int:
    """Add a derived study and return its id; one transaction holds all of it.

    Raises:
        StudyError: A study of this name exists.
    """
    try:
        with storage.session.writing() as conn:
            study_id = _add_study(conn, derived)
            trial_ids = _add_trials(conn, study_id, derived.trials)
            _add_evaluations(conn, study_id, derived.evaluations, trial_ids)
            _add_fronts(conn, study_id, derived, trial_ids)
            return study_id
    except IntegrityError as error:
        raise name_taken(derived.name) from error


def name_taken(name: str) -> StudyError:
    """Return what to say where a derived study would have the name of another."""
    return StudyError(f"a study named {name!r} exists already", "choose another: --as NAME")


def _add_study(conn: Connection, derived: DerivedStudy) -> int:
    table, now = schema.study, datetime.now(UTC)
    if conn.scalar(select(table.c.id).where(table.c.name == derived.name)) is not None:
        raise name_taken(derived.name)
    text = canonical_json(derived.spec_json)
    spec = {"hash": content_hash(text), "kind": "study", "json": text, "created": now}
    insert_once(conn, schema.spec, spec)
    row = {
        "name": derived.name,
        "directions": to_json(derived.directions),
        "spec_hash": spec["hash"],
        "user_attrs": to_json(derived.user_attrs),
        "system_attrs": to_json({}),
        "n_trials": len(derived.trials),
        "revision": 1,
        "created": now,
    }
    return int(conn.execute(insert(table).returning(table.c.id), row).scalar_one())


def _add_trials(conn: Connection, study_id: int, trials: Sequence[DerivedTrial]) -> list[int]:
    """Add the trials and return their ids, in order of number."""
    table, ids = schema.trial, list[int]()
    digests: dict[str, str] = {}
    statement = insert(table).returning(table.c.id, sort_by_parameter_order=True)
    rows = (_trial_row(conn, study_id, n, trial, digests) for n, trial in enumerate(trials))
    for batch in _batches(rows):
        ids += conn.scalars(statement, batch)
    promotions = [
        {"id_": ids[number], "from_": ids[trial.promoted_from]}
        for number, trial in enumerate(trials)
        if trial.promoted_from is not None
    ]
    if promotions:
        promote = update(table).where(table.c.id == bindparam("id_"))
        conn.execute(promote.values(promoted_from=bindparam("from_")), promotions)
    return ids


def _trial_row(
    conn: Connection, study_id: int, number: int, trial: DerivedTrial, digests: dict[str, str]
) -> dict[str, Any]:
    text = encode_distributions(trial.new.distributions)
    if text not in digests:
        digests[text] = content_hash(text)
        insert_once(conn, schema.distribution_set, {"hash": digests[text], "json": text})
    frozen, now = _frozen(trial, dict(trial.new.distributions)), datetime.now(UTC)
    return {
        **encode_trial(frozen),
        # One that had not ended where it comes from has failed here.
        "started": trial.source.started or now,
        "ended": trial.source.ended or now,
        "study_id": study_id,
        "number": number,
        "dists_hash": digests[text],
        "candidate_hash": trial.new.candidate_hash,
        "rung": trial.new.rung,
        "fail_reason": plain_text(trial.tell.fail_reason),
        "revision": 1,
    }


def _frozen(trial: DerivedTrial, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    frozen = create_trial(
        state=TrialState.COMPLETE if trial.tell.state == "complete" else TrialState.FAIL,
        values=trial.tell.values,
        params=dict(trial.new.params),
        distributions=distributions,
        user_attrs={**trial.new.user_attrs, **trial.tell.user_attrs},
        system_attrs=dict(trial.new.system_attrs),
    )
    for index, violation in enumerate(trial.tell.constraints):
        frozen.set_constraint(str(index), violation)
    return frozen


def _add_evaluations(
    conn: Connection, study_id: int, found: Sequence[DerivedEvaluation], trial_ids: list[int]
) -> None:
    for batch in _batches(iter(found)):
        rows = [_evaluation_row(study_id, each, trial_ids) for each in batch]
        ids = list(conn.scalars(_ADD_EVALUATION, rows))
        _add_layers(conn, zip(ids, batch, strict=True))


def _evaluation_row(
    study_id: int, found: DerivedEvaluation, trial_ids: list[int]
) -> dict[str, Any]:
    new = found.new
    return {
        "study_id": study_id,
        "role": new.role,
        "label": new.label,
        "trial_id": None if found.trial is None else trial_ids[found.trial],
        "key": new.key,
        "candidate": new.candidate,
        "cost": new.cost,
        "job": new.job,
        "state": "done",
        "score": new.score,
        "created": found.created,
        "ended": found.ended,
    }


def _add_layers(conn: Connection, found: Iterator[tuple[int, DerivedEvaluation]]) -> None:
    rows = [
        {
            **vars(layer),
            "evaluation_id": evaluation_id,
            "components": to_json(dict(layer.components)),
        }
        for evaluation_id, each in found
        for layer in each.new.layers
    ]
    if rows:
        conn.execute(insert(schema.layer_cost), rows)


def _add_fronts(
    conn: Connection, study_id: int, derived: DerivedStudy, trial_ids: list[int]
) -> None:
    events = [
        {
            "study_id": study_id,
            "rung": rung,
            "trial_id": trial_ids[number],
            "action": "add",
            "hypervolume": hypervolume,
        }
        for rung, (numbers, hypervolume) in derived.fronts.items()
        for number in numbers
    ]
    rows = [event | {"seq": seq} for seq, event in enumerate(events, start=1)]
    if rows:
        conn.execute(insert(schema.front_event), rows)


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch
