"""The Pareto front in three objectives, beside what it dominates and the baselines."""

from typing import Any

import plotly.graph_objects as go

from cimsearch.figures.pareto import (
    SIZES,
    UNSCORED,
    Group,
    Kind,
    ParetoData,
    common,
    paint,
)
from cimsearch.figures.scale import cost_axis
from cimsearch.figures.style import LEGEND, figure

_SYMBOLS: dict[Kind, str] = {"dominated": "circle", "front": "diamond", "baseline": "square"}


def pareto_3d_figure(data: ParetoData) -> go.Figure:
    """Return accuracy over the second and third objectives; what has no accuracy is left out."""
    accuracy, cost, third = data.scales[:3]
    groups = [group for group in data.groups if group.kind not in UNSCORED]
    traces = [_trace_3d(data, group) for group in groups]
    if data.colours:
        bar = {"x": [None], "y": [None], "z": [None], "showlegend": False}
        traces.append(go.Scatter3d(marker=data.colours.marker(), mode="markers", **bar))
    return figure(
        traces,
        height=640,
        scene={
            "xaxis": cost_axis(cost, data.column(1), title=cost.title),
            "yaxis": cost_axis(third, data.column(2), title=third.title),
            "zaxis": {"title": {"text": accuracy.title}},
            "camera": {"eye": {"x": 1.5, "y": 1.5, "z": 0.6}, "center": {"z": -0.1}},
            "aspectmode": "cube",
        },
        legend=LEGEND,
        margin={"l": 0, "r": 0, "t": 40, "b": 90 if data.colours else 0},
    )


def _trace_3d(data: ParetoData, group: Group) -> Any:
    accuracy, cost, third = data.scales[:3]
    marker = paint(data, group) | {
        "symbol": _SYMBOLS.get(group.kind, "square-open"),
        "size": SIZES[group.kind] / 2.6,
    }
    if group.kind == "dominated":
        marker |= {"line": {"width": 0}, "opacity": 0.6, "size": 3.5}
    return go.Scatter3d(
        x=cost.of(row[1] for row in group.values),
        y=third.of(row[2] for row in group.values),
        z=accuracy.of(row[0] for row in group.values),
        mode="markers",
        marker=marker,
        **common(group),
    )
