"""The next trial of a study: proposed, priced, and added with what is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cimsearch.errors import SpaceError
from cimsearch.evaluate import Score
from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.evaluations import new_evaluation
from cimsearch.orchestrate.run.halving import next_promotion, of_one_rung
from cimsearch.orchestrate.run.outcome import tell_of
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.stalling import EndedBy, has_stalled
from cimsearch.search.auto import first_results
from cimsearch.search.history import Seen, hashes_of, visible
from cimsearch.search.problem import Draws
from cimsearch.search.samplers import Proposal, distributions, params_of, propose
from cimsearch.store import records as db

_MAX_INFEASIBLE_IN_A_ROW = 10_000


@dataclass(frozen=True, slots=True)
class Next:
    """What came of asking for the next trial.

    Attributes:
        kind: ``added``; ``wait`` for a result that the proposal needs; or ``ended``: no candidate
            is to come any more, and nothing is left to promote.
        evaluation_id: What is to be run for it; None if it is infeasible or already scored.
        ended_by: Why it has ended.
    """

    kind: Literal["added", "wait", "ended"]
    evaluation_id: int | None = None
    ended_by: EndedBy | None = None


def next_trial(context: Context) -> Next:
    """Add the next trial of the search, if its budget and its lag allow one now.

    A promotion that is due goes first. Once no candidate is to come any more, as the budget is
    used up, the hypervolume has stalled or the space is exhausted, what is left to promote
    follows.

    Raises:
        SpaceError: Too many proposals in a row were infeasible.
    """
    known, plan = context.known(), context.plan
    spec, ladder = plan.study.spec, plan.ladder
    ended_by: EndedBy = "budget"
    if known.trained < plan.trials:
        history = visible(known.seen, spec.sampler.lag)
        if history is None:
            return Next("wait")
        due = next_promotion(ladder, history, closed=False) if ladder else None
        if isinstance(due, Seen):
            return Next("added", _promote(context, due))
        if has_stalled(spec.budget.stalled, plan, history):
            ended_by = "stalled"
        else:
            _check_streak(context, known.trials)
            proposal = proposed(plan, history)
            if proposal is not None:
                return Next("added", add_proposal(context, proposal))
            ended_by = "space"
    due = next_promotion(ladder, known.seen, closed=True) if ladder else None
    if isinstance(due, Seen):
        return Next("added", _promote(context, due))
    return Next("wait") if due == "wait" else Next("ended", ended_by=ended_by)


def proposed(plan: Plan, history: Sequence[Seen]) -> Proposal | None:
    """Return a new candidate, or None if none is left.

    Args:
        plan: The study.
        history: What may be known, from ``visible``; a proposal learns from one rung of it.
    """
    settings, draws = plan.study.spec.sampler, Draws(plan.study.spec.seed, len(history))
    if plan.ladder is None:
        return propose(plan.space, plan.problem, settings, draws, history)
    # With fewer results than it learns from an algorithm would go back to uniform draws.
    enough = max(settings.population, first_results(plan.problem))
    shown = of_one_rung(history, plan.ladder.rungs, enough)
    return propose(plan.space, plan.problem, settings, draws, shown, hashes_of(history))


def _promote(context: Context, trial: Seen) -> int | None:
    """Add the trial of a candidate at the rung above ``trial``'s; return what is to be run."""
    genes = tuple(map(int, trial.genes))
    proposal = Proposal(genes, context.plan.space.decode(genes), trial.attrs)
    below = context.known().trials[trial.number].trial_id
    return add_proposal(context, proposal, rung=trial.rung + 1, promoted_from=below)


def _check_streak(context: Context, trials: list[db.TrialRow]) -> None:
    last = trials[-_MAX_INFEASIBLE_IN_A_ROW:]
    if len(last) == _MAX_INFEASIBLE_IN_A_ROW and all(t.evaluation_id is None for t in last):
        raise SpaceError(
            f"{context.plan.study.name}: the last {len(last)} proposals were infeasible",
            "loosen the constraints; what was found so far is kept",
        )


def add_proposal(
    context: Context, proposal: Proposal, *, rung: int = 0, promoted_from: int | None = None
) -> int | None:
    """Price a proposal and add its trial; return the evaluation to run for it, if any."""
    priced = context.price(proposal.candidate)
    new = db.NewTrial(
        params=params_of(context.plan.space, proposal.genes),
        distributions=distributions(context.plan.space),
        candidate_hash=proposal.candidate.hash,
        rung=rung,
        promoted_from=promoted_from,
        user_attrs={"sampler": dict(proposal.attrs)},
    )
    if not priced.feasible:
        # Complete with its prices and accuracy 0: a sampler learns from it, no front holds it.
        evaluation = None
        finished = db.Tell("complete", (0.0, *priced.objectives), priced.constraints)
    else:
        evaluation = new_evaluation(context, priced, role="trial", rung=rung)
        finished = None
        if evaluation.score is not None:
            finished = tell_of(context, priced, Score.from_json(evaluation.score), rung=rung)
    ids = db.add_trial(
        context.storage, context.study_id, new, evaluation=evaluation, finished=finished
    )
    return None if finished is not None else ids.evaluation_id
