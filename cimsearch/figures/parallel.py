"""Parallel coordinates: objectives and genes of the front, among a sample of the other trials.

Drawn as plain lines, which need no WebGL, can be hovered over, and can end at ``–`` where a
network lacks a layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from cimsearch.figures.colour import ColourBar
from cimsearch.figures.describe import describe_point, scales
from cimsearch.figures.scale import DASH, Scale, plain, round_ticks
from cimsearch.figures.settings import field_title
from cimsearch.figures.style import GREY, figure
from cimsearch.figures.view import GeneAxis, Point, StudyView

# What genes of fields of the hardware begin with.
HARDWARE = "hardware."

MOST_OTHERS = 200
MOST_AXES_OF_A_KIND = 3
# Lines that share a choice are fanned out over this share of the axis, so that they can be told.
FAN = 0.05


@dataclass(frozen=True, slots=True)
class Dimension:
    """One axis. Places run from 0 (bottom) to 1 (top).

    Attributes:
        title: With its unit.
        places: Where each trial crosses the axis.
        ticks: Labelled places.
        labels: Their labels.
    """

    title: str
    places: tuple[float, ...]
    ticks: tuple[float, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParallelData:
    """What the figure shows.

    Attributes:
        numbers: Trial numbers: other trials first, then the front.
        accuracies: Validation accuracy (0..1) of each.
        on_front: Whether each is on the front.
        hovers: Text in plotly's markup, one a trial.
        dimensions: The axes, left to right.
        colours: Of the accuracies.
    """

    numbers: tuple[int, ...]
    accuracies: tuple[float, ...]
    on_front: tuple[bool, ...]
    hovers: tuple[str, ...]
    dimensions: tuple[Dimension, ...]
    colours: ColourBar


def parallel_data(view: StudyView) -> ParallelData:
    """Return the front among at most ``MOST_OTHERS`` evenly chosen other trials.

    Of genes that occur in many layers (weight bits, prune ratios) an axis shows the mean over the
    layers that a network has, or the share of them that has a choice if choices have no order;
    the genes of few layers have an axis each.
    """
    others = [point for point in view.scored if not point.on_front]
    chosen = np.linspace(0, len(others) - 1, min(len(others), MOST_OTHERS)).round().astype(int)
    points = [*(others[index] for index in chosen), *view.front]
    shown = scales(view)
    objectives = [
        _objective(scale, [point.values[index] for point in points])
        for index, scale in enumerate(shown.values())
    ]
    accuracies = tuple(point.values[0] for point in points)
    return ParallelData(
        numbers=tuple(point.number for point in points),
        accuracies=accuracies,
        on_front=tuple(point.on_front for point in points),
        hovers=tuple(describe_point(view, point) for point in points),
        dimensions=tuple(objectives + _genes(view.genes, points)),
        colours=ColourBar.over(shown["accuracy"], accuracies),
    )


def _dimension(
    title: str, values: Sequence[float], ticks: Sequence[float], labels: Sequence[str]
) -> Dimension:
    """Return an axis that reaches from the least to the greatest of values and ticks."""
    low, high = min(*values, *ticks), max(*values, *ticks)
    width = (high - low) or 1.0
    return Dimension(
        title,
        tuple((value - low) / width for value in values),
        tuple((tick - low) / width for tick in ticks),
        tuple(labels),
    )


def _objective(scale: Scale, values: Sequence[float]) -> Dimension:
    """Return an objective's axis: linear for accuracy, logarithmic for a cost."""
    shown = scale.of(values)
    if not scale.is_cost:
        ticks = np.linspace(min(shown), max(shown), 5).tolist()
        return _dimension(scale.title, shown, ticks, [f"{tick:.1f}" for tick in ticks])
    ticks = round_ticks(min(shown), max(shown))
    logs = [np.log10(numbers).tolist() for numbers in (shown, ticks)]
    return _dimension(scale.title, logs[0], logs[1], [f"{tick:.3g}" for tick in ticks])


def _genes(genes: Sequence[GeneAxis], points: Sequence[Point]) -> list[Dimension]:
    kinds: dict[str, list[GeneAxis]] = {}
    for gene in genes:
        # Fields of the hardware are no genes of a layer, even where they have the same name.
        own = gene.name.startswith(HARDWARE)
        kinds.setdefault(gene.name if own else gene.name.rsplit(".", 1)[-1], []).append(gene)
    dimensions = []
    for kind, axes in kinds.items():
        if len(axes) <= MOST_AXES_OF_A_KIND:
            dimensions += [_single_gene(axis, points) for axis in axes]
        elif all(axis.ordered for axis in axes):
            dimensions.append(_mean_gene(kind, axes, points))
        else:
            dimensions += _shares(kind, axes, points)
    return dimensions


