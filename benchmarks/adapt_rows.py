"""The table of ``cifar10_adapt.py``: what each network is on test images, and the goals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean

from goals import Row
from several import interval

SAVED_AGAINST_8_BIT = 0.75
SAVED_AGAINST_4_BIT = 0.3
LOST_AGAINST_8_BIT = 0.01


@dataclass(frozen=True)
class Result:
    """What a rival is on test images: the mean over chips at each seed (0..1), and its energy."""

    name: str
    accuracies: tuple[float, ...]
    energy_pj: float
    images: int

    @property
    def accuracy(self) -> float:
        """The mean over seeds."""
        return fmean(self.accuracies)

    @property
    def images_error(self) -> float:
        """The standard error of ``accuracy`` that is of the draw of test images (0..1).

        That of training is left out: a baseline whose seeds differ more is no easier to reach.
        """
        return sqrt(self.accuracy * (1 - self.accuracy) / self.images)


def rows(results: Sequence[Result]) -> Iterator[Row]:
    """Yield every network, and the goals.

    Args:
        results: Of what was found, the uniform network of 8 bit, that of 4 bit, and all others;
            of equal seeds, in their order.
    """
    found, eight, four = results[:3]
    for each in results:
        low, mean, high = (100 * value for value in interval(each.accuracies))
        text = f"{mean:.1f} % ({low:.1f} to {high:.1f}), {each.energy_pj / 1e6:.1f} uJ"
        yield Row(each.name, text)
    for other in results[1:]:
        pairs = zip(found.accuracies, other.accuracies, strict=True)
        low, mean, high = (100 * value for value in interval([a - b for a, b in pairs]))
        text = f"{mean:+.1f} points ({low:+.1f} to {high:+.1f})"
        yield Row(f"found against {other.name}", text)
    yield _lost("lost against 8 bit", found, eight, LOST_AGAINST_8_BIT)
    yield _saved("energy saved against 8 bit", found, eight, SAVED_AGAINST_8_BIT)
    yield _lost("lost against 4 bit", found, four, four.images_error, " (1 SE)")
    yield _saved("energy saved against 4 bit", found, four, SAVED_AGAINST_4_BIT)


def _lost(name: str, found: Result, other: Result, most: float, what: str = "") -> Row:
    lost = other.accuracy - found.accuracy
    goal = f"<= {100 * most:.2f} points{what}"
    return Row(name, f"{100 * lost:.2f} points", goal, lost <= most)


def _saved(name: str, found: Result, other: Result, goal: float) -> Row:
    part = 1 - found.energy_pj / other.energy_pj
    return Row(name, f"{100 * part:.1f} %", f">= {100 * goal:g} %", part >= goal)
