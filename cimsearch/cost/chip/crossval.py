"""Cross-validation by chip: what a fit to the other chips says of each."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.chip.tables import Flags


def without_each(chips: NDArray[np.str_]) -> Iterator[tuple[str, Flags]]:
    """Yield each chip and which rows are of others; nothing if there is one chip alone."""
    names = np.unique(chips)
    for name in names if len(names) > 1 else ():
        yield str(name), chips != name
