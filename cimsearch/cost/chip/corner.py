"""How the gain of sums follows supply and temperature."""

from dataclasses import dataclass

import numpy as np

from cimsearch.cost.chip.lines import Lines
from cimsearch.cost.chip.statistics import Spread, groups_of
from cimsearch.cost.chip.tables import Floats

_SURE = 3.0
EXACT = Spread(0.0, 0.0)
"""Of an effect that is not there."""


@dataclass(frozen=True)
class Corner:
    """How the gain follows supply and temperature; the errors are standard errors.

    Attributes:
        per_supply: Relative gain a relative supply.
        per_c: Relative gain a degree.
        notes: What could not be told.
    """

    per_supply: Spread = EXACT
    per_c: Spread = EXACT
    notes: tuple[str, ...] = ()

    def gain(self, supply: Floats, warmth: Floats) -> Floats:
        """Return ``k``."""
        return 1 + self.per_supply.sigma * supply + self.per_c.sigma * warmth


def corner_of(lines: Lines) -> Corner:
    """Return how gains follow supply and temperature, from columns read at several."""
    index, count = groups_of(lines.column.astype(float))
    each = np.bincount(index, minlength=count)

    def within(values: Floats) -> Floats:
        away: Floats = values - (np.bincount(index, values) / each)[index]
        return away

    names = ("supply", "temperature")
    axes = [within(lines.supply), within(lines.warmth)]
    varied = [name for name, axis in zip(names, axes, strict=True) if np.ptp(axis) > 1e-9]
    if not varied:
        return Corner()
    basis = np.stack([axis for axis in axes if np.ptp(axis) > 1e-9], axis=1)
    if np.linalg.matrix_rank(basis / np.abs(basis).max(axis=0)) < len(varied):
        return Corner(
            notes=("supply and temperature change together: their effects cannot be told apart",)
        )
    # A gain is nominal * k: relative to the column's mean gain, then to k where k is 1.
    ratio = lines.gain / (np.bincount(index, lines.gain) / each)[index]
    full = np.stack([lines.supply, lines.warmth], axis=1)
    kept = [names.index(name) for name in varied]
    slope = np.linalg.lstsq(basis, within(ratio), rcond=None)[0]
    left = within(ratio) - basis @ slope
    freedom = max(len(ratio) - count - len(varied), 1)
    errors = np.sqrt(np.diag(np.linalg.inv(basis.T @ basis)) * float(left @ left) / freedom)
    middle = np.stack([np.bincount(index, full[:, i]) / each for i in kept], axis=1).mean(axis=0)
    nominal = 1 - float(middle @ slope)
    found = dict.fromkeys(names, EXACT)
    notes = []
    for name, value, error in zip(varied, slope / nominal, errors / abs(nominal), strict=True):
        if abs(value) > _SURE * error:
            found[name] = Spread(float(value), float(error))
        else:
            notes.append(f"the gain does not follow the {name}, within its standard error")
    return Corner(found["supply"], found["temperature"], tuple(notes))
