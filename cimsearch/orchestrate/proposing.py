"""The next trial of a study: proposed, priced, and added with what is known of it."""

from dataclasses import dataclass
from typing import Literal

from cimsearch.errors import SpaceError
from cimsearch.evaluate import Score
from cimsearch.orchestrate.context import Context
from cimsearch.orchestrate.evaluations import new_evaluation
from cimsearch.orchestrate.outcome import tell_of
from cimsearch.search.history import visible
from cimsearch.search.problem import Draws
from cimsearch.search.samplers import Proposal, distributions, params_of, propose
from cimsearch.store import records as db

_MAX_INFEASIBLE_IN_A_ROW = 10_000


@dataclass(frozen=True, slots=True)
class Next:
    """What came of asking for the next trial.

    Attributes:
        kind: ``added``; ``wait`` for a result that the proposal needs; or ``ended``: the budget
            is used up or the space is exhausted.
        evaluation_id: What is to be run for it; None if it is infeasible or already scored.
    """

    kind: Literal["added", "wait", "ended"]
    evaluation_id: int | None = None


def next_trial(context: Context) -> Next:
    """Add the next trial of the search, if its budget and its lag allow one now.

    Raises:
        SpaceError: Too many proposals in a row were infeasible.
    """
    known = context.known()
    if known.trained >= context.plan.trials:
        return Next("ended")
    spec = context.plan.study.spec
    history = visible(known.seen, spec.sampler.lag)
    if history is None:
        return Next("wait")
    _check_streak(context, known.trials)
    plan, draws = context.plan, Draws(spec.seed, len(known.trials))
    proposal = propose(plan.space, plan.problem, spec.sampler, draws, history)
    return Next("ended") if proposal is None else Next("added", _add(context, proposal))


def _check_streak(context: Context, trials: list[db.TrialRow]) -> None:
    last = trials[-_MAX_INFEASIBLE_IN_A_ROW:]
    if len(last) == _MAX_INFEASIBLE_IN_A_ROW and all(t.evaluation_id is None for t in last):
        raise SpaceError(
            f"{context.plan.study.name}: the last {len(last)} proposals were infeasible",
            "loosen the constraints; what was found so far is kept",
        )


def _add(context: Context, proposal: Proposal) -> int | None:
    """Price a proposal and add its trial; return the evaluation to run for it, if any."""
    priced = context.price(proposal.candidate)
    new = db.NewTrial(
        params=params_of(context.plan.space, proposal.genes),
        distributions=distributions(context.plan.space),
        candidate_hash=proposal.candidate.hash,
        rung=0,
        user_attrs={"sampler": dict(proposal.attrs)},
    )
    if not priced.feasible:
        # Complete with its prices and accuracy 0: a sampler learns from it, no front holds it.
        evaluation = None
        finished = db.Tell("complete", (0.0, *priced.objectives), priced.constraints)
    else:
        evaluation = new_evaluation(context, priced, role="trial")
        finished = None
        if evaluation.score is not None:
            finished = tell_of(context, priced, Score.from_json(evaluation.score))
    ids = db.add_trial(
        context.storage, context.study_id, new, evaluation=evaluation, finished=finished
    )
    return None if finished is not None else ids.evaluation_id
