"""A score that takes the place of another in a derived study."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, update

from cimsearch.store.encoding import editable
from cimsearch.store.rows import EvaluationRow, FrontChange, Tell
from cimsearch.store.schema import evaluation
from cimsearch.store.storage import CimStorage
from cimsearch.store.writes import append_front

_SET_EVALUATION = update(evaluation).where(evaluation.c.id == bindparam("id_"))


@dataclass(frozen=True)
class Rescored:
    """A score that takes the place of another, and what follows for its trial.

    Attributes:
        evaluation: The evaluation.
        key: Of the job that found the score.
        job: That job, as JSON.
        score: The score, as JSON.
        values: The new values of its trial, if it has one.
        user_attrs: What is added to those of its trial.
        front: What changes on the front of its rung.
        hypervolume: Of the front after that.
    """

    evaluation: EvaluationRow
    key: str
    job: str
    score: str
    values: tuple[float, ...] | None = None
    user_attrs: dict[str, Any] = field(default_factory=dict)
    front: tuple[FrontChange, ...] = ()
    hypervolume: float | None = None


def replace_score(storage: CimStorage, new: Rescored) -> None:
    """Put a score into the place of another, with its trial's values and the front.

    Only a derived study's: elsewhere what a trial has found is never changed.

    Raises:
        LeaseLostError: Another has taken over the study that this storage had a lease on.
    """
    now, trial_id = datetime.now(UTC), new.evaluation.trial_id
    row = {
        "key": new.key,
        "job": new.job,
        "score": new.score,
        "created": now,
        "ended": now,
    }
    with storage.session.writing_to(new.evaluation.study_id) as write:
        write.conn.execute(_SET_EVALUATION, {**row, "id_": new.evaluation.id})
        if trial_id is None:
            return
        frozen = editable(write.mirror.entry(trial_id).frozen)
        frozen.values = new.values
        frozen.user_attrs = {**frozen.user_attrs, **new.user_attrs}
        write.update_trial(frozen)
        tell = Tell("complete", new.values, front=new.front, hypervolume=new.hypervolume)
        append_front(write, trial_id, tell)
