"""Fitting the energy of chips: ridge regression of ln E towards physical elasticities.

The maximum a posteriori estimate with Gaussian priors has a closed form; nothing is random.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.silicon.quantities import (
    FREE_IN,
    NOT_VALIDATED,
    PRIORS,
    QUANTITIES,
    log_measured,
    quantities,
    reason_to_skip,
)
from cimsearch.cost.silicon.table import Chip
from cimsearch.errors import UsageError

ELASTICITY_SD = 0.1
"""How far the fit may move an elasticity from its prior (standard deviation)."""
FREE_SD = 0.3
"""The same of a quantity that the prior knows nothing of."""
RESIDUAL_SD = 0.9
"""Spread of ln(measured / typical) between chips of one technology: the designers' choices."""
INTERCEPT_SD = 5.0
"""Next to no prior on the scale."""
_FIXED_SD = 1e-6

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TechnologyFit:
    """The constants of one technology: ln(fJ/MAC) = ln_scale + elasticities . quantities.

    ``effective_parameters`` is the trace of the hat matrix: what the chips decided, beyond the
    priors.
    """

    ln_scale: float
    elasticities: tuple[float, ...]
    chips: int
    rows: int
    effective_parameters: float


@dataclass(frozen=True, slots=True)
class Model:
    """Fitted constants by technology."""

    technologies: dict[str, TechnologyFit]

    def to_json(self) -> dict[str, Any]:
        """Return the constants as plain data, elasticities by name."""
        return {
            name: asdict(fit)
            | {"elasticities": dict(zip(QUANTITIES, fit.elasticities, strict=True))}
            for name, fit in self.technologies.items()
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Model":
        """Return the model that ``to_json`` wrote."""
        return cls(
            {
                name: TechnologyFit(
                    **fit | {"elasticities": tuple(fit["elasticities"][q] for q in QUANTITIES)}
                )
                for name, fit in data.items()
            }
        )


def usable(chips: Sequence[Chip], *, measured: bool = True) -> tuple[Chip, ...]:
    """Return the rows that can be fitted and scored; unless ``measured``, all to be predicted."""
    return tuple(chip for chip in chips if not reason_to_skip(chip, measured=measured))


def skipped(chips: Sequence[Chip]) -> dict[str, str]:
    """Return the id of each other row with the reason."""
    silicon = Counter(technology for _, technology in {(c.chip, c.technology) for c in chips})
    return {
        chip.id: f"{reason} (n = {silicon[chip.technology]})"
        if reason == NOT_VALIDATED
        else reason
        for chip in chips
        if (reason := reason_to_skip(chip))
    }


def fit(chips: Sequence[Chip], *, elasticity_sd: float = ELASTICITY_SD) -> Model:
    """Fit every technology that has usable rows; a chip weighs the same whatever its rows."""
    rows = usable(chips)
    names = [name for name in PRIORS if any(chip.technology == name for chip in rows)]
    return Model(
        {
            name: _fit_one([chip for chip in rows if chip.technology == name], elasticity_sd)
            for name in names
        }
    )


def predict(model: Model, chip: Chip) -> float:
    """Return fJ per MAC of a row, whether it was measured or not.

    Raises:
        UsageError: No chip of this technology was fitted, or the row lacks a quantity.
    """
    if reason := reason_to_skip(chip, measured=False):
        raise UsageError(f"{chip.id}: cannot be predicted: {reason}")
    if chip.technology not in model.technologies:
        raise UsageError(f"{chip.id}: the fit has no other chip of {chip.technology}")
    one = model.technologies[chip.technology]
    return exp(one.ln_scale + float(np.dot(one.elasticities, quantities(chip))))


def chip_weights(chips: Sequence[Chip]) -> Vector:
    """Return 1 / (rows of the same chip), array (rows,)."""
    count = Counter(chip.chip for chip in chips)
    return np.array([1.0 / count[chip.chip] for chip in chips])


def ridge(
    sizes: Vector, energies: Vector, weights: Vector, *, prior: Vector, spread: Vector
) -> tuple[Vector, float]:
    """Return the constants of a linear model of ln energy, and how many of them the data set.

    Args:
        sizes: Quantities of each row, 1 first, array (rows, constants).
        energies: ln of the measured energies, array (rows,).
        weights: Votes of the rows, array (rows,).
        prior: The constants believed before any row, array (constants,).
        spread: How far they may move (standard deviation), array (constants,).
    """
    votes = weights / RESIDUAL_SD**2
    information = sizes.T @ (votes[:, None] * sizes)
    precision = information + np.diag(spread**-2)
    best = prior + np.linalg.solve(precision, sizes.T @ (votes * (energies - sizes @ prior)))
    return best, float(np.trace(np.linalg.solve(precision, information)))


def _fit_one(chips: Sequence[Chip], elasticity_sd: float) -> TechnologyFit:
    best, effective = ridge(
        np.array([(1.0, *quantities(chip)) for chip in chips]),
        np.array([log_measured(chip) for chip in chips]),
        chip_weights(chips),
        prior=np.array((0.0, *PRIORS[chips[0].technology])),
        spread=np.array([INTERCEPT_SD, *_spreads(chips[0].technology, elasticity_sd)]),
    )
    return TechnologyFit(
        ln_scale=float(best[0]),
        elasticities=tuple(map(float, best[1:])),
        chips=len({chip.chip for chip in chips}),
        rows=len(chips),
        effective_parameters=effective,
    )


def _spreads(technology: str, elasticity_sd: float) -> list[float]:
    free = {name: FREE_SD if only == technology else _FIXED_SD for name, only in FREE_IN.items()}
    return [free.get(name, elasticity_sd) for name in QUANTITIES]
