"""The part of search quality on long studies: rows of what proposals take, and of memory."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from goals import Row, at_most
from search_runs import OURS
from search_scale import grown
from several import spread

TRIALS, WINDOW = 10_000, 100
STARTS = (100, 400, 900, TRIALS - WINDOW)
SCREENED = 400
"""From here on ``auto`` screens no more: it has 300 results, and the last 8 are hidden."""
GOAL_MS, GOAL_GROWTH, GOAL_GB = 5.0, 1.5, 1.0


def scale_rows(processes: int) -> Iterator[Row]:
    """Return the rows of all algorithms of ours."""
    for name, growth in spread(partial(grown, trials=TRIALS), OURS, processes, fresh=True).items():
        windows = {start: 1e3 * growth.spent_s[start : start + WINDOW] for start in STARTS}
        for start, spent_ms in windows.items():
            what = f"{name}: proposal {start:,} to {start + WINDOW:,}, mean"
            note = f"95 % within {np.percentile(spent_ms, 95):.1f}"
            mean = float(spent_ms.mean())
            if name == "auto" and start < SCREENED:
                yield Row(f"{what}, screened", f"{mean:.2f} ms ({note})")
            else:
                yield at_most(what, mean, GOAL_MS, "ms", note)
        few, many = (float(windows[start].mean()) for start in STARTS[-2:])
        yield at_most(f"{name}: growth from 1,000 to {TRIALS:,}", many / few, GOAL_GROWTH, "x")
        yield at_most(f"{name}: memory", growth.memory_bytes / 1e9, GOAL_GB, "GB")
