"""How a search went, as plain data: what it used, its rungs, and random search beside it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCost:
    """What the search has used so far.

    Attributes:
        trained: Trials that were trained and scored.
        failed: Trials that could not be scored.
        infeasible: Trials that broke a constraint, priced but never trained.
        reused: Scores taken from an earlier equal evaluation.
        epochs: Trained epochs, of candidates and their float parents.
        cpu_hours: Processor time of all workers.
        wall_seconds: From launch to the last result.
    """

    trained: int = 0
    failed: int = 0
    infeasible: int = 0
    reused: int = 0
    epochs: int = 0
    cpu_hours: float = 0.0
    wall_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RungView:
    """One rung of a study that has several.

    Attributes:
        epochs: Trained on a candidate, on top of those of the rungs below.
        level: Fidelity that accuracies are scored at.
        chips: Chip instances that an accuracy is of.
        images: Validation images that are scored.
        scored: Trials that have their accuracy.
        agreement: Whether it ranks candidates as the next rung does, one line; empty at the last.
    """

    epochs: int
    level: str
    chips: int
    images: int | str
    scored: int
    agreement: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSearch:
    """What random search finds in a study: known from the trials that were drawn uniformly.

    Attributes:
        curve: (how many uniform draws were trained, hypervolume that is to be expected of so
            many): the mean over the orders in which the study's own draws may come. It ends at
            all of them, as nothing is known beyond.
        is_all: Whether every scored trial is a uniform draw.
        why_none: Why there is no curve, where there is none.
    """

    curve: tuple[tuple[int, float], ...] = ()
    is_all: bool = False
    why_none: str = ""
