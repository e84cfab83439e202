"""One measured point of a chip given, its other points predicted."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp
from typing import Literal

import numpy as np

from cimsearch.cost.silicon.fit import fit, usable
from cimsearch.cost.silicon.quantities import (
    QUANTITIES,
    WITHIN_CHIP_SUPPLY_EXPONENT,
    log_measured,
    quantities,
)
from cimsearch.cost.silicon.table import Chip

Change = Literal["voltage", "precision", "other"]
_SUPPLY = QUANTITIES.index("supply_v")
_CYCLE = QUANTITIES.index("cycle_ns")
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two points of one chip from one source: the first is given, the second predicted."""

    given: Chip
    asked: Chip
    change: Change
    predicted_fj: float

    @property
    def abs_error_frac(self) -> float:
        """|predicted / measured - 1|."""
        return abs(self.predicted_fj / exp(log_measured(self.asked)) - 1)


@dataclass(frozen=True, slots=True)
class PairScore:
    """The error of the pairs of one kind of change, with a 95 % interval by chip bootstrap.

    One chip alone gives no interval.
    """

    change: Change
    chips: int
    pairs: int
    median_abs_frac: float
    low_frac: float | None
    high_frac: float | None


def calibrated_pairs(
    chips: Sequence[Chip], *, fitted: Sequence[Chip] | None = None
) -> tuple[Pair, ...]:
    """Return all pairs of rows of one chip and source; the earlier row of the table is given.

    The model is the fit to ``fitted`` (by default these chips) without the chip. The supply law is
    C V^2 here, not the one fitted across chips: those differ in more than their supply. Nor does
    the cycle count between supplies: it only follows them.
    """
    rows, pairs = usable(chips), []
    for name in dict.fromkeys(chip.chip for chip in rows):
        own = [chip for chip in rows if chip.chip == name]
        model = fit([chip for chip in fitted or chips if chip.chip != name])
        for given, asked in combinations(own, 2):
            known = given.technology in model.technologies
            if known and given.source == asked.source and given.technology == asked.technology:
                slopes = model.technologies[given.technology].elasticities
                pairs.append(_pair(given, asked, slopes))
    return tuple(pairs)


def pair_scores(pairs: Sequence[Pair], generator: np.random.Generator) -> tuple[PairScore, ...]:
    """Return the median error by kind of change; the bootstrap draws chips, not pairs."""
    kinds: tuple[Change, ...] = ("voltage", "precision", "other")
    parts = ([pair for pair in pairs if pair.change == kind] for kind in kinds)
    return tuple(_pair_score(part, generator) for part in parts if part)


def _pair(given: Chip, asked: Chip, elasticities: Sequence[float]) -> Pair:
    change = _change(given, asked)
    slopes = np.array(elasticities)
    slopes[_SUPPLY] = WITHIN_CHIP_SUPPLY_EXPONENT
    if change == "voltage":
        slopes[_CYCLE] = 0.0
    step = np.subtract(quantities(asked), quantities(given))
    return Pair(given, asked, change, exp(log_measured(given) + float(slopes @ step)))


def _change(given: Chip, asked: Chip) -> Change:
    def setting(chip: Chip) -> tuple[object, ...]:
        return (chip.input_bits, chip.weight_bits, chip.adc_bits, chip.dac_bits)

    def geometry(chip: Chip) -> tuple[object, ...]:
        return (chip.node_nm, chip.dot_length, chip.activated_rows, chip.rows, chip.cols)

    if geometry(given) != geometry(asked):
        return "other"
    same_supply, same_bits = given.supply_v == asked.supply_v, setting(given) == setting(asked)
    if same_bits and not same_supply:
        return "voltage"
    return "precision" if same_supply and not same_bits else "other"


def _pair_score(pairs: Sequence[Pair], generator: np.random.Generator) -> PairScore:
    names = list(dict.fromkeys(pair.given.chip for pair in pairs))
    errors = [[pair.abs_error_frac for pair in pairs if pair.given.chip == name] for name in names]
    draws = generator.integers(len(names), size=(_RESAMPLES, len(names)))
    medians = [np.median(np.concatenate([errors[i] for i in draw])) for draw in draws]
    low, high = np.quantile(medians, (0.025, 0.975))
    return PairScore(
        change=pairs[0].change,
        chips=len(names),
        pairs=len(pairs),
        median_abs_frac=float(np.median(np.concatenate(errors))),
        low_frac=float(low) if len(names) > 1 else None,
        high_frac=float(high) if len(names) > 1 else None,
    )
