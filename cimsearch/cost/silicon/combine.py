"""Can the log-linear model, the component equations and more columns together do better?

Every way to predict is scored with the chip left out; so is the choice among them, made by the
errors of the other chips alone.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt

import numpy as np

from cimsearch.cost.silicon.components import component_scales, predict_shipped
from cimsearch.cost.silicon.fit import (
    ELASTICITY_SD,
    FREE_SD,
    INTERCEPT_SD,
    Vector,
    chip_weights,
    ridge,
    usable,
)
from cimsearch.cost.silicon.quantities import (
    FREE_IN,
    PRIORS,
    QUANTITIES,
    log_measured,
    quantities,
)
from cimsearch.cost.silicon.score import (
    Fitter,
    Prediction,
    Predictor,
    leave_one_chip_out,
    log_linear,
    predicted,
    scores,
)
from cimsearch.cost.silicon.table import Chip

CHOSEN = "chosen in the fold"
_COMMON = [n for n, name in enumerate(QUANTITIES) if name not in FREE_IN]
_ARRAY_CELLS = QUANTITIES.index("array_cells")
_MODES = ("QS", "IS", "QR", "QS-QR")

Extra = Callable[[Chip], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class WayScore:
    """A way to predict, with each chip left out: geometric error over rows, and by chip.

    ``picked`` is in how many of the folds this way was chosen.
    """

    technology: str
    way: str
    geometric_error: float
    geometric_error_by_chip: float
    picked: int | None


def _geometric_mean(chips: Sequence[Chip]) -> Predictor:
    columns, equations = log_linear(chips), component_scales(chips)

    def predict(chip: Chip) -> float | None:
        one, other = columns(chip), equations(chip)
        return sqrt(one * other) if one and other else one

    return predict


def _with(extra: Extra) -> Fitter:
    """Return the log-linear model of the quantities that all technologies share, and of others."""

    def fitter(chips: Sequence[Chip]) -> Predictor:
        fits = {
            name: _fit([chip for chip in usable(chips) if chip.technology == name], extra)
            for name in {chip.technology for chip in usable(chips)}
        }

        def predict(chip: Chip) -> float | None:
            if chip.technology not in fits:
                return None
            return exp(float(_sizes(chip, extra) @ fits[chip.technology]))

        return predict

    return fitter


def _fit(chips: Sequence[Chip], extra: Extra) -> Vector:
    added = len(extra(chips[0]))
    prior = np.array(PRIORS[chips[0].technology])[_COMMON]
    best, _ = ridge(
        np.array([_sizes(chip, extra) for chip in chips]),
        np.array([log_measured(chip) for chip in chips]),
        chip_weights(chips),
        prior=np.array([0.0, *prior, *[0.0] * added]),
        spread=np.array([INTERCEPT_SD, *[ELASTICITY_SD] * len(_COMMON), *[FREE_SD] * added]),
    )
    return best


def _sizes(chip: Chip, extra: Extra) -> Vector:
    return np.array([1.0, *np.array(quantities(chip))[_COMMON], *extra(chip)])


def _nothing(chip: Chip) -> tuple[float, ...]:
    del chip
    return ()


def _equations(chip: Chip) -> tuple[float, ...]:
    return (log(predict_shipped(chip) or 1.0),)


def _mode(chip: Chip) -> tuple[float, ...]:
    return tuple(float(chip.compute_model == mode) for mode in _MODES)


def _size(chip: Chip) -> tuple[float, ...]:
    return (quantities(chip)[_ARRAY_CELLS],)


def _sharing(chip: Chip) -> tuple[float, ...]:
    return (log((chip.cols_per_adc or 8) / 8),)


WAYS: dict[str, Fitter] = {
    "columns": _with(_nothing),
    "columns, size of the array": _with(_size),
    "columns, compute mode": _with(_mode),
    "columns, columns per ADC": _with(_sharing),
    "columns, energy by the equations": _with(_equations),
    "component equations, refit": component_scales,
    "geometric mean of both models": _geometric_mean,
}


def combinations(chips: Sequence[Chip]) -> tuple[WayScore, ...]:
    """Score all ways to predict, and the choice among them made without the chip left out.

    The choice takes the way of the least geometric error by chip on the other chips, each of them
    left out in turn.
    """
    found = []
    for name in PRIORS:
        rows = [chip for chip in usable(chips) if chip.technology == name]
        silicon = list(dict.fromkeys(chip.chip for chip in rows))
        if len(silicon) < 4:  # to choose without a chip takes others to fit and to score
            continue
        chosen: list[Prediction] = []
        picked: Counter[str] = Counter()
        for left in silicon:
            others = [chip for chip in rows if chip.chip != left]
            way = min(WAYS, key=lambda way: _error(others, WAYS[way]))
            picked[way] += 1
            own = [chip for chip in rows if chip.chip == left]
            chosen += predicted(WAYS[way](others), own)
        for way, fitter in WAYS.items():
            found += _scored(way, leave_one_chip_out(rows, fitter=fitter), picked[way])
        found += _scored(CHOSEN, chosen, None)
    return tuple(found)


def _error(chips: Sequence[Chip], fitter: Fitter) -> float:
    found = scores(leave_one_chip_out(chips, fitter=fitter))
    return found[0].geometric_error_by_chip if found else inf


def _scored(way: str, predictions: Sequence[Prediction], picked: int | None) -> list[WayScore]:
    """Return the score of a way; none if it knows no row, as the equations beyond their bits."""
    return [
        WayScore(one.technology, way, one.geometric_error, one.geometric_error_by_chip, picked)
        for one in scores(predictions)
    ]
