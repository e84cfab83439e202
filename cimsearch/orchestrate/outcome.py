"""Recording how evaluations end: an accuracy with its front change, or a reason."""

from cimsearch.evaluate import Score
from cimsearch.orchestrate.context import Context
from cimsearch.search.pricing import Priced, energy_measured_pj, price
from cimsearch.space import Candidate
from cimsearch.store import records as db
from cimsearch.workers import Event

MAX_LOST = 3
INTERRUPTED = "the orchestrator was interrupted"

# A trial that is told while it is added has no id yet; it is newer than all that have.
_BEING_ADDED = 2**63


def tell_of(
    context: Context, priced: Priced, score: Score, *, trial_id: int | None = None
) -> db.Tell:
    """Return a trial's end: values, constraints, what it changes on the front, hypervolume.

    Args:
        context: The study.
        priced: The trial's candidate with its price.
        score: What the worker found.
        trial_id: The trial's row, or None for a trial that is added with a score already known.
    """
    statistic = context.plan.study.spec.accuracy_statistic
    values = (score.accuracy_by(statistic), *priced.objectives)
    own_id = _BEING_ADDED if trial_id is None else trial_id
    after = context.front(told=(own_id, values))
    changes = after.changes_from(frozenset(context.front().trial_ids))
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

    One transaction ends the attempt, the evaluation and its trial, with front and hypervolume.
    """
    if event.kind == "lost":
        db.end_attempt(context.storage, event.token, state="lost", reason=event.reason)
        if _times_lost(context, evaluation_id) < MAX_LOST:
            return False
    row = db.get_evaluation(context.storage, evaluation_id)
    if event.kind == "done":
        text = event.payload.decode()
        tell = None
        if row.trial_id is not None:
            # Priced again rather than read: the report is wanted, and it is the same for the same
            # version, which a study is held to.
            priced = price(context.plan.study, Candidate.from_json(row.candidate))
            tell = tell_of(context, priced, Score.from_json(text), trial_id=row.trial_id)
        reason = None
    else:
        poison = f"poison: {MAX_LOST} workers died running it; last: "
        reason = (poison if event.kind == "lost" else "") + event.reason
        text, tell = None, db.Tell("fail", fail_reason=reason) if row.trial_id else None
    db.finish_evaluation(
        context.storage,
        evaluation_id,
        token=event.token if event.kind != "lost" else None,
        score=text,
        fail_reason=reason,
        tell=tell,
        worker=event.worker,
    )
    return True


def _times_lost(context: Context, evaluation_id: int) -> int:
    """Return how often a worker died running it; an orchestrator that died does not count."""
    return sum(
        attempt.state == "lost" and not (attempt.reason or "").startswith("the orchestrator")
        for attempt in db.attempts(context.storage, evaluation_id)
    )
