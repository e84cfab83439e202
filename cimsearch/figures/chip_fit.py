"""Chips beside the noise that was fitted to them: one page, two panels a table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from cimsearch.cost.chip import ChipFit, Point, TableFit
from cimsearch.figures.html import Html, join, table, tag, write_page
from cimsearch.figures.scale import plain
from cimsearch.figures.style import BLUE, GREEN, LEGEND, ORANGE, PURPLE, SKY, VERMILLION, figure
from cimsearch.figures.tables import Table

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
_GAP = 0.1
_KEY = (
    "Marks are what was measured, lines are the model, a band is one standard deviation of the "
    "model around its mean."
)
_STYLE = """
body { font-family: system-ui, sans-serif; margin: 24px auto; max-width: 1100px; color: #1c2128; }
table { border-collapse: collapse; margin: 8px 0; } caption { text-align: left; padding: 4px 0; }
th, td { padding: 3px 12px; border-bottom: 1px solid #e3e7ec; text-align: right; }
th.words, td.words, th[scope=row] { text-align: left; } h2 { margin: 32px 0 4px; }
"""


def fit_figure(fit: TableFit) -> go.Figure:
    """Return mean and standard deviation of one table: marks are measured, lines the model.

    The band is one standard deviation of the model around its mean.
    """
    series = list(dict.fromkeys(point.series for point in fit.points))
    traces: list[Any] = []
    for index, name in enumerate(series):
        points = sorted((p for p in fit.points if p.series == name), key=lambda p: p.at)
        traces += _traces(points, index, alone=len(series) == 1)
    half = (1 - _GAP) / 2
    across = {"title": {"text": plain(fit.at)}}
    return figure(
        traces,
        height=440,
        hovermode="closest",
        legend=LEGEND | {"y": 1.05},
        margin={"l": 64, "r": 16, "t": 70, "b": 56},
        xaxis=across | {"domain": (0.0, half), "anchor": "y"},
        yaxis={"title": {"text": f"mean, {plain(fit.value)}"}, "anchor": "x"},
        xaxis2=across | {"domain": (half + _GAP, 1.0), "anchor": "y2"},
        yaxis2={
            "title": {"text": "standard deviation, same unit"},
            "anchor": "x2",
            "rangemode": "tozero",
        },
    )


def write_chip_fit(chip: ChipFit, path: Path, *, title: str) -> None:
    """Write the figures and the cross-validation as one page that opens without a network.

    Raises:
        OSError: The file cannot be written there.
    """
    body = join(
        part for index, fit in enumerate(chip.tables) for part in _section(fit, first=not index)
    )
    head = tag(
        "head", tag("meta", charset="utf-8"), tag("title", title), tag("style", Html(_STYLE))
    )
    page = tag("html", head, tag("body", tag("h1", title), tag("p", _KEY), body), lang="en")
    write_page(f"<!doctype html>{page}", path)


def _section(fit: TableFit, *, first: bool) -> Iterator[Html]:
    yield tag("h2", f"{', '.join(file.path.name for file in fit.files)}: {fit.kind}")
    drawn = fit_figure(fit).to_html(full_html=False, include_plotlyjs=first)
    yield Html(drawn)
    if fit.chips:
        yield table(_checks(fit))
    yield tag("ul", *(tag("li", note) for note in fit.notes))


def _checks(fit: TableFit) -> Table:
    return Table(
        "Cross-validation: each chip by a fit to the others",
        ("chip", "rms measured", "rms model", "ratio", "by chance up to", "verdict"),
        tuple(
            (
                check.chip,
                f"{check.measured_rms:.3g}",
                f"{check.model_rms:.3g}",
                f"{check.ratio:.2f}",
                f"{check.limit:.2f}",
                check.verdict,
            )
            for check in fit.chips
        ),
        words=("verdict",),
    )


def _traces(points: Sequence[Point], index: int, *, alone: bool) -> Iterator[Any]:
    """Return the band, the lines and the marks of one series in both panels."""
    colour = _COLOURS[index % len(_COLOURS)]
    symbol = _SYMBOLS[index // len(_COLOURS) % len(_SYMBOLS)]
    at = [point.at for point in points]
    low = [point.model_mean - point.model_sigma for point in points]
    high = [point.model_mean + point.model_sigma for point in points]
    name = "measured" if alone else plain(points[0].series)
    group = {"legendgroup": f"series {index}"}
    yield go.Scatter(
        x=[*at, *reversed(at)],
        y=[*low, *reversed(high)],
        fill="toself",
        mode="none",
        fillcolor=colour,
        opacity=0.15,
        hoverinfo="skip",
        showlegend=False,
        **group,
    )
    means = ([point.mean for point in points], [point.model_mean for point in points])
    sigmas = ([point.sigma for point in points], [point.model_sigma for point in points])
    for suffix, (measured, modelled) in (("", means), ("2", sigmas)):
        on = group | {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "showlegend": not suffix}
        line = {"color": colour, "width": 2}
        model = on | {"showlegend": alone and not suffix}
        yield go.Scatter(x=at, y=modelled, mode="lines", line=line, name="model", **model)
        yield go.Scatter(
            x=at,
            y=measured,
            mode="markers",
            marker={"symbol": symbol, "size": 8, "color": colour},
            name=name,
            hovertext=[f"{point.count} values" for point in points],
            **on,
        )
