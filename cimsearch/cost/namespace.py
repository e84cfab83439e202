"""The array namespace of the cost equations, in one place, and the few helpers they share.

Equations run element by element on float64 arrays (candidates, nodes), of NumPy or, for
gradients, of torch: they take their functions from the arrays they get. Counts are whole numbers
held in floats, exact below 2**53. Rounding passes gradients straight through. No transcendental
function is applied to a NumPy array and sums run in order, so that a batch of networks is priced
bit for bit like each of them alone.
"""

from collections.abc import Iterable
from math import log2
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

__all__ = [
    "Array",
    "Mask",
    "at_least",
    "at_most",
    "ceil",
    "ceil_div",
    "floor",
    "floor_div",
    "is_numpy",
    "log2_of",
    "looked_up",
    "namespace_of",
    "node_sum",
    "pow2",
    "stepped",
    "summed",
    "values_of",
    "whole",
]

Array = Any
"""A float64 array of NumPy or of torch: no one type covers both."""

Mask = Any
"""The same of truth values."""

_LOG2 = np.array([0.0, *(log2(count) for count in range(1, 65))])


def namespace_of(array: Array) -> Any:
    """Return the functions that work on ``array``: NumPy, or those of another array library."""
    return np if is_numpy(array) else array_namespace(array)


def is_numpy(array: Array) -> bool:
    """Return what ``array_api_compat.is_numpy_array`` does where JAX is not used, much faster."""
    return isinstance(array, np.ndarray | np.generic)


def values_of(array: Any) -> NDArray[Any]:
    """Return the values of ``array`` as NumPy has them, without gradients."""
    return array if isinstance(array, np.ndarray) else np.asarray(array.detach())


def stepped(array: Array, values: NDArray[Any]) -> Array:
    """Return ``values`` in the namespace of ``array``, with the gradient of ``array``."""
    if is_numpy(array):
        return values
    tensor: Any = array
    steps = namespace_of(array).asarray(values, dtype=tensor.dtype, device=tensor.device)
    straight: Array = steps + (tensor - tensor.detach())
    return straight


def ceil(array: Array) -> Array:
    """Return ``array`` rounded up."""
    return stepped(array, np.ceil(values_of(array)))


def ceil_div(a: Array, b: Array | float) -> Array:
    """Return ``a / b`` rounded up, exact for whole numbers below 2**53."""
    return ceil(a / b)


def floor(array: Array) -> Array:
    """Return ``array`` rounded down."""
    return stepped(array, np.floor(values_of(array)))


def floor_div(a: Array, b: Array | float) -> Array:
    """Return ``a / b`` rounded down, exact for whole numbers below 2**53."""
    return floor(a / b)


def at_least(array: Array, least: float) -> Array:
    """Return ``array``, but no element below ``least``."""
    if is_numpy(array):
        return np.maximum(array, least)
    clipped: Array = namespace_of(array).clip(array, least, None)
    return clipped


def at_most(array: Array, most: float) -> Array:
    """Return ``array``, but no element above ``most``."""
    if is_numpy(array):
        return np.minimum(array, most)
    clipped: Array = namespace_of(array).clip(array, None, most)
    return clipped


def pow2(exponent: Array) -> Array:
    """Return two to the power of ``exponent``: exact for whole exponents."""
    if is_numpy(exponent):
        return np.ldexp(1.0, exponent.astype(np.int32))
    power: Array = namespace_of(exponent).pow(2.0, exponent)
    return power


def looked_up(table: NDArray[np.float64], index: Array) -> Array:
    """Return entries of ``table`` (one a whole number from 0), linear between them."""
    if is_numpy(index):
        return table[index.astype(np.intp)]
    low = np.clip(np.floor(values_of(index)).astype(np.intp), 0, len(table) - 2)
    like = namespace_of(index).asarray
    slope = like(np.diff(table)[low], dtype=index.dtype, device=index.device)
    start = like(table[low], dtype=index.dtype, device=index.device)
    return start + slope * (index - like(low, dtype=index.dtype, device=index.device))


def log2_of(count: Array) -> Array:
    """Return the binary logarithm of small counts (1 to 64), by table in NumPy; 0 for 0."""
    if is_numpy(count):
        return _LOG2[count.astype(np.intp)]
    logarithm: Array = namespace_of(count).log2(at_least(count, 1.0))
    return logarithm


def summed(parts: Iterable[Array]) -> Array:
    """Return the sum of arrays of one shape, added in order."""
    first, *rest = parts
    total = first
    for part in rest:
        total = total + part
    return total


def node_sum(values: Array) -> Array:
    """Return the sum over nodes of ``values`` (n, nodes): one node after the other."""
    return summed(values[:, node] for node in range(values.shape[1]))


def whole(array: Any) -> NDArray[np.int64]:
    """Return whole numbers held in floats as integers."""
    return values_of(array).astype(np.int64)
