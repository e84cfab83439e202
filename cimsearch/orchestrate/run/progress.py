"""What a running study shows of itself."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from cimsearch.evaluate.report import Report
from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.running import Attempt
from cimsearch.orchestrate.run.stalling import EndedBy

Phase = Literal[
    "waiting for another orchestrator's lease to end",
    "searching",
    "scoring the front on test images",
    "adapting the networks of the front",
    "scoring adapted networks on test images",
    "changing one gene of each adapted network",
    "waiting for workers",
    "waiting for the database",
    "stopping when what runs has ended",
    "finished",
]


@dataclass(frozen=True, slots=True)
class Now:
    """What a worker is at: a trial, a baseline or a test scoring, and how far it is."""

    label: str
    report: Report


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a running study.

    Attributes:
        phase: What it is doing.
        done: Candidates that have their accuracy, at the first rung.
        by_rung: How many trials have their accuracy, lowest rung first.
        to_do: Evaluations of this phase that have not ended, those that run included.
        running: Evaluations on workers now, baselines and test scoring included.
        failed: Trials that failed.
        infeasible: Candidates priced and never trained.
        budget: Trained candidates after which no more are proposed; promotions come on top.
        best_accuracy: Best validation accuracy so far at the last rung (0..1), or None.
        hypervolume: Of the front so far, as a share of the box up to the reference point.
        front: Points on the front.
        elapsed_s: Seconds since this orchestrator started.
        left_s: Estimated seconds to the end of the phase, or None while unknown.
        now: What the workers have told of what they are at.
        ended_by: What ended the search, once it has ended.
    """

    phase: Phase
    done: int
    to_do: int
    running: int
    failed: int
    infeasible: int
    budget: int
    best_accuracy: float | None
    hypervolume: float
    front: int
    elapsed_s: float
    left_s: float | None
    by_rung: tuple[int, ...] = ()
    now: tuple[Now, ...] = ()
    ended_by: EndedBy | None = None


OnProgress = Callable[[Progress], None]


def snapshot(
    context: Context,
    phase: Phase,
    *,
    to_do: int,
    running: Iterable[Attempt] = (),
    elapsed_s: float = 0.0,
    left_s: float | None = None,
    ended_by: EndedBy | None = None,
) -> Progress:
    """Return a snapshot of a study; the arguments are those of ``Progress``."""
    known, running = context.known(), tuple(running)
    return Progress(
        phase=phase,
        done=known.scored,
        by_rung=tuple(known.scored_by_rung),
        to_do=to_do,
        running=len(running),
        failed=known.failed,
        infeasible=known.infeasible,
        budget=context.plan.trials,
        best_accuracy=known.best_accuracy,
        hypervolume=known.front.hypervolume,
        front=len(known.front.trial_ids),
        elapsed_s=elapsed_s,
        left_s=left_s,
        now=tuple(Now(each.label, each.report) for each in running if each.report),
        ended_by=ended_by,
    )


def to_come(context: Context) -> int:
    """Return how many trials are still to be added, promotions of all candidates included."""
    known, plan = context.known(), context.plan
    candidates = max(0, plan.trials - known.trained)
    if plan.ladder is None:
        return candidates
    at_first_rung = max(plan.trials, known.trained) + known.inherited
    promotions = plan.ladder.promotions(at_first_rung) - known.promoted
    return candidates + max(0, promotions)


def silent(progress: Progress) -> None:
    """Show nothing."""
