"""Cycle time and area of published arrays by the component equations, scored on their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from typing import Literal

import numpy as np

from cimsearch.cost.silicon.fit import usable
from cimsearch.cost.silicon.macros import RowPrice, price_row, reason_not_priced
from cimsearch.cost.silicon.quantities import PRIORS
from cimsearch.cost.silicon.table import Chip

Measure = Literal["cycle_ns", "array_mm2"]


@dataclass(frozen=True, slots=True)
class MeasureScore:
    """The geometric error of a quantity by the equations as shipped, and by the others' median.

    The median is that of the other chips of the technology: equations that do not beat it say
    nothing.
    """

    measure: Measure
    technology: str
    chips: int
    rows: int
    error_equations: float
    error_median: float


def time_and_area(chips: Sequence[Chip]) -> tuple[MeasureScore, ...]:
    """Score the cycle of an array, and the area of one array with its periphery.

    A whole processor has more than an array, so its area is left out. A technology of fewer than
    two chips is left out.
    """
    rows = [c for c in usable(chips, measured=False) if not reason_not_priced(c)]
    cycles = [chip for chip in rows if chip.cycle_ns]
    areas = [chip for chip in rows if chip.array_mm2 and not chip.processor]
    return (
        *_scores("cycle_ns", cycles, lambda c: c.cycle_ns, lambda price: price.cycle_ns),
        *_scores("array_mm2", areas, lambda c: c.array_mm2, lambda price: price.array_mm2),
    )


def _scores(
    measure: Measure,
    rows: Sequence[Chip],
    measured: Callable[[Chip], float | None],
    modelled: Callable[[RowPrice], float],
) -> list[MeasureScore]:
    found = []
    for name in PRIORS:
        own = [chip for chip in rows if chip.technology == name]
        silicon = [chip.chip for chip in own]
        if len(set(silicon)) < 2:
            continue
        truth = np.log([measured(chip) or 1.0 for chip in own])
        guess = np.log([modelled(price_row(chip)) for chip in own])
        others = [[i for i, other in enumerate(silicon) if other != this] for this in silicon]
        medians = np.array([np.median(truth[kept]) for kept in others])
        errors = (exp(float(np.mean(np.abs(by - truth)))) for by in (guess, medians))
        found.append(MeasureScore(measure, name, len(set(silicon)), len(own), *errors))
    return found
