"""Recording how evaluations end: an accuracy with its front change, or a reason."""

from cimsearch.evaluate import Score
from cimsearch.orchestrate.run.context import Context
from cimsearch.search.pricing import Priced, energy_measured_pj
from cimsearch.space import Candidate
from cimsearch.store import records as db
from cimsearch.workers import Event

# A trial that is told while it is added has no id yet; it is newer than all that have.
_BEING_ADDED = 2**63


def tell_of(
    context: Context, priced: Priced, score: Score, *, rung: int, trial_id: int | None = None
) -> db.Tell:
    """Return a trial's end: values, constraints, what it changes on its rung's front.

    Args:
        context: The study.
        priced: The trial's candidate with its price.
        score: What the worker found.
        rung: The trial's rung.
        trial_id: The trial's row, or None for a trial that is added with a score already known.
    """
    statistic = context.plan.study.spec.accuracy_statistic
    values = (score.accuracy_by(statistic), *priced.objectives)
    known = context.known()
    after = known.front_with(rung, _BEING_ADDED if trial_id is None else trial_id, values)
    changes = after.changes_from(frozenset(known.front_at(rung).trial_ids))
    return db.Tell(
        "complete",
        values,
        priced.constraints,
        front=tuple(
            db.FrontChange(
                None if change.trial_id == _BEING_ADDED else change.trial_id, change.action
            )
            for change in changes
        ),
        hypervolume=after.hypervolume,
        user_attrs={
            "hypervolume": after.hypervolume,
            "energy_measured_pj": energy_measured_pj(context.plan.study, priced.candidate, score),
            "reused": trial_id is None,
        },
    )


def record(context: Context, evaluation_id: int, event: Event) -> bool:
    """Record the end of an attempt; return False if the evaluation should be tried again.

    One transaction ends the attempt, the evaluation and its trial, with front and hypervolume. An
    event that is told again changes nothing, so a caller that does not know whether a transaction
    was committed may repeat it.
    """
    if event.kind == "interrupted":
        db.end_attempt(context.storage, event.token, state="interrupted", reason=event.reason)
        return False
    if event.kind == "lost":
        db.end_attempt(context.storage, event.token, state="lost", reason=event.reason)
        losses = context.plan.study.spec.limits.losses
        if times_lost(context, evaluation_id) < losses:
            return False
        reason = f"poison: {losses} workers died running it; last: {event.reason}"
        _finish(context, evaluation_id, event, reason=reason)
    else:
        _finish(context, evaluation_id, event, reason=event.reason)
    return True


def times_lost(context: Context, evaluation_id: int) -> int:
    """Return how often a worker died running it; orchestrators and clusters do not count."""
    attempts = db.attempts(context.storage, evaluation_id)
    return sum(attempt.state == "lost" for attempt in attempts)


def _finish(context: Context, evaluation_id: int, event: Event, *, reason: str) -> None:
    row = db.get_evaluation(context.storage, evaluation_id)
    score = event.payload.decode() if event.kind == "done" else None
    tell = None
    if row.trial_id is not None and row.state in ("pending", "running"):
        tell = db.Tell("fail", fail_reason=reason)
        if score is not None:
            # Priced again rather than read: the report is wanted, and it is the same for the same
            # version, which a study is held to.
            priced = context.price(Candidate.from_json(row.candidate))
            rung = context.known().rung_of(row.trial_id)
            found = Score.from_json(score)
            tell = tell_of(context, priced, found, rung=rung, trial_id=row.trial_id)
    db.finish_evaluation(
        context.storage,
        evaluation_id,
        # The attempt of a poison trial has ended before the evaluation does.
        token=None if event.kind == "lost" else event.token,
        score=score,
        fail_reason=reason if score is None else None,
        tell=tell,
        worker=event.worker,
    )
