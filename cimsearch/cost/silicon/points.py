"""One measured point of a chip given, its other points predicted."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, log
from typing import Literal

import numpy as np

from cimsearch.cost.silicon.components import predict_shipped
from cimsearch.cost.silicon.fit import Model, fit, usable
from cimsearch.cost.silicon.quantities import (
    QUANTITIES,
    WITHIN_CHIP_SUPPLY_EXPONENT,
    log_measured,
    quantities,
)
from cimsearch.cost.silicon.score import FEWEST_CHIPS, Prediction, band_factor
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


@dataclass(frozen=True, slots=True)
class PointBand:
    """The factor f: nominally ``COVERAGE`` of chips lie within predicted / f to predicted x f.

    ``change`` is what differs between the point given and the point asked. Pairs of a chip share
    its vote. ``achieved`` is the share of chips in the band that the other chips make; None with
    fewer than ``FEWEST_CHIPS``, where even the widest error holds less than the nominal share.
    """

    change: Change | Literal["all"]
    technologies: tuple[str, ...]
    chips: int
    pairs: int
    factor: float
    achieved: float | None


def calibrated_pairs(
    chips: Sequence[Chip], *, fitted: Sequence[Chip] | None = None
) -> tuple[Pair, ...]:
    """Return all pairs of rows of one chip and source; the earlier row of the table is given.

    The model is the fit to ``fitted`` (by default these chips) without the chip. The supply law is
    C V^2 here, not the one fitted across chips: those differ in more than their supply. Nor does
    the cycle count between supplies: it only follows them.
    """
    models: dict[str, Model] = {}
    found = []
    for given, asked in _rows_of_one_chip(chips):
        name = given.chip
        if name not in models:
            models[name] = fit([chip for chip in fitted or chips if chip.chip != name])
        if given.technology in models[name].technologies:
            slopes = models[name].technologies[given.technology].elasticities
            found.append(_pair(given, asked, slopes))
    return tuple(found)


def scaled_pairs(chips: Sequence[Chip]) -> tuple[Pair, ...]:
    """Return the same pairs by the component equations, scaled to the energy of the row given.

    That is what a report of a calibrated macro rests on. Nothing is fitted to other chips. Each
    row is a macro as wide as its own bits; pairs that the equations cannot price are left out.
    """
    found = []
    for given, asked in _rows_of_one_chip(chips):
        known, energy = predict_shipped(given), predict_shipped(asked)
        if known and energy:
            scaled = energy / known * exp(log_measured(given))
            found.append(Pair(given, asked, _change(given, asked), scaled))
    return tuple(found)


def point_bands(pairs: Sequence[Pair]) -> tuple[PointBand, ...]:
    """Return the bands of voltage alone, of precision alone and of all pairs together."""
    parts: dict[Change | Literal["all"], Sequence[Pair]] = {
        "voltage": [pair for pair in pairs if pair.change == "voltage"],
        "precision": [pair for pair in pairs if pair.change == "precision"],
        "all": pairs,
    }
    return tuple(_point_band(change, part) for change, part in parts.items() if part)


def pair_scores(pairs: Sequence[Pair], generator: np.random.Generator) -> tuple[PairScore, ...]:
    """Return the median error by kind of change; the bootstrap draws chips, not pairs."""
    kinds: tuple[Change, ...] = ("voltage", "precision", "other")
    parts = ([pair for pair in pairs if pair.change == kind] for kind in kinds)
    return tuple(_pair_score(part, generator) for part in parts if part)


def _rows_of_one_chip(chips: Sequence[Chip]) -> list[tuple[Chip, Chip]]:
    return [
        (given, asked)
        for given, asked in combinations(usable(chips), 2)
        if (given.chip, given.source, given.technology)
        == (asked.chip, asked.source, asked.technology)
    ]


def _point_band(change: Change | Literal["all"], pairs: Sequence[Pair]) -> PointBand:
    predictions = [Prediction(pair.asked, pair.predicted_fj) for pair in pairs]
    names = list(dict.fromkeys(one.chip.chip for one in predictions))
    achieved = None
    if len(names) >= FEWEST_CHIPS:
        achieved = float(np.mean([_held(predictions, name) for name in names]))
    return PointBand(
        change=change,
        technologies=tuple(dict.fromkeys(one.chip.technology for one in predictions)),
        chips=len(names),
        pairs=len(pairs),
        factor=band_factor(predictions),
        achieved=achieved,
    )


def _held(predictions: Sequence[Prediction], left: str) -> float:
    """Return the share of a chip's predictions in the band that the other chips make."""
    factor = band_factor([one for one in predictions if one.chip.chip != left])
    own = [one for one in predictions if one.chip.chip == left]
    return float(np.mean([abs(one.ln_error) <= log(factor) for one in own]))


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
