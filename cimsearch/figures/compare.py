"""Macros side by side: efficiency over compute density, native and 1-bit-normalised apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from cimsearch.cost.compare import Comparison
from cimsearch.figures.html import write_page
from cimsearch.figures.scale import TIMES, plain, round_ticks
from cimsearch.figures.style import BLUE, GREEN, LEGEND, ORANGE, PURPLE, SKY, VERMILLION, figure

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
# A model that is right is a ring around the dot that was measured: neither covers the other.
_SIZES = {"measured": 8, "model": 15}
_GAP = 0.09


@dataclass(frozen=True, slots=True)
class _Panel:
    """One panel: the suffix of its axes, its title, and whether it is 1-bit-normalised."""

    axis: str
    title: str
    normalised: bool
    domain: tuple[float, float]


_PANELS = (
    _Panel("", "native, at each point's own precision", False, (0.0, 0.5 - _GAP / 2)),
    _Panel(
        "2",
        f"1-bit-normalised ({TIMES} weight bits {TIMES} activation bits)",
        True,
        (0.5 + _GAP / 2, 1.0),
    ),
)


def drawn(rows: Sequence[Comparison]) -> list[Comparison]:
    """Return the rows that have a place in the figure: those with a compute density."""
    return [
        row for row in rows if row.tops_per_mm2_native_measured or row.tops_per_mm2_native_model
    ]


def compare_figure(rows: Sequence[Comparison]) -> go.Figure:
    """Return TOPS/W over TOPS/mm2: filled marks are measured, larger open ones the model.

    A line joins a measured point and its model. Both axes of both panels are logarithmic.
    """
    names = tuple(dict.fromkeys(row.name for row in drawn(rows)))
    traces = [
        trace
        for panel in _PANELS
        for index, name in enumerate(names)
        for trace in _traces(panel, [row for row in drawn(rows) if row.name == name], index)
    ]
    layout: dict[str, Any] = {}
    for panel in _PANELS:
        layout |= _axes(panel, rows)
    return figure(
        traces,
        height=560,
        hovermode="closest",
        legend=LEGEND | {"y": 1.1},
        margin={"l": 64, "r": 16, "t": 100, "b": 56},
        annotations=[_title(panel) for panel in _PANELS],
        **layout,
    )


def write_comparison(rows: Sequence[Comparison], path: Path) -> None:
    """Write the figure as one HTML file that opens without a network, whole or not at all.

    Raises:
        OSError: The file cannot be written there.
    """
    write_page(compare_figure(rows).to_html(include_plotlyjs=True), path)


def _places(panel: _Panel, row: Comparison) -> list[tuple[str, float, float]]:
    """Return (kind, TOPS/mm2, TOPS/W) of what is measured and modelled at one point.

    A point whose time was not measured stands at the modelled density.
    """
    model_density = row.tops_per_mm2_native_model
    found = (
        (
            "measured",
            row.tops_per_mm2_native_measured or model_density,
            row.tops_per_w_native_measured,
        ),
        ("model", model_density, row.tops_per_w_native_model),
    )
    factor = row.weight_bits * row.activation_bits if panel.normalised else 1
    return [(kind, x * factor, y * factor) for kind, x, y in found if x and y]


def _traces(panel: _Panel, rows: Sequence[Comparison], index: int) -> list[Any]:
    """Return the marks of one macro in one panel: links, measured points, modelled points."""
    name = plain(rows[0].name)
    colour, symbol = _COLOURS[index % len(_COLOURS)], _SYMBOLS[index // len(_COLOURS) % 6]
    places = [(row, place) for row in rows for place in _places(panel, row)]
    shared = {"xaxis": f"x{panel.axis}", "yaxis": f"y{panel.axis}", "legendgroup": rows[0].name}
    traces = [_links(panel, rows, colour, shared)]
    for kind in ("measured", "model"):
        marks = [(row, x, y) for row, (found, x, y) in places if found == kind]
        if marks:
            traces.append(
                go.Scatter(
                    x=[x for _, x, _ in marks],
                    y=[y for _, _, y in marks],
                    mode="markers",
                    name=f"{name}, {kind}",
                    marker={
                        "symbol": symbol if kind == "measured" else f"{symbol}-open",
                        "size": _SIZES[kind],
                        "color": colour,
                        "line": {"color": colour, "width": 1.5},
                    },
                    hovertext=[_hover(panel, kind, *mark) for mark in marks],
                    hovertemplate="%{hovertext}<extra></extra>",
                    showlegend=not panel.normalised,
                    **shared,
                )
            )
    return traces


def _links(panel: _Panel, rows: Sequence[Comparison], colour: str, shared: dict[str, str]) -> Any:
    pairs = [places for row in rows if len(places := _places(panel, row)) > 1]
    return go.Scatter(
        x=[value for pair in pairs for value in (*(x for _, x, _ in pair), None)],
        y=[value for pair in pairs for value in (*(y for _, _, y in pair), None)],
        mode="lines",
        line={"color": colour, "width": 1},
        hoverinfo="skip",
        showlegend=False,
        **shared,
    )


def _hover(panel: _Panel, kind: str, row: Comparison, x: float, y: float) -> str:
    facts = row.macro
    unit = ", 1-bit-normalised" if panel.normalised else f" at {row.precision}"
    lines = [
        f"<b>{plain(row.name)}</b>, {kind}",
        f"{y:.4g} TOPS/W{unit}",
        f"{x:.4g} TOPS/mm²{unit}",
        f"precision {row.precision} (weights {TIMES} activations), ADC {row.adc_bits or 'none'}",
        f"{row.supply_v:g} V" + (f", {facts.node_nm:g} nm {facts.device}" if facts else ""),
        f"activity {row.activity_frac:g}, density {row.density_frac:g}",
        *(_wrapped(f"source: {row.source}") if row.source else ["no measurement"]),
    ]
    return "<br>".join(lines)


def _wrapped(text: str) -> list[str]:
    return [plain(line) for line in wrap(text, 70)]


def _axes(panel: _Panel, rows: Sequence[Comparison]) -> dict[str, Any]:
    """Return the layout of the two axes of a panel."""
    places = [place for row in drawn(rows) for place in _places(panel, row)]
    unit = "1-bit-normalised" if panel.normalised else "native"
    across = {"domain": panel.domain, "anchor": f"y{panel.axis}"}
    up = {"anchor": f"x{panel.axis}"}
    return {
        f"xaxis{panel.axis}": _log(f"TOPS/mm² of modelled area, {unit}", [x for _, x, _ in places])
        | across,
        f"yaxis{panel.axis}": _log(f"TOPS/W, {unit}", [y for _, _, y in places]) | up,
    }


def _log(title: str, values: Sequence[float]) -> dict[str, Any]:
    layout: dict[str, Any] = {"title": {"text": title}, "type": "log"}
    if not values:
        return layout
    ticks = round_ticks(min(values) / 10, max(values) * 10)
    return layout | {"tickvals": ticks, "ticktext": [f"{tick:,g}" for tick in ticks]}


def _title(panel: _Panel) -> dict[str, Any]:
    return {
        "text": panel.title,
        "xref": "paper",
        "yref": "paper",
        "x": sum(panel.domain) / 2,
        "y": 1.0,
        "xanchor": "center",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 14},
    }
