"""How good could it get: the floor that the columns of the table leave."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import exp

import numpy as np

from cimsearch.cost.silicon.fit import fit, usable
from cimsearch.cost.silicon.quantities import PRIORS, log_measured
from cimsearch.cost.silicon.score import (
    held_out,
    leave_one_chip_out,
    log_linear,
    predict_all,
    scores,
)
from cimsearch.cost.silicon.table import Chip

_FREEDOMS = (0.05, 0.1, 0.2, 0.4, 1.0)
_LEARNING_SHARES = (0.25, 0.5, 0.75)
_DRAWS = 40


@dataclass(frozen=True, slots=True)
class Freedom:
    """A fit with a given freedom: error on the chips it was fitted to, and on chips left out."""

    technology: str
    elasticity_sd: float
    effective_parameters: float
    error_in_fit: float
    error_left_out: float


@dataclass(frozen=True, slots=True)
class Learning:
    """The geometric error on unseen chips of a fit to ``chips`` chips, mean over draws."""

    technology: str
    chips: int
    geometric_error: float


@dataclass(frozen=True, slots=True)
class Repeat:
    """Two rows of one chip at the same operating point from two sources; their ratio."""

    first: str
    second: str
    ratio: float


def freedoms(chips: Sequence[Chip]) -> tuple[Freedom, ...]:
    """Return the error in the fit and left out as the priors are loosened.

    Were the error in the fit far above the goal at every freedom, no such model could reach it;
    where it falls while the error left out rises, there are too few chips to learn more.
    """
    found = []
    for sd in _FREEDOMS:
        model = fit(chips, elasticity_sd=sd)
        inside = {one.technology: one for one in scores(predict_all(model, chips))}
        for outside in scores(
            leave_one_chip_out(chips, fitter=partial(log_linear, elasticity_sd=sd))
        ):
            name = outside.technology
            parameters = model.technologies[name].effective_parameters
            error = inside[name].geometric_error
            found.append(Freedom(name, sd, parameters, error, outside.geometric_error))
    return tuple(found)


def learning_curve(chips: Sequence[Chip], generator: np.random.Generator) -> tuple[Learning, ...]:
    """Return the error on the chips not drawn, for fits to random shares of the chips."""
    found = []
    for name in PRIORS:
        rows = [chip for chip in usable(chips) if chip.technology == name]
        names = np.array(sorted({chip.chip for chip in rows}))
        for size in (max(2, round(share * len(names))) for share in _LEARNING_SHARES):
            if size >= len(names):
                continue
            errors = [_error_of_draw(rows, names, size, generator) for _ in range(_DRAWS)]
            found.append(Learning(name, size, exp(float(np.mean(np.log(errors))))))
    return tuple(found)


def repeats(chips: Sequence[Chip]) -> tuple[Repeat, ...]:
    """Return pairs of rows that state one operating point of one chip twice."""
    rows = usable(chips)
    return tuple(
        Repeat(a.id, b.id, exp(log_measured(b) - log_measured(a)))
        for i, a in enumerate(rows)
        for b in rows[i + 1 :]
        if a.chip == b.chip and a.source != b.source and _point(a) == _point(b)
    )


def _point(chip: Chip) -> tuple[object, ...]:
    return (chip.node_nm, chip.supply_v, chip.input_bits, chip.weight_bits, chip.adc_bits)


def _error_of_draw(
    rows: Sequence[Chip], names: np.ndarray, size: int, generator: np.random.Generator
) -> float:
    drawn = set(generator.choice(names, size=size, replace=False))
    fitted = [chip for chip in rows if chip.chip in drawn]
    left = [chip for chip in rows if chip.chip not in drawn]
    return scores(held_out(fitted, left))[0].geometric_error
