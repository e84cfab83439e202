"""Copies of layers in the macros that a chip has to spare: solved for every network, exactly told.

A copy of a layer takes as many arrays as the layer and a share of its input vectors. Layers that
run one after another want the least sum of times, pipelined ones the least longest time. Both are
found by bisection of the one number that all layers share: the time of the longest, or their
common gain per array, for times that fall as 1 / copies; whole input vectors are then told by
``copies_that_count``. Replication inside every evaluation rather than as a gene follows LRMP (A.
Nallathambi et al., Frontiers in Artificial Intelligence 2024).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEPS = 40
"""Halvings of the searched interval."""
_TINY = np.finfo(np.float64).tiny
_ROUNDED = 1 + 1e-12
"""Keeps rounding from taking one off a whole number of steps."""


@dataclass(frozen=True)
class Workload:
    """What the copies of layers are chosen by; arrays (n, nodes), 0 for nodes not on arrays.

    Attributes:
        arrays_ns: Time of the arrays with one copy.
        other_ns: Time of the slowest other unit, which copies do not shorten.
        arrays: Arrays of one copy.
        vectors: Input vectors, which copies share.
        spare: Macros (n,) that are left.
    """

    arrays_ns: Floats
    other_ns: Floats
    arrays: Floats
    vectors: Floats
    spare: Floats

    def fits(self, copies: Floats) -> NDArray[np.bool_]:
        """Return which networks (n,) have room for ``copies``."""
        return _in_order(self.arrays * np.maximum(copies - 1, 0)) <= self.spare

    def enough(self, longest_ns: Floats) -> Floats:
        """Return the fewest copies that bring the arrays to ``longest_ns``, or one a vector."""
        vectors = np.maximum(self.vectors, 1)
        with np.errstate(over="ignore"):
            steps = longest_ns * vectors / np.maximum(self.arrays_ns, _TINY) * _ROUNDED
        fewest: Floats = np.ceil(vectors / np.floor(np.clip(steps, 1, vectors)))
        return fewest

    def most(self) -> Floats:
        """Return the copies beyond which nothing gets faster, or that find no room."""
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.floor(self.spare[:, None] / self.arrays)
        bound = np.minimum(self.enough(self.other_ns), room + 1)
        return np.where(self.arrays > 0, np.maximum(bound, 1), 1)


def least_sum(work: Workload, owned: Floats | float = 1.0) -> Floats:
    """Return the copies (n, nodes) that make the sum of times least, within the spare macros.

    There are ``owned`` copies at least, (n, nodes), which fit.

    The d-th copy of a layer saves t / (d (d - 1)) for its a arrays. All copies that save at least
    some gain an array are bought, for the least gain that fits: no other choice of the same
    arrays saves more. What macros are left go to the first layers that they help.
    """
    most = work.most()
    gain = np.where(work.arrays > 0, work.arrays_ns / np.maximum(work.arrays, 1), 0.0)
    # Bought copies grow with the price 1 / gain: at ``low`` none is bought, at ``high`` all.
    high = np.max(np.where(gain > 0, most * most / np.where(gain > 0, gain, 1), 0), axis=1)
    low = np.zeros_like(high)
    for _ in range(_STEPS):
        middle = np.where(low > 0, np.sqrt(low * high), high * 2.0**-_STEPS)
        fits = work.fits(_bought(gain, middle, most, owned))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return _filled(work, copies_that_count(_bought(gain, low, most, owned), work.vectors), most)


def least_longest(work: Workload, floor_ns: Floats) -> Floats:
    """Return the copies (n, nodes) that make the longest time least, within the spare macros.

    Args:
        work: What the copies are chosen by.
        floor_ns: Time (n,) that no copy shortens: that of units that all layers share.
    """
    shortest = np.maximum(work.other_ns, work.arrays_ns / np.maximum(work.vectors, 1))
    low = np.maximum(floor_ns, np.max(shortest, axis=1))
    high = np.maximum(np.max(work.arrays_ns, axis=1), low)
    high = np.where(work.fits(work.enough(low[:, None])), low, high)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        fits = work.fits(work.enough(middle[:, None]))
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    return work.enough(high[:, None])


def copies_that_count(copies: Floats, vectors: Floats) -> Floats:
    """Return the fewest copies that need as many steps as ``copies`` for whole input vectors."""
    vectors = np.maximum(vectors, 1)
    return np.ceil(vectors / np.ceil(vectors / copies))


def _bought(gain: Floats, price: Floats, most: Floats, owned: Floats | float) -> Floats:
    """Return the most copies d with gain / (d (d - 1)) x price >= 1, and those owned."""
    copies = np.floor((1 + np.sqrt(1 + 4 * gain * price[:, None])) / 2)
    return np.maximum(np.minimum(copies, most), owned)


def _filled(work: Workload, copies: Floats, most: Floats) -> Floats:
    """Return ``copies`` with one more of every layer, in order, that has room and gets faster."""
    filled = copies.copy()
    left = work.spare - _in_order(work.arrays * (filled - 1))
    for node in range(filled.shape[1]):
        own, vectors = filled[:, node], np.maximum(work.vectors[:, node], 1)
        steps = np.ceil(vectors / own)
        # The fewest copies that save a step.
        better = np.ceil(vectors / np.maximum(steps - 1, 1))
        price = work.arrays[:, node] * (better - own)
        buys = (steps > 1) & (better <= most[:, node]) & (price > 0) & (price <= left)
        filled[:, node] = np.where(buys, better, own)
        left = left - np.where(buys, price, 0)
    return filled


def _in_order(values: Floats) -> Floats:
    """Return the sum over nodes, one after the other: the same in a batch and alone."""
    total = values[:, 0].copy()
    for node in range(1, values.shape[1]):
        total = total + values[:, node]
    return total
