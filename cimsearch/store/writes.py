"""Adding specs, studies, trials and evaluations, each in one transaction."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import bindparam, func, insert, select

from cimsearch.errors import StudyError
from cimsearch.store.encoding import canonical_json, content_hash, to_json
from cimsearch.store.rows import Direction, NewEvaluation, NewTrial, Tell, TrialIds
from cimsearch.store.schema import evaluation, front_event, layer_cost, spec
from cimsearch.store.storage import CimStorage
from cimsearch.store.transaction import StudyWrite, insert_once, running_trial

_INSERT_EVALUATION = insert(evaluation).returning(evaluation.c.id)
_INSERT_LAYERS = insert(layer_cost)
_INSERT_EVENTS = insert(front_event)
_LAST_EVENT = select(func.coalesce(func.max(front_event.c.seq), 0)).where(
    front_event.c.study_id == bindparam("study_id")
)


def save_spec(storage: CimStorage, kind: str, spec_json: str) -> str:
    """Store a spec, unless it is there already, and return the SHA-256 of its canonical JSON.

    The canonical form has sorted keys, no white space, and is ASCII.
    """
    text = canonical_json(spec_json)
    digest = content_hash(text)
    row = {"hash": digest, "kind": kind, "json": text, "created": datetime.now(UTC)}
    with storage.session.writing() as conn:
        insert_once(conn, spec, row)
    return digest


def create_study(
    storage: CimStorage,
    *,
    name: str,
    directions: Sequence[Direction],
    spec_hash: str | None,
    user_attrs: dict[str, Any],
) -> int:
    """Create a study and return its id.

    Raises:
        StudyError: If a study of this name exists.
    """
    optuna_directions = [StudyDirection[d.upper()] for d in directions]
    try:
        return storage.insert_study(
            optuna_directions, name, spec_hash=spec_hash, user_attrs=user_attrs
        )
    except DuplicatedStudyError as error:
        raise StudyError(
            f"a study named {name!r} exists already", "resume it, or choose another name"
        ) from error


def add_trial(
    storage: CimStorage,
    study_id: int,
    new: NewTrial,
    *,
    evaluation: NewEvaluation | None,
    finished: Tell | None,
) -> TrialIds:
    """Add a trial with its evaluation and its layers' costs.

    Args:
        storage: The storage.
        study_id: The study; KeyError if there is none.
        new: The trial.
        evaluation: What is to be trained and scored for it, if anything is.
        finished: The end of a trial that needs no training, because it is infeasible or its score
            is known (then `evaluation.score` carries it). Without it the trial is running, its
            evaluation pending.

    Raises:
        ValueError: If the parts do not fit together, or a distribution contradicts the study's.
    """
    if new.params.keys() != new.distributions.keys():
        raise ValueError("parameters and distributions must have the same names")
    if finished is None and evaluation is not None and evaluation.score is not None:
        raise ValueError("a trial whose score is known must be finished")
    frozen = running_trial()
    frozen.params, frozen.distributions = dict(new.params), dict(new.distributions)
    frozen.user_attrs, frozen.system_attrs = dict(new.user_attrs), dict(new.system_attrs)
    with storage.session.writing_to(study_id) as write:
        if finished is not None:
            end_trial(write, frozen, finished)
        entry = write.insert_trial(
            frozen,
            candidate_hash=new.candidate_hash,
            rung=new.rung,
            promoted_from=new.promoted_from,
            fail_reason=None if finished is None else finished.fail_reason,
        )
        trial_id, evaluation_id = entry.frozen._trial_id, None
        if evaluation is not None:
            evaluation_id = _insert_evaluation(write, evaluation, trial_id, finished)
            write.link(trial_id, evaluation_id)
        if finished is not None:
            append_front(write, trial_id, finished)
    return TrialIds(entry.frozen.number, trial_id, evaluation_id)


def add_evaluation(storage: CimStorage, study_id: int, new: NewEvaluation) -> int:
    """Add an evaluation of no trial, a baseline or a test scoring, and return its id."""
    with storage.session.writing_to(study_id) as write:
        return _insert_evaluation(write, new, None, None)


def _insert_evaluation(
    write: StudyWrite, new: NewEvaluation, trial_id: int | None, finished: Tell | None
) -> int:
    if (new.role == "trial") != (trial_id is not None):
        raise ValueError(f"an evaluation of role {new.role!r} does not fit")
    ended = finished is not None or new.score is not None
    failed = finished is not None and finished.state == "fail"
    now = datetime.now(UTC)
    row = {
        "study_id": write.mirror.study_id,
        "role": new.role,
        "label": new.label,
        "trial_id": trial_id,
        "key": new.key,
        "candidate": new.candidate,
        "cost": new.cost,
        "job": new.job,
        "state": "failed" if failed else "done" if ended else "pending",
        "score": new.score,
        "fail_reason": None if finished is None else finished.fail_reason,
        "created": now,
        "ended": now if ended else None,
    }
    evaluation_id: int = write.conn.execute(_INSERT_EVALUATION, row).scalar_one()
    layers = [
        {
            **vars(layer),
            "evaluation_id": evaluation_id,
            "components": to_json(dict(layer.components)),
        }
        for layer in new.layers
    ]
    if layers:
        write.conn.execute(_INSERT_LAYERS, layers)
    return evaluation_id


def end_trial(write: StudyWrite, frozen: FrozenTrial, tell: Tell) -> None:
    """Set the state, values, constraints and attributes of a trial that ends now."""
    n_objectives = len(write.mirror.directions)
    if tell.state == "complete":
        values = tell.values or ()
        if len(values) != n_objectives or any(math.isnan(v) for v in values):
            raise ValueError(f"a complete trial has {n_objectives} values, got {tell.values}")
        frozen.values = values
    frozen.state = TrialState.COMPLETE if tell.state == "complete" else TrialState.FAIL
    for i, value in enumerate(tell.constraints):
        frozen.set_constraint(str(i), value)
    frozen.user_attrs = {**frozen.user_attrs, **tell.user_attrs}
    frozen.datetime_complete = datetime.now()


def append_front(write: StudyWrite, trial_id: int, tell: Tell) -> None:
    """Append what a tell changes in the front of its trial's rung."""
    if not tell.front:
        return
    study_id = write.mirror.study_id
    seq: int = write.conn.execute(_LAST_EVENT, {"study_id": study_id}).scalar_one()
    rows = [
        {
            "study_id": study_id,
            "seq": seq + i,
            "rung": write.entries[trial_id].rung,
            "trial_id": trial_id if change.trial_id is None else change.trial_id,
            "action": change.action,
            "hypervolume": tell.hypervolume,
        }
        for i, change in enumerate(tell.front, start=1)
    ]
    write.conn.execute(_INSERT_EVENTS, rows)
