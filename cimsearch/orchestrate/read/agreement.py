"""Whether a rung ranks candidates as the next one does: what promotions rely on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cimsearch.orchestrate.run.state import is_scored
from cimsearch.store.rows import TrialRow

FEWEST_SHARED = 12
"""Of fewer candidates a rank correlation says nothing."""

LEAST_TAU = 0.4
"""A rung whose Kendall's tau with the next is lower does not rank."""


@dataclass(frozen=True)
class Agreement:
    """How far two adjacent rungs agree on the accuracies of candidates that have both.

    These are candidates that were promoted: they are alike, so that all candidates would agree
    more rather than less.

    Attributes:
        rung: The lower one, counted from 0.
        shared: How many candidates have an accuracy at both.
        tau: Kendall's tau-b of the accuracies (-1..1); None of fewer than 12, or where one rung
            gives all the same.
    """

    rung: int
    shared: int
    tau: float | None

    @property
    def ranks(self) -> bool | None:
        """Whether the lower rung ranks as the upper one does; None where that is not known."""
        return None if self.tau is None else self.tau >= LEAST_TAU

    @property
    def text(self) -> str:
        """The agreement as a line."""
        between = f"rungs {self.rung} and {self.rung + 1}"
        if self.tau is None:
            why = "too few" if self.shared < FEWEST_SHARED else "all alike"
            return f"{between}: Kendall's tau not known, {why}: {self.shared} candidates have both"
        line = f"{between}: Kendall's tau {self.tau:.2f} over {self.shared} candidates"
        if self.ranks:
            return line
        return f"{line}, below {LEAST_TAU}: rung {self.rung} does not rank"


def agreements(trials: Sequence[TrialRow], rungs: int) -> tuple[Agreement, ...]:
    """Return the agreement of each rung of a study with the next, lowest first."""
    accuracies: list[dict[str, float]] = [{} for _ in range(rungs)]
    for trial in trials:
        if is_scored(trial) and trial.values is not None:
            accuracies[trial.rung or 0][trial.candidate_hash or ""] = trial.values[0]
    found = []
    for rung in range(rungs - 1):
        lower, upper = accuracies[rung], accuracies[rung + 1]
        shared = sorted(lower.keys() & upper.keys())
        pairs = [(lower[name], upper[name]) for name in shared]
        tau = kendall_tau(pairs) if len(pairs) >= FEWEST_SHARED else None
        found.append(Agreement(rung, len(pairs), tau))
    return tuple(found)


def kendall_tau(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Kendall's tau-b of pairs, which counts ties as neither; None if one side is all tied.

    M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945).
    """
    x, y = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    x_sign, y_sign = (np.sign(np.subtract.outer(side, side)).astype(np.int8) for side in (x, y))
    untied = np.count_nonzero(x_sign) * np.count_nonzero(y_sign)
    if not untied:
        return None
    return float((x_sign * y_sign).sum(dtype=np.int64) / np.sqrt(untied))
