"""Penalties: values that say only that something is very bad."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Results are penalties if they are so many times as far from the best as the next better result,
# and so many results at least are better.
_GAP, _BETTER = 100.0, 8

# A penalty counts as worse than the worst of the others by this part of their range.
_WORSE = 0.5


def tempered(values: Array) -> Array:
    """Return values (n,), which are minimised, with penalties moved near to the others.

    An objective that returns 1e9 where it fails hides the differences between all that succeeds:
    to what is in units of the values' deviation these are equal. Other values are not changed,
    nor is the order, but that among penalties.
    """
    ordered = np.sort(values)
    distances = ordered - ordered[:1]
    near, far = distances[_BETTER - 1 : -1], distances[_BETTER:]
    gaps = np.flatnonzero((near > 0) & (far > _GAP * near))
    if not len(gaps):
        return values
    worst = ordered[_BETTER - 1 + gaps[0]]
    return np.where(values > worst, worst + _WORSE * (worst - ordered[0]), values)
