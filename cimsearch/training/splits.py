"""Stratified splits that depend on nothing but the labels, a share and a name."""

import numpy as np
from numpy.typing import NDArray

from cimsearch.seeds import Key, stream

Indices = NDArray[np.int64]


def stratified(y: NDArray[np.int64], frac: float, *key: Key) -> tuple[Indices, Indices]:
    """Split indices so that each class gives the same share.

    Of a class with n members, ``frac * n`` rounded to the nearest are set aside, but at least one
    and not all; a class with a single member keeps it.

    Args:
        y: Labels, (n,).
        frac: Share to set aside, between 0 and 1.
        key: Names the random stream; each class draws from its own.

    Returns:
        The indices kept and the indices set aside, both ascending, together 0..n-1.
    """
    aside = np.zeros(len(y), dtype=np.bool_)
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        count = min(max(int(frac * len(members) + 0.5), 1), len(members) - 1)
        aside[stream(*key, int(label)).permutation(members)[:count]] = True
    return np.flatnonzero(~aside), np.flatnonzero(aside)