def _single_gene(gene: GeneAxis, points: Sequence[Point]) -> Dimension:
    """Return the axis of one gene by its choices; a trial that lacks the gene crosses at ``–``."""
    index = {choice: float(i) for i, choice in enumerate(gene.choices)}
    chosen = [point.genes.get(gene.name) for point in points]
    values = [-1.0 if choice is None else index[choice] for choice in chosen]
    fan = np.linspace(-0.5, 0.5, len(points)) * FAN * len(index)
    labels = {value: plain(choice) for choice, value in index.items()}
    if -1.0 in values:
        labels = {-1.0: DASH} | labels
    fanned = [value + float(offset) for value, offset in zip(values, fan, strict=True)]
    return _dimension(_words(gene.name), fanned, list(labels), list(labels.values()))


def _mean_gene(kind: str, genes: Sequence[GeneAxis], points: Sequence[Point]) -> Dimension:
    names = {gene.name for gene in genes}
    choices = sorted({float(choice) for gene in genes for choice in gene.choices})
    means = []
    for point in points:
        active = [float(value) for name, value in point.genes.items() if name in names]
        means.append(sum(active) / len(active) if active else choices[0])
    return _dimension(f"mean {_words(kind)}", means, choices, [f"{value:g}" for value in choices])


def _shares(kind: str, genes: Sequence[GeneAxis], points: Sequence[Point]) -> list[Dimension]:
    """Return an axis for each choice but the first: in how many of its layers a network has it."""
    names = {gene.name for gene in genes}
    active = [[value for name, value in p.genes.items() if name in names] for p in points]
    ticks, labels = (0.0, 50.0, 100.0), ("0", "50", "100")
    return [
        _dimension(
            f"{_words(kind)}<br>{plain(choice)} [% of layers]",
            [100 * values.count(choice) / max(1, len(values)) for values in active],
            ticks,
            labels,
        )
        for choice in genes[0].choices[1:]
    ]


def _words(name: str) -> str:
    if name.startswith(HARDWARE):
        return plain(field_title(name.removeprefix(HARDWARE)))
    return plain(name.replace("_", " ").replace(".", " ").replace("adc ", "ADC "))


def parallel_figure(data: ParallelData) -> go.Figure:
    """Return the front as coloured lines over the other trials in grey."""
    axes = list(range(len(data.dimensions)))
    lines = [_line(data, index) for index in range(len(data.numbers))]
    bar = go.Scatter(x=[None], y=[None], marker=data.colours.marker(), showlegend=False)
    return figure(
        [*lines, bar],
        height=600,
        hovermode="closest",
        xaxis={
            "tickvals": axes,
            "ticktext": [dimension.title for dimension in data.dimensions],
            "side": "top",
            "tickangle": -35,
            "gridcolor": GREY,
            "range": [-0.45, len(axes) - 0.75],
            "showline": False,
            "ticks": "",
        },
        yaxis={"visible": False, "range": [-0.04, 1.04], "fixedrange": True},
        annotations=[
            _tick(axis, place, label)
            for axis, dimension in zip(axes, data.dimensions, strict=True)
            for place, label in zip(dimension.ticks, dimension.labels, strict=True)
        ],
        showlegend=False,
        margin={"l": 24, "r": 120, "t": 130, "b": 70},
    )


def _line(data: ParallelData, index: int) -> Any:
    front = data.on_front[index]
    colour = data.colours.colours([data.accuracies[index]])[0] if front else GREY
    crossings = [dimension.places[index] for dimension in data.dimensions]
    return go.Scatter(
        x=list(range(len(crossings))),
        y=crossings,
        mode="lines+markers",
        line={"color": colour, "width": 2.2 if front else 1},
        marker={"color": colour, "size": 5 if front else 2, "line": {"width": 0}},
        opacity=1 if front else 0.45,
        customdata=[data.numbers[index]] * len(crossings),
        hovertext=data.hovers[index],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _tick(axis: int, place: float, label: str) -> dict[str, Any]:
    return {
        "x": axis,
        "y": place,
        "text": label,
        "showarrow": False,
        "xanchor": "right",
        "xshift": -5,
        "font": {"size": 11},
    }
