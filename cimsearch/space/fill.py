"""Filling a budget of arrays: the widest network that fits, then granules until nothing more does.

The price of channels is a staircase: a layer needs another row of tiles with each ``rows // k**2``
input channels. So a uniformly scaled network leaves much of a budget, and of the cells in it, to
nobody. Widths on the grid of the array, filled up one by one, do not. Most weights is not most
accuracy: of several full networks training has to choose.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import Blueprint
from cimsearch.errors import SpaceError, UsageError
from cimsearch.space.growth import Budget, Growth, growth_of
from cimsearch.space.shapes import Ints, Shapes, shapes_of

USAGE_GOAL = 0.9
"""The share of a budget's cells that a filled network should use."""

_MOST_RATIO = 1e6
_RATIO_STEP = 1e-9


@dataclass(frozen=True, slots=True)
class Grid:
    """The widths allowed: multiples of ``step`` from ``least`` on.

    Where a convolution of several groups cuts the channels, also multiples of what that needs.

    Raises:
        UsageError: One is not positive.
    """

    step: int = 1
    least: int = 1

    def __post_init__(self) -> None:
        if min(self.step, self.least) < 1:
            found = f"found steps of {self.step} from {self.least} on"
            raise UsageError(f"grid: {found}; allowed are 1 or more")


@dataclass(frozen=True)
class Filled:
    """A network made for a budget.

    Attributes:
        blueprint: The network.
        ratio: What all widths were multiplied by before they were rounded and filled up; near 0
            where the least widths alone fit.
        units: Units of the budget that it takes.
        usage_frac: Its cells in use as a share of those of the whole budget.
    """

    blueprint: Blueprint
    ratio: float
    units: int
    usage_frac: float


def scaled(blueprint: Blueprint, budget: Budget, grid: Grid = Grid()) -> Filled:
    """Return the network with the largest common ratio of its widths that fits, not filled up.

    Widths are rounded half up to the grid.

    Raises:
        SpaceError: Not even the least widths fit, or nothing of the network is on arrays.
        HardwareError: A node asks what the macro cannot do.
    """
    filling = _filling(blueprint, budget, grid, None)
    ratio, widths = filling.largest_ratio()
    return filling.result(ratio, widths)


def expand(
    blueprint: Blueprint,
    budget: Budget,
    grid: Grid = Grid(),
    importance: Mapping[str, float] | None = None,
) -> Filled:
    """Return the network with other widths that fills a budget.

    First the largest common ratio whose rounded widths fit. Then, again and again, one granule
    more of the group with the best gain for each unit that it takes, until nothing fits. If less
    than ``USAGE_GOAL`` of the cells are then in use, granules are exchanged: one less of a group,
    one more of another, the rest filled again, as long as that uses more cells.

    Args:
        blueprint: Whose widths are scaled; with the bits that it is priced at.
        budget: What it may take.
        grid: Widths allowed.
        importance: Mean importance of a channel by prune group: what a granule gains. Left out,
            it gains the cells that it adds.

    Raises:
        SpaceError: Not even the least widths fit, nothing of the network is on arrays, or a group
            has no importance.
        HardwareError: A node asks what the macro cannot do.
    """
    filling = _filling(blueprint, budget, grid, importance)
    ratio, widths = filling.largest_ratio()
    (filled,), (cells,) = filling.filled(widths[None])
    return filling.result(ratio, filling.exchanged(filled, int(cells)))


