"""Products of small whole numbers: the fastest type that is exact, as timed on this machine."""

from functools import lru_cache
from time import perf_counter

import torch
from torch import Tensor

# Whole numbers up to these are exact: bfloat16 has 8 bits of mantissa, float32 has 24.
BFLOAT16_EXACT = 2**8
FLOAT32_EXACT = 2**24
INT8_EXACT = 2**7 - 1


def product(planes: Tensor, matrix: Tensor) -> Tensor:
    """Return (m, k) times (k, n) of one type: int32 for int8, else of that type."""
    if matrix.dtype == torch.int8:
        return torch._int_mm(planes, matrix)
    return planes @ matrix


def exact_types(largest_sum: float, largest_value: float) -> tuple[torch.dtype, ...]:
    """Return the types in which products are exact.

    Args:
        largest_sum: Bound on the magnitude of sums: of a column times the largest input.
        largest_value: Largest magnitude of inputs and of weights.
    """
    types = []
    if largest_value <= INT8_EXACT:
        types.append(torch.int8)
    if largest_sum <= BFLOAT16_EXACT:
        types.append(torch.bfloat16)
    types.append(torch.float32 if largest_sum <= FLOAT32_EXACT else torch.float64)
    return tuple(types)


def fastest(types: tuple[torch.dtype, ...]) -> torch.dtype:
    """Return the fastest of some types on this machine."""
    return min(types, key=_seconds)


@lru_cache(maxsize=8)
def _seconds(dtype: torch.dtype) -> float:
    """Return the time of a product of 512 x 256 with 256 x 256: the best of three."""
    planes, matrix = torch.ones(512, 256, dtype=dtype), torch.ones(256, 256, dtype=dtype)
    best = float("inf")
    for _ in range(4):
        start = perf_counter()
        product(planes, matrix)
        best = min(best, perf_counter() - start)
    return best
