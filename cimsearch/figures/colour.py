"""A quantity shown as colour: points get the colour itself, and a bar beside the plot explains it.

The colours are computed here, not by plotly, because a legend cannot show a number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

from plotly.colors import sample_colorscale

from cimsearch.figures.scale import Scale, round_ticks

# Viridis without its ends, which vanish on a black or a white page.
SEQUENTIAL = ["#5c50a8", "#38809f", "#1fa187", "#6ccd5a", "#d8e219"]


@dataclass(frozen=True, slots=True)
class ColourBar:
    """The colours of one quantity over a range of shown numbers, logarithmic for a cost."""

    scale: Scale
    low: float
    high: float

    @classmethod
    def over(cls, scale: Scale, values: Sequence[float]) -> "ColourBar":
        """Return the bar that covers ``values``, which are in the unit of the scale's name."""
        shown = scale.of(values)
        return cls(scale, min(shown), max(shown))

    def _place(self, number: float) -> float:
        return log10(number) if self.scale.is_cost else number

    def colours(self, values: Sequence[float]) -> list[str]:
        """Return one colour a value."""
        start, end = self._place(self.low), self._place(self.high)
        width = (end - start) or 1.0
        places = [(self._place(number) - start) / width for number in self.scale.of(values)]
        inside = [min(max(place, 0.0), 1.0) for place in places]
        return [str(colour) for colour in sample_colorscale(SEQUENTIAL, inside)]

    def marker(self) -> dict[str, Any]:
        """Return the marker of a trace without points that makes plotly draw the bar."""
        ticks = round_ticks(self.low, self.high) if self.scale.is_cost else []
        ends = [self._place(self.low), self._place(self.high)]
        return {
            "color": ends,
            "cmin": ends[0],
            "cmax": ends[1],
            "colorscale": SEQUENTIAL,
            "showscale": True,
            "colorbar": {
                "title": {"text": self.scale.axis_title, "side": "bottom", "font": {"size": 13}},
                "orientation": "h",
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
                "x": 0.5,
                "len": 0.7,
                "thickness": 12,
                "outlinewidth": 0,
                "ticks": "outside",
                "tickvals": [self._place(tick) for tick in ticks] or None,
                "ticktext": [f"{tick:.4g}" for tick in ticks],
            },
        }
