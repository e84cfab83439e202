"""Predicted against measured energy of chips that the fit has not seen, a panel a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from cimsearch.cost.silicon import Band, Prediction
from cimsearch.figures.html import write_page
from cimsearch.figures.scale import TIMES, plain
from cimsearch.figures.style import BLUE, GREEN, GREY, LEGEND, ORANGE, VERMILLION, figure

_MARKS = ((BLUE, "circle"), (VERMILLION, "diamond"), (GREEN, "square"), (ORANGE, "triangle-up"))
_LINES = (("equal", 1.0, "solid"), ("a factor of 2 apart", 2.0, "dot"), ("", 0.5, "dot"))
_GAP = 0.12


@dataclass(frozen=True)
class ParityPanel:
    """What one model says of chips.

    Attributes:
        title: The model's name.
        how: How a prediction came about, for the axis.
        predictions: Rows that were not measured are left out.
        bands: Of the model, by technology.
    """

    title: str
    how: str
    predictions: tuple[Prediction, ...]
    bands: tuple[Band, ...]


def parity_figure(panels: Sequence[ParityPanel]) -> go.Figure:
    """Return the plot: one point a row, fJ per MAC, with lines at equality and at a factor 2.

    Both axes of all panels have the same range and equal decades. A panel says the band of each
    technology that it shows.
    """
    shown = [_measured(panel) for panel in panels]
    every = [one for rows in shown for one in rows]
    values = [v for one in every for v in (_truth(one), one.predicted_fj)]
    ends = (min(values, default=1.0) / 2, max(values, default=1.0) * 2)
    names = tuple(dict.fromkeys(one.chip.technology for one in every))
    traces: list[Any] = []
    layout: dict[str, Any] = {"annotations": []}
    for index, (panel, rows) in enumerate(zip(panels, shown, strict=True)):
        axis = str(index + 1) if index else ""
        on = {"xaxis": f"x{axis}", "yaxis": f"y{axis}", "showlegend": not index}
        traces += [*_lines(ends, on), *_points(names, rows, on)]
        layout |= _axes(panel, ends, axis, _domain(index, len(panels)))
        layout["annotations"] += _texts(panel, names, axis)
    return figure(
        traces,
        height=680,
        title={"text": "Energy of published chips: predicted beside measured", "x": 0.5},
        legend=LEGEND | {"y": -0.12, "yanchor": "top"},
        margin={"l": 64, "r": 16, "t": 90, "b": 90},
        **layout,
    )


def write_parity(panels: Sequence[ParityPanel], path: Path) -> None:
    """Write the plot as one HTML file that opens without a network, whole or not at all.

    Raises:
        OSError: The file cannot be written there.
    """
    write_page(parity_figure(panels).to_html(include_plotlyjs=True), path)


def _lines(ends: tuple[float, float], on: dict[str, Any]) -> Iterator[Any]:
    for name, factor, dash in _LINES:
        yield go.Scatter(
            x=ends,
            y=[end * factor for end in ends],
            mode="lines",
            line={"color": GREY, "width": 1, "dash": dash},
            hoverinfo="skip",
            name=name,
            legendgroup=dash,
            **on | {"showlegend": on["showlegend"] and bool(name)},
        )


def _points(names: Sequence[str], rows: Sequence[Prediction], on: dict[str, Any]) -> Iterator[Any]:
    for index, name in enumerate(names):
        colour, symbol = _MARKS[index % len(_MARKS)]
        own = [one for one in rows if one.chip.technology == name]
        yield go.Scatter(
            x=[_truth(one) for one in own],
            y=[one.predicted_fj for one in own],
            mode="markers",
            marker={"symbol": symbol, "size": 9, "color": colour, "opacity": 0.8},
            text=[plain(f"{one.chip.id} ({one.chip.chip})") for one in own],
            hovertemplate="%{text}<br>measured %{x:.3g}<br>predicted %{y:.3g} fJ/MAC",
            name=name,
            legendgroup=name,
            **on,
        )


def _domain(index: int, count: int) -> tuple[float, float]:
    width = (1 - _GAP * (count - 1)) / count
    start = index * (width + _GAP)
    return start, start + width


def _axes(
    panel: ParityPanel, ends: tuple[float, float], axis: str, domain: tuple[float, float]
) -> dict[str, Any]:
    """Return the layout of the axes of a panel: a decade is as long on both."""
    low, high = map(log10, ends)
    decades = [10.0**power for power in range(floor(low), ceil(high) + 1)]
    shared = {
        "type": "log",
        "range": [low, high],
        "tickvals": decades,
        "ticktext": [f"{decade:,g}" for decade in decades],
        "constrain": "domain",
    }
    across = {"title": {"text": "measured energy [fJ/MAC]"}, "anchor": f"y{axis}"}
    up = {"title": {"text": f"{panel.how} [fJ/MAC]"}, "anchor": f"x{axis}"}
    return {
        f"xaxis{axis}": shared | across | {"domain": domain},
        f"yaxis{axis}": shared | up | {"scaleanchor": f"x{axis}"},
    }


def _texts(panel: ParityPanel, names: Sequence[str], axis: str) -> list[dict[str, Any]]:
    """Return the title of a panel, and the bands within it."""
    place = {"xref": f"x{axis} domain", "yref": f"y{axis} domain", "showarrow": False}
    title = {"text": panel.title, "x": 0.5, "y": 1.0, "yanchor": "bottom", "font": {"size": 14}}
    factors = {band.technology: band.factor for band in panel.bands}
    lines = [f"{n}: {TIMES} or ÷ {factors[n]:.1f}" for n in names if n in factors]
    bands = {
        "text": "<br>".join(["80 % band of a chip", *map(plain, lines)]),
        "x": 0.98,
        "y": 0.02,
        "xanchor": "right",
        "yanchor": "bottom",
        "align": "right",
    }
    return [place | title, *([place | bands] if lines else [])]


def _measured(panel: ParityPanel) -> list[Prediction]:
    return [one for one in panel.predictions if one.chip.measured_fj is not None]


def _truth(one: Prediction) -> float:
    return one.chip.measured_fj or 0.0