@dataclass(frozen=True)
class _Filling:
    """A network that is fitted into a budget.

    Attributes:
        shapes: Its layers by widths.
        budget: What they may take.
        growth: What granules take of it.
        steps: Granule of each group, (groups,).
        least: Least width of each group, (groups,).
        worth: Importance of a granule of each group (groups,), or None: its cells.
    """

    shapes: Shapes
    budget: Budget
    growth: Growth
    steps: Ints
    least: Ints
    worth: NDArray[np.float64] | None

    def measure(self, widths: Ints) -> tuple[Ints, Ints]:
        """Return units and cells (n,) of the networks with ``widths`` (n, groups)."""
        return self.budget.measure(self.shapes.table(widths))

    def fits(self, widths: Ints) -> bool:
        """Return whether the network with ``widths`` (groups,) fits."""
        units, _ = self.measure(widths[None])
        return bool(units[0] <= self.budget.limit)

    def rounded(self, ratio: float) -> Ints:
        """Return the widths (groups,) times ``ratio``, rounded half up to the grid."""
        granules = np.floor(self.shapes.widths * ratio / self.steps + 0.5).astype(np.int64)
        widths: Ints = np.maximum(granules * self.steps, self.least)
        return widths

    def largest_ratio(self) -> tuple[float, Ints]:
        """Return the largest ratio that fits, and its widths; units never fall with a width."""
        if not self.shapes.groups:
            raise _no_widths()
        low, high = 0.0, 1.0
        while self.fits(self.rounded(high)):
            low, high = high, 2 * high
            if high > _MOST_RATIO:
                raise _no_widths()
        if not low and not self.fits(self.least):
            units, _ = self.measure(self.least[None])
            raise SpaceError(
                f"budget: found {self.budget}; the network takes {units[0]} at its least widths "
                f"({', '.join(map(str, self.least))})",
                "allow more, or a smaller least width",
            )
        while high - low > _RATIO_STEP * high:
            middle = (low + high) / 2
            low, high = (middle, high) if self.fits(self.rounded(middle)) else (low, middle)
        return low, self.rounded(low)

    def filled(self, widths: Ints) -> tuple[Ints, Ints]:
        """Return the widths (n, groups) of networks with granules added until none fits.

        Also their cells (n,).
        """
        widths = widths.copy()
        units, cells = self.growth.totals(widths)
        unfilled = np.arange(len(widths))
        while len(unfilled):
            extra, gains = self.growth.added(widths[unfilled])
            # A group that is never on arrays would take granules for ever.
            allowed = (units[unfilled, None] + extra <= self.budget.limit) & (gains > 0)
            grows = allowed.any(axis=1)
            unfilled, extra, gains = unfilled[grows], extra[grows], gains[grows]
            chosen = np.arange(len(unfilled)), self._best(extra, gains, allowed[grows])
            widths[unfilled, chosen[1]] += self.steps[chosen[1]]
            units[unfilled] += extra[chosen]
            cells[unfilled] += gains[chosen]
        return widths, cells

    def _best(self, extra: Ints, gains: Ints, allowed: NDArray[np.bool_]) -> Ints:
        """Return the group (n,) that the next granule of each network goes to."""
        worth = np.broadcast_to(gains if self.worth is None else self.worth, gains.shape)
        # What takes no unit goes first; of equals what is worth most, then the first group.
        score = np.where(extra > 0, worth / np.maximum(extra, 1), np.inf)
        score = np.where(allowed, score, -np.inf)
        equals = score == score.max(axis=1, keepdims=True)
        best: Ints = np.where(equals, worth, -np.inf).argmax(axis=1)
        return best

    def exchanged(self, widths: Ints, cells: int) -> Ints:
        """Return ``widths`` (groups,) with granules exchanged while that uses more cells."""
        while cells < USAGE_GOAL * self.budget.cells:
            moved = self._exchanges(widths)
            if not len(moved):
                break
            filled, used = self.filled(moved)
            if used.max() <= cells:
                break
            cells, widths = int(used.max()), filled[used.argmax()]
        return widths

    def _exchanges(self, widths: Ints) -> Ints:
        """Return the widths (n, groups) after each exchange of a granule that fits."""
        more = np.diag(self.steps)
        less, group = np.nonzero(~np.eye(len(widths), dtype=bool))
        possible = (widths - self.steps >= self.least)[less]
        moved: Ints = widths - more[less[possible]] + more[group[possible]]
        if not len(moved):
            return moved
        units, _ = self.growth.totals(moved)
        return moved[units <= self.budget.limit]

    def result(self, ratio: float, widths: Ints) -> Filled:
        """Return the network with ``widths`` (groups,)."""
        units, cells = self.measure(widths[None])
        usage_frac = int(cells[0]) / self.budget.cells
        return Filled(self.shapes.network(widths), ratio, int(units[0]), usage_frac)


def _no_widths() -> SpaceError:
    return SpaceError(
        "budget: found a network without prune groups on arrays; allowed is one whose widths take "
        "arrays",
        "give its layers the placement cim",
    )


def _filling(
    blueprint: Blueprint, budget: Budget, grid: Grid, importance: Mapping[str, float] | None
) -> _Filling:
    shapes = shapes_of(blueprint)
    steps = np.lcm(shapes.multiples, grid.step)
    worth = None
    if importance is not None:
        if missing := [group for group in shapes.groups if group not in importance]:
            raise SpaceError(f"importance: missing of {', '.join(missing)}")
        worth = np.array([importance[group] for group in shapes.groups]) * steps
    least = -(-grid.least // steps) * steps
    return _Filling(shapes, budget, growth_of(shapes, budget, steps), steps, least, worth)
