"""What many candidates picked of the choices of axes, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cimsearch.blueprint import ENCODINGS, RANGE_POLICIES
from cimsearch.space.conditions import Conditions, Value
from cimsearch.space.steps import Width
from cimsearch.spec.optional_genes import ROW_SPARSITY
from cimsearch.units import millionths

Ints = NDArray[np.int64]

_WORDS = {"encoding": ENCODINGS, "range_policy": RANGE_POLICIES}
COLUMNS = {ROW_SPARSITY: "row_sparsity_ppm"}
"""The columns of a layer table that are called otherwise than the field of a node."""


@dataclass(frozen=True)
class Picks:
    """Choices of many candidates.

    Attributes:
        choices: What each axis may be, by name.
        picked: The index (n,) into them that each candidate picked; an axis without one has its
            first choice.
    """

    choices: Mapping[str, tuple[Value, ...]]
    picked: Mapping[str, Ints]

    def hold(self, conditions: Conditions) -> NDArray[np.bool_]:
        """Return where (n,) or () all of ``conditions`` hold."""
        held = np.array(True)
        for needed in conditions:
            allowed = [value not in needed.values for value in self.choices[needed.axis]]
            held = held & self.of(needed.axis, allowed)
        return held

    def codes(self, axis: str) -> Ints:
        """Return the numbers (n,) or () that the choices of ``axis`` are in a layer table."""
        kind = axis.rsplit(".", 1)[-1]
        if kind == ROW_SPARSITY:
            return self.of(axis, [millionths(float(share)) for share in self.choices[axis]])
        words = _WORDS.get(kind)
        return self.of(axis, [words.index(str(c)) if words else c for c in self.choices[axis]])

    def kept(self, width: Width) -> Ints:
        """Return the channels (n,) or () that stay."""
        table = _kept_table(width, tuple(self.choices[axis] for axis in width.axes))
        return np.asarray(table[tuple(self.picked.get(axis, 0) for axis in width.axes)])

    def of(self, axis: str, values: ArrayLike) -> NDArray[Any]:
        """Return (n,) or () those of ``values``, one a choice of ``axis``, that are picked."""
        return np.asarray(np.array(values)[self.picked.get(axis, 0)])


@lru_cache(maxsize=4096)
def _kept_table(width: Width, choices: tuple[tuple[Value, ...], ...]) -> Ints:
    """Return the channels that stay at each choice of the axes of ``width``."""
    picks = product(*choices)
    kept = [width.kept(dict(zip(width.axes, values, strict=True))) for values in picks]
    return np.array(kept, dtype=np.int64).reshape([len(values) for values in choices])
