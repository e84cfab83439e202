"""How the search went: its hypervolume, beside random search and the baselines."""

from dataclasses import dataclass
from math import isclose
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from cimsearch.figures.scale import NO_BREAK, scale_for
from cimsearch.figures.style import LEGEND, ORANGE, VERMILLION, figure
from cimsearch.figures.view import StudyView
from cimsearch.pareto import share_of
from cimsearch.units import show

_LINE = "#2388c9"


@dataclass(frozen=True, slots=True)
class HypervolumeData:
    """The hypervolume's history, and what it is measured against.

    Attributes:
        numbers: Trial numbers of the scored trials, in order.
        shares: Hypervolume after each as a share (0..1) of the box between the reference point and
            the ideal: accuracy 1, every minimised objective 0. The box never changes, so the share
            never falls.
        random: (how many uniform draws, share that is to be expected of them).
        baselines: Share of the uniform baselines alone; None if none was scored.
        reference: The reference point in words, with units.
    """

    numbers: tuple[int, ...]
    shares: tuple[float, ...]
    random: tuple[tuple[int, float], ...]
    baselines: float | None
    reference: str


def reference_text(view: StudyView) -> str:
    """Return the reference point in words, with units."""
    return ", ".join(
        f"{scale_for(name, []).quantity} {show(name, value)}"
        for name, value in zip(view.objectives, view.reference_point, strict=True)
    )


def hypervolume_data(view: StudyView) -> HypervolumeData:
    """Return the history with the study's reference point, random search and the baselines."""
    return HypervolumeData(
        numbers=tuple(number for number, _ in view.hypervolume),
        shares=tuple(value for _, value in view.hypervolume),
        random=view.random_search.curve,
        baselines=_of_baselines(view),
        reference=reference_text(view),
    )


def _of_baselines(view: StudyView) -> float | None:
    """Return what the feasible baselines dominate; None if no baseline was scored."""
    if not view.baselines:
        return None
    allowed = [baseline.values for baseline in view.baselines if not baseline.infeasible]
    return share_of(allowed, view.directions, view.reference_point)


def hypervolume_sentences(view: StudyView) -> str:
    """Return what the search gained over random search and the baselines, in words."""
    data = hypervolume_data(view)
    return f"{_random_sentence(view, data)} {_baselines_sentence(view, data)}"


def _random_sentence(view: StudyView, data: HypervolumeData) -> str:
    search = view.random_search
    if not search.curve:
        return f"There is no line of random search: {search.why_none or 'nothing is scored yet'}."
    draws, reached = search.curve[-1]
    which = "all scored trials, which are" if search.is_all else "those scored trials that were"
    text = (
        f"Random search is {which} drawn uniformly ({draws:,}): the mean over the orders in which "
        f"they may come. It ends at {_percent(reached)}, as nothing is known of more draws"
    )
    if search.is_all:
        return f"{text}."
    early = data.shares[min(draws, len(data.shares)) - 1]
    now = f"{_percent(data.shares[-1])} after {len(data.shares):,}"
    if isclose(early, reached):
        return f"{text}; the search began with them and has {now}."
    return f"{text}; the search had {_percent(early)} after as many scored trials and has {now}."


def _baselines_sentence(view: StudyView, data: HypervolumeData) -> str:
    if data.baselines is None:
        return "No baseline is scored."
    left_out = [baseline.name for baseline in view.baselines if baseline.infeasible]
    without = f", without {', '.join(left_out)}, which the constraints forbid" if left_out else ""
    return f"The uniform baselines alone dominate {_percent(data.baselines)}{without}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def hypervolume_figure(data: HypervolumeData) -> go.Figure:
    """Return the hypervolume against the scored trials, with its reference point stated."""
    traces = [_search_trace(data)]
    if data.random:
        traces.append(_random_trace(data))
    if data.baselines is not None:
        traces.append(_baselines_trace(data, data.baselines))
    # A number stays with its unit.
    parts = data.reference.replace(" ", NO_BREAK).replace(f",{NO_BREAK}", ", ")
    stated = "<br>".join(wrap(f"reference point: {parts}", 48))
    small = f'<span style="font-size:11px">{stated}</span>'
    return figure(
        traces,
        height=420,
        hovermode="closest",
        xaxis={"title": {"text": f"scored trials<br>{small}"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "hypervolume [% of the box]"}, "rangemode": "tozero"},
        legend=LEGEND,
        margin={"l": 64, "r": 16, "t": 40, "b": 84},
    )


def _search_trace(data: HypervolumeData) -> Any:
    return go.Scatter(
        x=list(range(1, len(data.shares) + 1)),
        y=[100 * share for share in data.shares],
        mode="lines+markers" if len(data.shares) < 60 else "lines",
        line={"shape": "hv", "color": _LINE, "width": 2},
        marker={"color": _LINE, "size": 5, "line": {"width": 0}},
        name="this search",
        text=[f"#{number}" for number in data.numbers],
        hovertemplate="after trial %{text}, %{x} scored<br>hypervolume %{y:.2f} % of the box"
        "<extra></extra>",
    )


def _random_trace(data: HypervolumeData) -> Any:
    return go.Scatter(
        x=[count for count, _ in data.random],
        y=[100 * share for _, share in data.random],
        mode="lines+markers" if len(data.random) == 1 else "lines",
        line={"color": ORANGE, "width": 2, "dash": "dash"},
        marker={"color": ORANGE, "size": 7},
        name=f"random search, {data.random[-1][0]:,} draws",
        hovertemplate="%{x} uniform draws<br>hypervolume %{y:.2f} % of the box, expected"
        "<extra></extra>",
    )


def _baselines_trace(data: HypervolumeData, share: float) -> Any:
    return go.Scatter(
        x=[0, len(data.shares)],
        y=[100 * share] * 2,
        mode="lines",
        line={"color": VERMILLION, "width": 2, "dash": "dot"},
        name="uniform baselines",
        hovertemplate="uniform baselines alone<br>hypervolume %{y:.2f} % of the box"
        "<extra></extra>",
    )
