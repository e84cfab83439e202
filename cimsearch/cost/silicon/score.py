"""Scores on chips that the fit has not seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, exp, log

import numpy as np

from cimsearch.cost.silicon.fit import (
    ELASTICITY_SD,
    Model,
    Vector,
    chip_weights,
    fit,
    predict,
    usable,
)
from cimsearch.cost.silicon.quantities import PRIORS, log_measured
from cimsearch.cost.silicon.table import Chip

COVERAGE = 0.8
"""Nominal share of chips whose measurement lies within the band."""

FEWEST_CHIPS = 4
"""With fewer, a chip left out is held to a band of one or two chips, which says nothing."""

Predictor = Callable[[Chip], float | None]
"""Gives fJ per MAC of a row, or None if it knows nothing of the technology."""
Fitter = Callable[[Sequence[Chip]], Predictor]
"""Gives the predictor that these chips make."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A row beside what a model that never saw its chip says, fJ per MAC."""

    chip: Chip
    predicted_fj: float

    @property
    def ln_error(self) -> float:
        """ln(predicted / measured)."""
        return log(self.predicted_fj) - log_measured(self.chip)


@dataclass(frozen=True, slots=True)
class Score:
    """How far predictions are from silicon, for one technology.

    Attributes:
        geometric_error: exp(mean |ln(predicted / measured)|) over rows.
        geometric_error_by_chip: The same, each chip counting once.
        median_abs_frac: Median of |predicted / measured - 1|, over rows.
        within_2x: Share of rows within a factor of two.
        rank_correlation: Spearman's, over rows; None below 3 rows.
    """

    technology: str
    chips: int
    rows: int
    geometric_error: float
    geometric_error_by_chip: float
    median_abs_frac: float
    within_2x: float
    rank_correlation: float | None


@dataclass(frozen=True, slots=True)
class Band:
    """The factor f: nominally ``COVERAGE`` of chips lie within predicted / f to predicted x f.

    ``achieved`` is the share of held-out chips (rows of a chip share its vote) in a band that was
    itself made without them; None with fewer than ``FEWEST_CHIPS``.
    """

    technology: str
    factor: float
    achieved: float | None


def log_linear(chips: Sequence[Chip], *, elasticity_sd: float = ELASTICITY_SD) -> Predictor:
    """Return the predictor of the log-linear model of table columns, fitted to ``chips``."""
    return partial(_predict, fit(chips, elasticity_sd=elasticity_sd))


def held_out(
    fitted: Sequence[Chip], scored: Sequence[Chip], *, fitter: Fitter = log_linear
) -> tuple[Prediction, ...]:
    """Predict rows, each by the fit to all chips but its own; rows of a chip go together.

    Rows that were not measured are predicted too. A technology whose only chip is the one held
    out is left out of the result.
    """
    predictors: dict[str, Predictor] = {}
    known = {chip.chip for chip in fitted}
    made = []
    for chip in usable(scored, measured=False):
        key = chip.chip if chip.chip in known else ""
        if key not in predictors:
            predictors[key] = fitter([other for other in fitted if not key or other.chip != key])
        made.append((chip, predictors[key](chip)))
    return tuple(Prediction(chip, energy) for chip, energy in made if energy is not None)


def leave_one_chip_out(
    chips: Sequence[Chip], *, fitter: Fitter = log_linear
) -> tuple[Prediction, ...]:
    """Predict every usable row by the fit to all other chips."""
    return held_out(chips, usable(chips), fitter=fitter)


def predict_all(model: Model, chips: Sequence[Chip]) -> tuple[Prediction, ...]:
    """Predict the rows, measured or not, whose technology the model knows."""
    return predicted(partial(_predict, model), chips)


def predicted(predictor: Predictor, chips: Sequence[Chip]) -> tuple[Prediction, ...]:
    """Predict the rows, measured or not, that the predictor knows."""
    made = ((chip, predictor(chip)) for chip in usable(chips, measured=False))
    return tuple(Prediction(chip, energy) for chip, energy in made if energy is not None)


def score(model: Model, chips: Sequence[Chip]) -> tuple[Score, ...]:
    """Return one score per technology; the chips should not be in the fit."""
    return scores(predict_all(model, chips))


