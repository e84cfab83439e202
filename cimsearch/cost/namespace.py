"""The array namespace of the cost equations, in one place, and the few helpers they share.

Equations use operations that NumPy and the array API standard have in common, element by element
on arrays (candidates, nodes). No transcendental function is applied to an array and sums run in
order, so that a batch of networks is priced bit for bit like each of them alone.
"""

from collections.abc import Iterable
from math import log2
from typing import Any

import numpy as xp
from numpy.typing import NDArray

__all__ = ["Array", "Ints", "Mask", "ceil_div", "log2_of", "node_sum", "summed", "xp"]

Array = NDArray[xp.floating[Any]]
Ints = NDArray[xp.int64]
Mask = NDArray[xp.bool_]

_LOG2: Array = xp.array([0.0, *(log2(count) for count in range(1, 65))])


def ceil_div(a: Ints, b: Ints | int) -> Ints:
    """Return ``a / b`` rounded up, for non-negative integers."""
    return -(-a // b)


def log2_of(count: Ints) -> Array:
    """Return the binary logarithm of small counts (1 to 64) by table."""
    return _LOG2[count]


def summed(parts: Iterable[Array]) -> Array:
    """Return the sum of arrays of one shape, added in order."""
    first, *rest = parts
    total = first
    for part in rest:
        total = total + part
    return total


def node_sum(values: Array) -> Array:
    """Return the sum over nodes of ``values`` (n, nodes): one node after the other."""
    return xp.cumsum(values, axis=1)[:, -1]
