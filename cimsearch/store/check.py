"""Checking a database: that its file, its records and its fronts agree with each other."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sqlalchemy import Connection, Integer, bindparam, select

from cimsearch import pareto
from cimsearch.store.encoding import from_json
from cimsearch.store.lease import database_time
from cimsearch.store.schema import attempt, evaluation, front_event, study, study_lease, trial
from cimsearch.store.storage import open_storage

_OF_STUDY = bindparam("study_id", type_=Integer)
_TRIALS = (
    select(
        trial.c.id,
        trial.c.number,
        trial.c.state,
        trial.c["values"],
        trial.c.rung,
        evaluation.c.state.label("evaluation"),
    )
    .outerjoin(evaluation, (evaluation.c.trial_id == trial.c.id) & (evaluation.c.role == "trial"))
    .where(trial.c.study_id == _OF_STUDY)
    .order_by(trial.c.number)
)
_EVALUATIONS = (
    select(evaluation.c.id, evaluation.c.state, evaluation.c.score, evaluation.c.fail_reason)
    .where(evaluation.c.study_id == _OF_STUDY)
    .order_by(evaluation.c.id)
)
_ATTEMPTS = (
    select(attempt.c.evaluation_id, attempt.c.state)
    .join(evaluation, evaluation.c.id == attempt.c.evaluation_id)
    .where(evaluation.c.study_id == _OF_STUDY)
)
_EVENTS = (
    select(front_event).where(front_event.c.study_id == _OF_STUDY).order_by(front_event.c.seq)
)
_EXPIRES = select(study_lease.c.expires).where(study_lease.c.study_id == _OF_STUDY)

# What a text that is not what it should be raises when it is read.
_NO_JSON = (ValueError, TypeError, AttributeError)

# What an evaluation may be while its trial is this.
_FITTING: Mapping[str, frozenset[str]] = {
    "waiting": frozenset(("pending",)),
    "running": frozenset(("pending", "running")),
    "complete": frozenset(("done",)),
    "fail": frozenset(("failed",)),
}


@dataclass(frozen=True)
class Finding:
    """What was found: a problem is a fault of the database, a warning is not.

    Attributes:
        kind: Which of the two.
        study: The name of the study it is in, or None.
        text: What it is.
    """

    kind: Literal["problem", "warning"]
    study: str | None
    text: str


@dataclass(frozen=True)
class CheckReport:
    """What a check has looked at and found.

    Attributes:
        ok: Whether there is no problem.
        studies: How many studies there are.
        trials: How many trials there are in them.
        findings: Problems and warnings.
    """

    ok: bool
    studies: int
    trials: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Content:
    """A study with what the check needs of it."""

    name: str
    n_trials: int
    directions: Sequence[str]
    reference: Any
    trials: Sequence[Any]
    evaluations: Sequence[Any]
    attempts: Mapping[int, Counter[str]]
    events: Sequence[Any]
    leased: bool
    points: Mapping[int, tuple[float, ...]]


def check_database(url: str) -> CheckReport:
    """Check one state of a database; studies may be running meanwhile.

    Raises:
        StorageError: If there is no such database, or it cannot be read at all.
    """
    storage = open_storage(url, create=False)
    try:
        with storage.session.reading() as conn:
            findings = list(_file(conn))
            rows = conn.execute(select(study)).mappings().all()
            contents = []
            for row in rows:
                try:
                    contents.append(_content(conn, row))
                except _NO_JSON as error:
                    text = f"its record cannot be read: {error}"
                    findings.append(Finding("problem", row["name"], text))
    finally:
        storage.close()
    for content in contents:
        for check in (_trials, _evaluations, _front):
            findings += [Finding("problem", content.name, text) for text in check(content)]
        findings += [Finding("warning", content.name, text) for text in _abandoned(content)]
    ok = all(finding.kind == "warning" for finding in findings)
    n_trials = sum(len(content.trials) for content in contents)
    return CheckReport(ok, len(rows), n_trials, tuple(findings))


def _file(conn: Connection) -> Iterator[Finding]:
    """Let SQLite check its file; a PostgreSQL server looks after its own."""
    if conn.dialect.name != "sqlite":
        return
    for (text,) in conn.exec_driver_sql("PRAGMA integrity_check"):
        if text != "ok":
            yield Finding("problem", None, f"the file: {text}")
    for table, row, parent, _ in conn.exec_driver_sql("PRAGMA foreign_key_check"):
        yield Finding("problem", None, f"{table}: row {row} refers to no row of {parent}")


def _content(conn: Connection, row: Mapping[Any, Any]) -> _Content:
    this = {"study_id": row["id"]}
    tries: dict[int, Counter[str]] = defaultdict(Counter)
    for evaluation_id, state in conn.execute(_ATTEMPTS, this):
        tries[evaluation_id][state] += 1
    expires = conn.scalar(_EXPIRES, this)
    trials = conn.execute(_TRIALS, this).all()
    directions = from_json(row["directions"])
    points = ((t.id, _values(t[3], len(directions))) for t in trials)
    return _Content(
        name=row["name"],
        n_trials=row["n_trials"],
        directions=directions,
        reference=from_json(row["user_attrs"]).get("reference"),
        trials=trials,
        evaluations=conn.execute(_EVALUATIONS, this).all(),
        attempts=tries,
        events=conn.execute(_EVENTS, this).all(),
        leased=expires is not None and expires > database_time(conn),
        points={trial_id: values for trial_id, values in points if values is not None},
    )


def _values(text: str | None, n: int) -> tuple[float, ...] | None:
    """Read the values of a trial; None if they are not ``n`` numbers."""
    try:
        return _numbers(json.loads(text or "null"), n)
    except ValueError:
        return None


def _numbers(found: Any, n: int) -> tuple[float, ...] | None:
    if not isinstance(found, list) or len(found) != n:
        return None
    return tuple(found) if all(isinstance(v, float | int) for v in found) else None


def _trials(content: _Content) -> Iterator[str]:
    numbers = [t.number for t in content.trials]
    if numbers != list(range(content.n_trials)):
        missing = sorted(set(range(content.n_trials)).symmetric_difference(numbers))
        yield f"its trials should have the numbers below {content.n_trials}, but see {missing[:5]}"
    for t in content.trials:
        if t.state == "complete" and t.id not in content.points:
            yield f"trial {t.number} is complete without {len(content.directions)} values"
        if t.evaluation is not None and t.evaluation not in _FITTING.get(t.state, ()):
            yield f"trial {t.number} is {t.state}, but its evaluation is {t.evaluation}"


def _evaluations(content: _Content) -> Iterator[str]:
    for e in content.evaluations:
        name = f"evaluation {e.id}"
        tries = content.attempts.get(e.id, Counter())
        if e.state == "done" and e.score is None:
            yield f"{name} is done without a score"
        if e.state == "failed" and e.fail_reason is None:
            yield f"{name} has failed without a reason"
        if tries["running"] != (e.state == "running"):
            yield f"{name} is {e.state}, but {tries['running']} attempts at it are running"
        if tries["done"] > (e.state == "done"):
            yield f"{name} is {e.state}, but {tries['done']} results of it were applied"


def _front(content: _Content) -> Iterator[str]:
    """Compare the recorded front of each rung with the one its trials have."""
    rungs = {t.rung for t in content.trials if t.evaluation is not None and t.state == "complete"}
    rungs |= {event.rung for event in content.events}
    for rung in sorted(rungs, key=lambda r: -1 if r is None else r):
        events = [event for event in content.events if event.rung == rung]
        recorded: set[int] = set()
        for event in events:
            if (event.trial_id in recorded) == (event.action == "add"):
                verb = "enters" if event.action == "add" else "leaves"
                where = "already on it" if event.action == "add" else "not on it"
                yield f"front event {event.seq}: trial id {event.trial_id} {verb}, but is {where}"
            recorded ^= {event.trial_id}
        yield from _compare(content, rung, recorded, events[-1].hypervolume if events else None)


def _compare(
    content: _Content, rung: int | None, recorded: set[int], hypervolume: float | None
) -> Iterator[str]:
    scored = sorted(
        t.id
        for t in content.trials
        if t.rung == rung and t.state == "complete" and t.evaluation and t.id in content.points
    )
    shape = len(scored), len(content.directions)
    values = np.array([content.points[i] for i in scored]).reshape(shape)
    mask = pareto.front_mask(pareto.signed(values, content.directions))
    computed = {i for i, on in zip(scored, mask, strict=True) if on}
    numbers = {t.id: t.number for t in content.trials}
    for text, ids in (("lacks", computed - recorded), ("should not have", recorded - computed)):
        if ids:
            yield f"the recorded front of rung {rung} {text} the trials {_named(ids, numbers)}"
    if computed and computed == recorded:
        yield from _compare_hypervolume(content, rung, values[mask], hypervolume)


def _compare_hypervolume(
    content: _Content, rung: int | None, front: pareto.Points, recorded: float | None
) -> Iterator[str]:
    if content.reference is None:
        return  # Optuna's studies, and those without a front, have none
    reference = _numbers(content.reference, len(content.directions))
    try:
        share = pareto.share_of(front, content.directions, reference or ())
    except ValueError:
        yield f"its reference point is {content.reference}"
        return
    if recorded is None or not math.isclose(recorded, share, rel_tol=1e-9, abs_tol=1e-12):
        yield f"the hypervolume recorded for rung {rung} is {recorded}, but it is {share}"


def _named(ids: Iterable[int], numbers: Mapping[int, int]) -> str:
    return ", ".join(str(numbers.get(i, f"of id {i}")) for i in sorted(ids))


def _abandoned(content: _Content) -> Iterator[str]:
    running = sum(tries["running"] for tries in content.attempts.values())
    if running and not content.leased:
        yield f"nobody runs it, but {running} of its attempts are running: `cimsearch resume` it"