def scores(predictions: Sequence[Prediction]) -> tuple[Score, ...]:
    """Return one score per technology that has predictions of measured rows."""
    parts = (by_technology(predictions, name) for name in PRIORS)
    return tuple(_score(part) for part in parts if part)


def bands(chips: Sequence[Chip], *, fitter: Fitter = log_linear) -> tuple[Band, ...]:
    """Return the band of each technology, from leave-one-chip-out errors.

    The coverage repeats everything without each chip: its band comes from the errors of the
    others, each predicted by a fit that saw neither.
    """
    found = []
    for name in PRIORS:
        rows = [chip for chip in usable(chips) if chip.technology == name]
        predictions = leave_one_chip_out(rows, fitter=fitter)
        names = list(dict.fromkeys(one.chip.chip for one in predictions))
        if not names:
            continue
        achieved = None
        if len(names) >= FEWEST_CHIPS:
            achieved = float(
                np.mean([_covered(rows, predictions, left, fitter) for left in names])
            )
        found.append(Band(name, band_factor(predictions), achieved))
    return tuple(found)


def coverage(
    predictions: Sequence[Prediction], made: Sequence[Band], technology: str
) -> float | None:
    """Return the share of a technology's chips in its band, rows of a chip sharing its vote.

    None where the technology has no band or no prediction.
    """
    factor = next((band.factor for band in made if band.technology == technology), None)
    own = by_technology(predictions, technology)
    if factor is None or not own:
        return None
    inside = [abs(one.ln_error) <= log(factor) for one in own]
    return float(np.average(inside, weights=chip_weights([one.chip for one in own])))


def band_factor(predictions: Sequence[Prediction]) -> float:
    """Return the factor that holds ``COVERAGE`` of a next chip (split-conformal quantile)."""
    errors = np.abs([one.ln_error for one in predictions])
    weights = chip_weights([one.chip for one in predictions])
    chips = round(float(weights.sum()))
    # The (n + 1)-th chip is one more draw: the quantile of n must be a little further out.
    level = min(1.0, ceil(COVERAGE * (chips + 1)) / chips)
    order = np.argsort(errors, kind="stable")
    reached = np.cumsum(weights[order]) / chips
    index = int(np.searchsorted(reached, level - 1e-9))
    return exp(float(errors[order][min(index, len(errors) - 1)]))


def by_technology(predictions: Sequence[Prediction], name: str) -> tuple[Prediction, ...]:
    """Return the predictions of measured rows of one technology."""
    return tuple(
        one
        for one in predictions
        if one.chip.technology == name and one.chip.measured_fj is not None
    )


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, ties at their mean rank; None if it has no value."""
    a, b = _ranks(np.asarray(first)), _ranks(np.asarray(second))
    if len(a) < 3 or not a.std() or not b.std():
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: Vector) -> Vector:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2.0)[index], dtype=np.float64)


def _predict(model: Model, chip: Chip) -> float | None:
    return predict(model, chip) if chip.technology in model.technologies else None


def _covered(
    rows: Sequence[Chip], predictions: Sequence[Prediction], left: str, fitter: Fitter
) -> float:
    others = [chip for chip in rows if chip.chip != left]
    factor = band_factor(leave_one_chip_out(others, fitter=fitter))
    inside = [abs(p.ln_error) <= log(factor) for p in predictions if p.chip.chip == left]
    return float(np.mean(inside))


def _score(predictions: Sequence[Prediction]) -> Score:
    errors = np.array([one.ln_error for one in predictions])
    weights = chip_weights([one.chip for one in predictions])
    return Score(
        technology=predictions[0].chip.technology,
        chips=len({one.chip.chip for one in predictions}),
        rows=len(predictions),
        geometric_error=exp(float(np.mean(np.abs(errors)))),
        geometric_error_by_chip=exp(float(np.average(np.abs(errors), weights=weights))),
        median_abs_frac=float(np.median(np.abs(np.exp(errors) - 1))),
        within_2x=float(np.mean(np.abs(errors) <= log(2) + 1e-12)),
        rank_correlation=spearman(
            [one.predicted_fj for one in predictions],
            [log_measured(one.chip) for one in predictions],
        ),
    )
