"""What a running study shows of itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Phase = Literal["searching", "scoring the front on test images", "waiting for workers", "finished"]


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a running study.

    Attributes:
        phase: What it is doing.
        done: Trained trials that have their accuracy.
        to_do: Evaluations of this phase that have not ended, those that run included.
        running: Evaluations on workers now, baselines and test scoring included.
        failed: Trials that failed.
        infeasible: Candidates priced and never trained.
        budget: Trained trials after which the search ends.
        best_accuracy: Best validation accuracy so far (0..1), or None.
        hypervolume: Of the front so far, as a share of the box up to the reference point.
        front: Points on the front.
        elapsed_s: Seconds since this orchestrator started.
        left_s: Estimated seconds to the end of the phase, or None while unknown.
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


OnProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Show nothing."""
