"""The Pareto front in two objectives, beside what it dominates and the baselines."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from cimsearch.figures.colour import SEQUENTIAL, ColourBar
from cimsearch.figures.describe import describe_baseline, describe_point, scales
from cimsearch.figures.scale import Scale, cost_axis, plain
from cimsearch.figures.style import GREY, LEGEND, VERMILLION, figure
from cimsearch.figures.view import Baseline, Point, StudyView
from cimsearch.pareto import front_mask, signed

Kind = Literal["front", "dominated", "infeasible", "failed", "baseline", "broken", "forbidden"]
Values = tuple[float, ...]

# In the order they are drawn.  Shape and fill alone tell the kinds apart; colour does so again.
NAMES: dict[Kind, str] = {
    "dominated": "dominated",
    "front": "Pareto front",
    "baseline": "baseline",
    "broken": "broken baseline",
    "forbidden": "infeasible baseline",
    "infeasible": "infeasible",
    "failed": "failed",
}
SYMBOLS: dict[Kind, str] = {
    "dominated": "circle-open",
    "front": "diamond",
    "baseline": "square",
    "broken": "square-x-open",
    "forbidden": "square-cross-open",
    "infeasible": "x-thin",
    "failed": "triangle-up-open",
}
SIZES: dict[Kind, int] = {
    "dominated": 8,
    "front": 13,
    "baseline": 12,
    "broken": 13,
    "forbidden": 13,
    "infeasible": 8,
    "failed": 9,
}
# A dot in a mark says that its accuracy is stale; crossed ones have no room for it.
_STALE: dict[Kind, str] = {
    "dominated": "circle-open-dot",
    "front": "diamond-dot",
    "baseline": "square-dot",
}
# Baselines that differ in one setting often lie on one another; their labels must not.
_LABEL_PLACES = ("top left", "bottom left")
BASELINES: tuple[Kind, ...] = ("baseline", "broken", "forbidden")
UNSCORED: tuple[Kind, ...] = ("infeasible", "failed")


@dataclass(frozen=True, slots=True)
class Group:
    """The points of one kind. A baseline has no trial number; its label is its name.

    Attributes:
        kind: What they are.
        labels: One a point.
        numbers: Trial numbers; empty for baselines.
        values: One row a point, in the order and units of the objectives.
        std: Of the accuracy over the chips.
        hovers: Text in plotly's markup.
        stale: Whether each accuracy was found on hardware that scores otherwise.
    """

    kind: Kind
    labels: tuple[str, ...]
    numbers: tuple[int, ...]
    values: tuple[Values, ...]
    std: tuple[float, ...]
    hovers: tuple[str, ...]
    stale: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class ParetoData:
    """What the Pareto figures show.

    Attributes:
        scales: One an objective, in order.
        groups: The points by kind; kinds without points are left out.
        attained: (cost, accuracy) of the scored points that are best in these two alone, cheapest
            first.
        colours: Of the third objective; None where there is none or nothing was scored.
        statistic: What an accuracy is of those of its chips.
        chips: How many they are.
        level: Fidelity of the accuracies.
    """

    scales: tuple[Scale, ...]
    groups: tuple[Group, ...]
    attained: tuple[tuple[float, float], ...]
    colours: ColourBar | None
    statistic: str
    chips: int
    level: str

    def group(self, kind: Kind) -> Group | None:
        """Return the points of a kind, or None if there are none."""
        return next((group for group in self.groups if group.kind == kind), None)

    def column(self, index: int) -> list[float]:
        """Return the values of one objective, of all groups."""
        return [row[index] for group in self.groups for row in group.values]


def pareto_data(view: StudyView) -> ParetoData:
    """Return the points of ``view`` by kind, with hover text, and the attained accuracies."""
    groups = [_group(view, kind) for kind in NAMES]
    shown = tuple(scales(view).values())
    thirds = [point.values[2] for point in view.scored] if len(shown) > 2 else []
    return ParetoData(
        scales=shown,
        groups=tuple(group for group in groups if group.values),
        attained=_attained(view),
        colours=ColourBar.over(shown[2], thirds) if thirds else None,
        statistic=view.accuracy_statistic,
        chips=view.chips,
        level=view.level,
    )


def kind_of(point: Point) -> Kind:
    """Return the kind of a trial's point."""
    if point.state != "complete":
        return point.state
    return "front" if point.on_front else "dominated"


def kind_of_baseline(baseline: Baseline) -> Kind:
    """Return the kind of a baseline; what the constraints forbid is no choice, broken or not."""
    if baseline.infeasible:
        return "forbidden"
    return "broken" if baseline.broken else "baseline"


