"""The table of ``vgg9_small.py``: what its networks are, what is lost, and the goals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, variance

from goals import Row
from several import interval
from vgg9_networks import COLUMNS, FEWER_GOAL, Floating, array

import cimsearch
from cimsearch.cost.budget import ArrayBudget
from cimsearch.evaluate import Score
from cimsearch.space.fill import USAGE_GOAL
from cimsearch.space.widths import widths_of


@dataclass(frozen=True)
class Compared:
    """A network of the table.

    Attributes:
        name: What it is.
        floating: Trained in floating point.
        scores: Of each seed, of 4 bits, on test images.
    """

    name: str
    floating: Floating
    scores: tuple[Score, ...]

    @property
    def accuracies(self) -> list[float]:
        """The mean over chips, of each seed."""
        return [score.accuracy for score in self.scores]

    @property
    def accuracy(self) -> float:
        """The mean over seeds."""
        return fmean(self.accuracies)

    @property
    def error(self) -> float:
        """Its standard error: of the draw of test images, and of seeds if there are several."""
        own, seeds = self.accuracies, len(self.scores)
        images = self.accuracy * (1 - self.accuracy) / self.scores[0].images
        return sqrt(images + (variance(own) / seeds if seeds > 1 else 0.0))

    @property
    def told(self) -> str:
        """Its accuracy as text: with an interval over seeds, or with the standard error."""
        score = self.scores[0]
        low, mean, high = (100 * value for value in interval(self.accuracies))
        spread_of = f"{low:.1f} to {high:.1f}" if low < high else f"SE {100 * self.error:.1f}"
        return f"{mean:.1f} % ({spread_of}); {len(score.accuracy_per_chip)} chips"


def rows(
    table: Sequence[Compared], stages: Sequence[Floating], budget: ArrayBudget
) -> Iterator[Row]:
    """Yield every network, what is lost, and the goals.

    Args:
        table: The full network, the small one, and all others.
        stages: What the small one was, the last it itself.
        budget: What it may take.
    """
    full, found = table[:2]
    whole = full.floating.candidate.blueprint
    for number, stage in enumerate(stages, start=1):
        blueprint = stage.candidate.blueprint
        text = f"{100 * stage.validation:.1f} % of validation images, float; "
        text += f"{budget.units(blueprint):,} bitlines, widths "
        yield Row(f"stage {number}", text + ", ".join(map(str, widths_of(blueprint).values())))
    for each in table:
        yield from of_network(each, whole.weights)
    for other in (full, *table[2:]):
        more = found.accuracy - other.accuracy
        # Both have the same test images, so that what these draw is smaller than that.
        error = sqrt(found.error**2 + other.error**2)
        floats = found.floating.test - other.floating.test
        text = f"{100 * more:+.1f} points (SE <= {100 * error:.1f}{of_seeds(found, other)})"
        text += f"; float {100 * floats:+.1f}"
        yield Row(f"{found.name} against {other.name}, 4 bit", text)
    small = found.floating.candidate.blueprint
    fewer = 1 - small.weights / whole.weights
    goal = f">= {100 * FEWER_GOAL:g} %"
    yield Row("weights fewer", f"{100 * fewer:.2f} %", goal, fewer >= FEWER_GOAL)
    usage = budget.usage_frac(small)
    fits = budget.units(small) <= budget.limit
    text = f"{100 * usage:.1f} % of {budget.limit // COLUMNS} arrays"
    goal = f">= {100 * USAGE_GOAL:g} %"
    yield Row("cells of the budget in use", text, goal, fits and usage >= USAGE_GOAL)


def of_seeds(*compared: Compared) -> str:
    """Return what a standard error leaves out, as text."""
    return "" if all(len(each.scores) > 1 for each in compared) else ", of images alone"


def of_network(each: Compared, weights: int) -> Iterator[Row]:
    """Yield the rows of one network, beside the ``weights`` of the full one."""
    candidate = each.floating.candidate
    blueprint, hardware = candidate.blueprint, array()
    units = ArrayBudget(1, hardware).units(blueprint)
    arrays = -(-units // COLUMNS)
    usage = ArrayBudget(arrays * COLUMNS, hardware).usage_frac(blueprint)
    fewer = 1 - blueprint.weights / weights
    yield Row(
        f"{each.name}: size",
        f"{blueprint.weights:,} weights ({100 * fewer:.1f} % fewer), {units:,} bitlines in "
        f"{arrays} arrays, {100 * usage:.1f} % used",
    )
    cost = cimsearch.estimate(candidate, hardware)
    text = f"{cost.energy_pj / 1e6:.1f} uJ, {cost.latency_ns / 1e6:.2f} ms an image"
    yield Row(f"{each.name}: cost, modelled", text)
    floating = each.floating
    text = f"{100 * floating.test:.1f} % after {floating.epochs} epochs"
    yield Row(f"{each.name}: float, all test images", text)
    yield Row(f"{each.name}: 4 bit, L2, {each.scores[0].images} of them", each.told)
