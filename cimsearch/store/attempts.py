"""Attempts at evaluations, from start to tell, each step in one transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import bindparam, func, insert, select, update

from cimsearch.store.encoding import plain_text
from cimsearch.store.reads import fields_of
from cimsearch.store.rows import EvaluationRow, EvaluationState, Tell
from cimsearch.store.schema import attempt, evaluation
from cimsearch.store.storage import CimStorage
from cimsearch.store.transaction import StudyWrite
from cimsearch.store.writes import append_front, end_trial

_THIS = evaluation.c.id == bindparam("id_")
_OF_THIS = attempt.c.evaluation_id == bindparam("id_")
_STUDY = select(evaluation.c.study_id).where(_THIS)
_TRIAL_AND_STATE = select(evaluation.c.trial_id, evaluation.c.state).where(_THIS)
_SET_EVALUATION = update(evaluation).where(_THIS)
_NEWEST = select(func.coalesce(func.max(attempt.c.n), 0)).where(_OF_THIS)
_BY_TOKEN = select(attempt.c.evaluation_id, attempt.c.state).where(
    attempt.c.token == bindparam("token")
)
_INSERT_ATTEMPT = insert(attempt)
_END_RUNNING = update(attempt).where(_OF_THIS, attempt.c.state == "running")
_MARK_LATE = update(attempt).where(
    _OF_THIS,
    attempt.c.token == bindparam("token_"),
    # An attempt whose result was applied stays done, if the same result comes twice.
    attempt.c.state.in_(("running", "lost", "interrupted")),
)
_NOTE_PROGRESS = update(attempt).where(
    attempt.c.token == bindparam("token_"), attempt.c.state == "running"
)


def start_attempt(storage: CimStorage, evaluation_id: int, *, token: str, worker: str) -> int:
    """Note that a worker starts on an evaluation, and return the number of the attempt, from 1.

    An earlier attempt that has not ended is interrupted.

    Raises:
        KeyError: If there is no such evaluation.
        ValueError: If the evaluation is done or failed.
    """
    with _writing_evaluation(storage, evaluation_id) as (write, _, state):
        if state not in ("pending", "running"):
            raise ValueError(f"evaluation {evaluation_id} is {state} already")
        _end_running(write, evaluation_id, "interrupted", "a new attempt was started")
        n: int = write.conn.execute(_NEWEST, {"id_": evaluation_id}).scalar_one() + 1
        started = {
            "evaluation_id": evaluation_id,
            "n": n,
            "token": token,
            "worker": worker,
            "state": "running",
            "started": datetime.now(UTC),
        }
        write.conn.execute(_INSERT_ATTEMPT, started)
        _set_evaluation(write, evaluation_id, {"state": "running"})
    return n


def end_attempt(
    storage: CimStorage,
    token: str,
    *,
    state: Literal["lost", "interrupted", "failed"],
    reason: str,
) -> None:
    """Note that an attempt ended without a result; its evaluation is pending again.

    It is lost if its worker died, interrupted if nothing is wrong with the job or the worker.
    Nothing happens if the attempt has ended before; KeyError if there is no such attempt.
    """
    with storage.session.reading() as conn:
        found = conn.execute(_BY_TOKEN, {"token": token}).one_or_none()
    if found is None:
        raise KeyError(f"no attempt has the token {token}")
    with _writing_evaluation(storage, found.evaluation_id) as (write, _, _):
        if _is_running(write, found.evaluation_id, token):
            _end_running(write, found.evaluation_id, state, plain_text(reason))
            _set_evaluation(write, found.evaluation_id, {"state": "pending"})


def finish_evaluation(
    storage: CimStorage,
    evaluation_id: int,
    *,
    token: str | None,
    score: str | None,
    fail_reason: str | None,
    tell: Tell | None,
    worker: str = "",
) -> bool:
    """End an evaluation, its attempt and its trial, and change the front.

    Args:
        storage: The storage.
        evaluation_id: The evaluation; KeyError if there is none.
        token: The attempt that the result comes from, or None to end the evaluation whatever is
            running.
        score: The score as JSON, if there is one.
        fail_reason: Why there is none. Exactly one of the two is given.
        tell: The end of the trial; given exactly if the evaluation belongs to one.
        worker: Who ran the attempt, as is known by now.

    Returns:
        Whether the result was applied. It is not if the evaluation has ended before or the attempt
        is not the one that is running: a late result is recorded with its attempt and changes
        nothing else.
    """
    if (score is None) == (fail_reason is None):
        raise ValueError("an evaluation ends with a score or with a reason")
    # What an exception says of a job may be any text: it must not keep its end from being told.
    fail_reason = plain_text(fail_reason)
    with _writing_evaluation(storage, evaluation_id) as (write, trial_id, state):
        current = token is None or _is_running(write, evaluation_id, token)
        if not current or state not in ("pending", "running"):
            _mark_late(write, evaluation_id, token)
            return False
        if (tell is None) != (trial_id is None):
            raise ValueError("a trial's evaluation ends with a tell, another without")
        outcome: Literal["done", "failed"] = "done" if fail_reason is None else "failed"
        _end_running(write, evaluation_id, outcome if token is not None else "lost", fail_reason)
        ending = {"state": outcome, "score": score, "fail_reason": fail_reason}
        _set_evaluation(write, evaluation_id, {**ending, "ended": datetime.now(UTC)})
        if worker:
            write.conn.execute(
                update(attempt).where(attempt.c.token == token).values(worker=worker)
            )
        if tell is not None and trial_id is not None:
            frozen = write.unfinished_trial(trial_id)
            end_trial(write, frozen, tell)
            write.update_trial(frozen, fail_reason=plain_text(tell.fail_reason))
            append_front(write, trial_id, tell)
    return True


def note_progress(storage: CimStorage, reports: Mapping[str, tuple[str, str]]) -> None:
    """Note how far attempts are, in one transaction that leaves the trials as they are.

    Args:
        storage: The storage.
        reports: By the token of an attempt, its worker and the worker's last report, as JSON.
            Reports of attempts that are not running any more are dropped.
    """
    now = datetime.now(UTC)
    rows = [
        {"token_": token, "worker": worker, "progress": report, "progressed": now}
        for token, (worker, report) in reports.items()
    ]
    if rows:
        with storage.session.writing() as conn:
            conn.execute(_NOTE_PROGRESS, rows)


def recover(storage: CimStorage, study_id: int) -> list[EvaluationRow]:
    """Take over a study from an orchestrator that died: what was running is pending again.

    Returns:
        The evaluations still to be done, in the order in which they were added.
    """
    of_study = select(evaluation.c.id).where(evaluation.c.study_id == study_id)
    running = (attempt.c.state == "running") & attempt.c.evaluation_id.in_(of_study)
    ended = {
        "state": "interrupted",
        "ended": datetime.now(UTC),
        "reason": "the orchestrator ended",
    }
    in_study = evaluation.c.study_id == study_id
    pending = fields_of(EvaluationRow, evaluation).where(in_study, evaluation.c.state == "pending")
    with storage.session.writing_to(study_id) as write:
        write.conn.execute(update(attempt).where(running).values(ended))
        write.conn.execute(
            update(evaluation)
            .where(in_study, evaluation.c.state == "running")
            .values(state="pending")
        )
        rows = write.conn.execute(pending.order_by(evaluation.c.id)).all()
    return [EvaluationRow(*row) for row in rows]


@contextmanager
def _writing_evaluation(
    storage: CimStorage, evaluation_id: int
) -> Iterator[tuple[StudyWrite, int | None, EvaluationState]]:
    """Give a transaction on the study of an evaluation, with the evaluation's trial and state."""
    this = {"id_": evaluation_id}
    with storage.session.reading() as conn:
        study_id = conn.scalar(_STUDY, this)
    if study_id is None:
        raise KeyError(f"there is no evaluation {evaluation_id}")
    with storage.session.writing_to(study_id) as write:
        trial_id, state = write.conn.execute(_TRIAL_AND_STATE, this).one()
        yield write, trial_id, state


def _is_running(write: StudyWrite, evaluation_id: int, token: str) -> bool:
    """Tell whether an attempt is the running one; only the newest of an evaluation can be."""
    found = write.conn.execute(_BY_TOKEN, {"token": token}).one_or_none()
    return found is not None and tuple(found) == (evaluation_id, "running")


def _mark_late(write: StudyWrite, evaluation_id: int, token: str | None) -> None:
    late = {"state": "late", "ended": datetime.now(UTC)}
    write.conn.execute(_MARK_LATE, {**late, "id_": evaluation_id, "token_": token})


def _end_running(
    write: StudyWrite,
    evaluation_id: int,
    state: Literal["done", "lost", "interrupted", "failed"],
    reason: str | None,
) -> None:
    ending = {"state": state, "reason": reason, "ended": datetime.now(UTC)}
    write.conn.execute(_END_RUNNING, {**ending, "id_": evaluation_id})


def _set_evaluation(write: StudyWrite, evaluation_id: int, values: dict[str, Any]) -> None:
    write.conn.execute(_SET_EVALUATION, {**values, "id_": evaluation_id})