def _group(view: StudyView, kind: Kind) -> Group:
    if kind in BASELINES:
        chosen = [b for b in view.baselines if kind_of_baseline(b) == kind]
        return Group(
            kind=kind,
            labels=tuple(baseline.name for baseline in chosen),
            numbers=(),
            values=tuple(baseline.values for baseline in chosen),
            std=tuple(0.0 for _ in chosen),
            hovers=tuple(describe_baseline(view, baseline) for baseline in chosen),
            stale=tuple(bool(baseline.stale) for baseline in chosen),
        )
    points = [point for point in view.points if kind_of(point) == kind and point.values]
    of_mean = view.accuracy_statistic == "mean"
    return Group(
        kind=kind,
        labels=tuple(f"#{point.number}" for point in points),
        numbers=tuple(point.number for point in points),
        values=tuple(point.values for point in points),
        # A bar of one standard deviation belongs to a mean alone.
        std=tuple(point.accuracy_std if of_mean else 0.0 for point in points),
        hovers=tuple(describe_point(view, point) for point in points),
        stale=tuple(bool(point.stale) for point in points),
    )


def _attained(view: StudyView) -> tuple[tuple[float, float], ...]:
    pairs = np.array([point.values[:2] for point in view.scored]).reshape(-1, 2)
    best = pairs[front_mask(signed(pairs, view.directions[:2]))] if len(pairs) else pairs
    return tuple(sorted((float(cost), float(accuracy)) for accuracy, cost in best.tolist()))


def pareto_figure(data: ParetoData) -> go.Figure:
    """Return accuracy against the second objective, coloured by the third where there is one.

    What was never scored has a price but no accuracy: it lies in a strip of its own below.
    """
    accuracy, cost = data.scales[:2]
    strip = any(data.group(kind) for kind in UNSCORED)
    traces = [_attained_trace(data)] if data.attained else []
    traces += [_trace(data, group) for group in data.groups]
    if any(any(group.stale) for group in data.groups):
        traces.append(_stale_key())
    if data.colours:
        traces.append(
            go.Scatter(x=[None], y=[None], marker=data.colours.marker(), showlegend=False)
        )
    return figure(
        traces,
        height=640,
        hovermode="closest",
        xaxis=cost_axis(cost, data.column(1)) | {"anchor": "y2" if strip else "y"},
        yaxis={
            "title": {"text": f"{accuracy.axis_title}, {_origin(data)}"},
            "domain": [0.15 if strip else 0, 1],
        },
        yaxis2={
            "domain": [0, 0.1],
            "range": [-0.7, 1.7],
            "tickvals": [0, 1],
            "ticktext": ["failed", "infeasible"],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "visible": strip,
        },
        legend=LEGEND,
        margin={"l": 64, "r": 16, "t": 40, "b": 140 if data.colours else 56},
    )


def _origin(data: ParetoData) -> str:
    return f"{data.statistic} of {data.chips} chips at {plain(data.level)}"


def _attained_trace(data: ParetoData) -> Any:
    accuracy, cost = data.scales[:2]
    return go.Scatter(
        x=cost.of(x for x, _ in data.attained),
        y=accuracy.of(y for _, y in data.attained),
        mode="lines",
        line={"shape": "hv", "color": GREY, "width": 1.5, "dash": "dot"},
        name=f"best accuracy at this {cost.quantity}",
        hoverinfo="skip",
    )


def _stale_key() -> Any:
    """Return a trace without points, for the legend alone."""
    return go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker={"symbol": _STALE["dominated"], "size": SIZES["dominated"], "color": GREY},
        name="with a dot: accuracy of other hardware (stale)",
    )


def _symbols(group: Group) -> list[str]:
    plain_symbol = SYMBOLS[group.kind]
    dotted = _STALE.get(group.kind, plain_symbol)
    return [dotted if stale else plain_symbol for stale in group.stale]


def _trace(data: ParetoData, group: Group) -> Any:
    accuracy, cost = data.scales[:2]
    strip = group.kind in UNSCORED
    heights = accuracy.of(row[0] for row in group.values)
    return go.Scatter(
        x=cost.of(row[1] for row in group.values),
        y=[float(group.kind == "infeasible")] * len(heights) if strip else heights,
        yaxis="y2" if strip else "y",
        mode="markers+text" if group.kind in BASELINES else "markers",
        text=[f"{plain(label)} " for label in group.labels],
        textposition=[_LABEL_PLACES[i % 2] for i in range(len(group.labels))],
        marker={"symbol": _symbols(group), "size": SIZES[group.kind]} | paint(data, group),
        error_y={"array": accuracy.of(group.std), "thickness": 1.2, "width": 3}
        if group.kind == "front"
        else None,
        **common(group),
    )


def common(group: Group) -> dict[str, Any]:
    """Return what the traces of a group share in two and three dimensions."""
    return {
        "name": NAMES[group.kind],
        "customdata": group.numbers or None,
        "hovertext": group.hovers,
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def paint(data: ParetoData, group: Group) -> dict[str, Any]:
    """Return the colours of a group's marks."""
    if group.kind in BASELINES:
        return {"color": VERMILLION}
    if group.kind in UNSCORED:
        return {"color": GREY, "line": {"color": GREY, "width": 1.5}}
    if data.colours is None:
        return {"color": SEQUENTIAL[1] if group.kind == "front" else GREY}
    return {"color": data.colours.colours([row[2] for row in group.values])}
