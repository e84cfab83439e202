"""How the search went: the hypervolume after each trial."""

from dataclasses import dataclass

import plotly.graph_objects as go

from cimsearch.figures.scale import scale_for
from cimsearch.figures.style import figure
from cimsearch.figures.view import StudyView
from cimsearch.units import show

_LINE = "#2388c9"


@dataclass(frozen=True, slots=True)
class HypervolumeData:
    """The hypervolume's history.

    Attributes:
        numbers: Trial numbers.
        shares: Hypervolume as a share (0..1) of the box between the reference point and the
            ideal: accuracy 1, every minimised objective 0. The box never changes, so the share
            never falls.
        reference: The reference point in words, with units.
    """

    numbers: tuple[int, ...]
    shares: tuple[float, ...]
    reference: str


def reference_text(view: StudyView) -> str:
    """Return the reference point in words, with units."""
    return ", ".join(
        f"{scale_for(name, []).quantity} {show(name, value)}"
        for name, value in zip(view.objectives, view.reference_point, strict=True)
    )


def hypervolume_data(view: StudyView) -> HypervolumeData:
    """Return the history with the study's reference point."""
    return HypervolumeData(
        numbers=tuple(number for number, _ in view.hypervolume),
        shares=tuple(value for _, value in view.hypervolume),
        reference=reference_text(view),
    )


def hypervolume_figure(data: HypervolumeData) -> go.Figure:
    """Return the hypervolume against the trial number, with its reference point stated."""
    shares = [100 * share for share in data.shares]
    trace = go.Scatter(
        x=data.numbers,
        y=shares,
        mode="lines+markers" if len(shares) < 60 else "lines",
        line={"shape": "hv", "color": _LINE, "width": 2},
        marker={"color": _LINE, "size": 5, "line": {"width": 0}},
        hovertemplate="after trial #%{x}<br>hypervolume %{y:.2f} % of the box<extra></extra>",
    )
    return figure(
        [trace],
        height=360,
        xaxis={"title": {"text": "trial number"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "hypervolume [% of the box]"}},
        annotations=[
            {
                "text": f"reference point<br>{data.reference}",
                "xref": "paper",
                "yref": "paper",
                "x": 1,
                "y": 1,
                "xanchor": "right",
                "yanchor": "bottom",
                "align": "right",
                "showarrow": False,
                "font": {"size": 11.5},
            }
        ],
        margin={"l": 64, "r": 16, "t": 48, "b": 56},
    )
