"""One scale a column or axis, so that its numbers can be compared by eye, and text for figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from statistics import median
from typing import Any

from cimsearch.units import unit_of

# Characters of print that look like others in code.
DASH, MINUS, TIMES = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
NO_BREAK, ARROW = "\N{NO-BREAK SPACE}", "\N{RIGHTWARDS ARROW}"

PERCENT = 0.01
_PER_INFERENCE = ("energy", "latency")


@dataclass(frozen=True, slots=True)
class Scale:
    """How the values of one quantity are shown.

    Attributes:
        name: Of the quantity, with its unit in it.
        factor: One shown unit in units of the name; a shown number is ``value / factor``.
        unit: Of the shown numbers.
        decimals: Of a number in a table.
    """

    name: str
    factor: float
    unit: str
    decimals: int

    @property
    def is_cost(self) -> bool:
        """Whether it is energy, latency or area, which are above 0 and span decades."""
        return self.factor != PERCENT

    @property
    def quantity(self) -> str:
        """The quantity in words: ``energy_pj`` gives ``energy``."""
        stem = self.name.rsplit("_", 1)[0] if unit_of(self.name).label else self.name
        return stem.replace("_", " ")

    @property
    def title(self) -> str:
        """The quantity and its unit, for an axis or a column."""
        return f"{self.quantity} [{self.unit}]" if self.unit else self.quantity

    @property
    def axis_title(self) -> str:
        """The title in full, for an axis that stands alone."""
        if self.quantity in _PER_INFERENCE:
            return f"{self.quantity} per inference [{self.unit}]"
        return f"validation {self.title}" if self.name == "accuracy" else self.title

    def of(self, values: Iterable[float]) -> list[float]:
        """Return the values as shown numbers."""
        return [value / self.factor for value in values]

    def number(self, value: float) -> str:
        """Return one value as text without its unit."""
        return f"{value / self.factor:,.{self.decimals}f}"


def scale_for(name: str, values: Sequence[float]) -> Scale:
    """Return the scale that shows ``values`` with few digits; accuracies are in percent."""
    if name == "accuracy" or name.endswith("_accuracy"):
        return Scale(name, PERCENT, "%", 1)
    typical = median([abs(value) for value in values] or [0.0])
    unit = unit_of(name)
    factor, text = 1.0, unit.label
    for step, step_label in unit.steps:
        if typical >= step:
            factor, text = step, step_label
    shown = typical / factor
    digits = max(0, 2 - floor(log10(shown))) if shown else 0
    return Scale(name, factor, text, digits)


def round_ticks(low: float, high: float) -> list[float]:
    """Return the values 1, 2, 5 x 10^k within ``low`` to ``high`` (both positive).

    Where the range holds fewer than two of those they are its ends.
    """
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    ticks = [m * 10.0**k for k in decades for m in (1, 2, 5)]
    within = [tick for tick in ticks if low <= tick <= high]
    return within if len(within) > 1 else [low, high]


def cost_axis(scale: Scale, values: Sequence[float], *, title: str = "") -> dict[str, Any]:
    """Return the layout of an axis of a cost: logarithmic where the values span much."""
    layout: dict[str, Any] = {"title": {"text": title or scale.axis_title}}
    shown = [number for number in scale.of(values) if number > 0]
    if not shown or max(shown) < 4 * min(shown):
        return layout
    ticks = round_ticks(min(shown) / 10, max(shown) * 10)
    labels = [f"{tick:,g}" for tick in ticks]
    return layout | {"type": "log", "tickvals": ticks, "ticktext": labels}


def plain(text: object) -> str:
    """Return text for a plotly label, which would read tags and entities in it."""
    return escape(str(text), quote=False)


def sequence(values: Sequence[float]) -> str:
    """Return layer-by-layer numbers as short text: each one, or their range if they are many."""
    if not values:
        return DASH
    if len(values) <= 12:
        return "·".join(f"{value:.3g}" for value in values)
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return f"{low if low == high else f'{low} to {high}'} in {len(values)} layers"
