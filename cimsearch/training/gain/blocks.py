"""How many channels go at once: those with which the priced cost falls a step of its staircase."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from cimsearch.training.gain.channels import Channels
from cimsearch.training.gain.prices import Floats
from cimsearch.training.gain.target import Target

STEP = 1.05
"""A saving this much above the smallest is a step of the staircase."""

_LEAST = 1e-9


def drops(costs: Sequence[float] | Floats) -> list[int]:
    """Return where a cost falls a step, as places in ``costs``.

    Cost falls a little with every channel (buffers, activations) and by a step where an array, a
    row group or a converter's sweep is saved: where the saving of one more exceeds the smallest
    one.

    Args:
        costs: With 0, 1, 2, ... removed.
    """
    savings = [float(before) - float(after) for before, after in pairwise(costs)]
    if not savings:
        return []
    level = max(min(savings), 0.0) * STEP + _LEAST * abs(float(costs[0]))
    return [place for place, saving in enumerate(savings, start=1) if saving > level]


def block_sizes(costs: Sequence[float] | Floats) -> list[int]:
    """Return the places in ``costs`` to consider: 1, and every drop."""
    return sorted({1, *drops(costs)}) if len(costs) > 1 else []


def reach(now: Channels, target: Target) -> dict[str, int]:
    """Return how many channels of each group may go in all, by ``least_channels``."""
    return {
        group: _whole(width - max(target.least_channels, now.parts[group]), now.parts[group])
        for group, width in now.widths.items()
    }


def room(now: Channels, begun: Mapping[str, int], target: Target) -> dict[str, int]:
    """Return how many channels of each group may still go in a round, by ``most_frac``.

    Args:
        now: What is there.
        begun: Channels at the beginning of the round, by group.
        target: Says what share of them may go.
    """
    left = {}
    for group, width in now.widths.items():
        part = now.parts[group]
        # Narrow groups would never lose a channel to a share of them.
        cap = max(int(target.most_frac * begun[group]), part)
        left[group] = _whole(cap - (begun[group] - width), part)
    return left


def _whole(count: int, part: int) -> int:
    return max(0, count // part * part)
