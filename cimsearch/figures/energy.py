"""Where the energy goes: components of every network of the front and of the baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from cimsearch.figures.scale import Scale, plain, scale_for
from cimsearch.figures.style import (
    LEGEND,
    component_colours,
    component_order,
    component_title,
    figure,
)
from cimsearch.figures.view import StudyView
from cimsearch.units import show


@dataclass(frozen=True, slots=True)
class EnergyData:
    """Energy by component, one bar a network: the front, most accurate first, then the baselines.

    Attributes:
        labels: What each bar is.
        accuracies: Validation accuracy (0..1) of each.
        energy_pj: Energy by component, one a bar.
        scale: Of the energies.
        unvalidated: Components that nobody has validated.
    """

    labels: tuple[str, ...]
    accuracies: tuple[float, ...]
    energy_pj: dict[str, tuple[float, ...]]
    scale: Scale
    unvalidated: tuple[str, ...]


def energy_data(view: StudyView) -> EnergyData:
    """Return the components of the front and of the baselines that have them."""
    bars = [(f"#{point.number}", point.values[0], point.components) for point in view.front]
    bars += [(b.name, b.values[0], b.components) for b in view.baselines if b.components]
    names = component_order([components for _, _, components in bars])
    return EnergyData(
        labels=tuple(label for label, _, _ in bars),
        accuracies=tuple(accuracy for _, accuracy, _ in bars),
        energy_pj={name: tuple(parts.get(name, 0.0) for _, _, parts in bars) for name in names},
        scale=scale_for("energy_pj", [sum(parts.values()) for _, _, parts in bars]),
        unvalidated=view.credibility.unvalidated,
    )


def energy_figure(data: EnergyData) -> go.Figure:
    """Return one stacked bar a network, in energy and in shares; unvalidated parts are hatched."""
    places = list(range(len(data.labels)))
    hovers = [
        f"<b>{plain(label)}</b>, validation accuracy {show('accuracy', accuracy)}"
        for label, accuracy in zip(data.labels, data.accuracies, strict=True)
    ]
    totals = [sum(parts) for parts in zip(*data.energy_pj.values(), strict=True)]
    rows: dict[str, Any] = {"y": places, "orientation": "h", "customdata": hovers}
    bars = component_bars(data.energy_pj, data.unvalidated, data.scale.of, **rows)
    bars += component_bars(
        data.energy_pj,
        data.unvalidated,
        lambda values: [100 * v / t for v, t in zip(values, totals, strict=True)],
        **rows,
        xaxis="x2",
        showlegend=False,
    )
    return figure(
        bars,
        height=150 + 26 * len(places),
        barmode="stack",
        bargap=0.3,
        xaxis={"title": {"text": data.scale.axis_title}, "domain": [0, 0.49]},
        xaxis2={"title": {"text": "share of the energy [%]"}, "domain": [0.52, 1]},
        yaxis={
            "tickvals": places,
            "ticktext": [
                f"{plain(label)} · {100 * accuracy:.1f} %"
                for label, accuracy in zip(data.labels, data.accuracies, strict=True)
            ],
            "range": [len(places) - 0.5, -0.5],
            "showgrid": False,
            "zeroline": False,
            "ticks": "",
        },
        legend=LEGEND,
    )


def component_bars(
    energy_pj: Mapping[str, Sequence[float]],
    unvalidated: Sequence[str],
    lengths: Callable[[Sequence[float]], list[float]],
    **trace: Any,
) -> list[Any]:
    """Return the bars of each component.

    Args:
        energy_pj: Energy by component, one a bar.
        unvalidated: Components to hatch.
        lengths: Shown lengths of the bars of one component.
        trace: The other axis, and as ``customdata`` what a bar's hover text begins with.
    """
    colours = component_colours(tuple(energy_pj))
    across = "x" if trace.get("orientation") == "h" else "y"
    bars = []
    for name, values in energy_pj.items():
        title = plain(component_title(name))
        title += " (not validated)" if name in unvalidated else ""
        bars.append(
            go.Bar(
                **{across: lengths(values)},
                **trace,
                name=title,
                legendgroup=title,
                marker={"color": colours[name], "pattern": _hatch(name in unvalidated)},
                hovertext=[f"{title} {show('energy_pj', value)}" for value in values],
                hovertemplate="%{customdata}<br>%{hovertext}<extra></extra>",
            )
        )
    return bars


def _hatch(hatched: bool) -> dict[str, Any]:
    if not hatched:
        return {"shape": ""}
    return {
        "shape": "/",
        "fillmode": "overlay",
        "fgcolor": "#ffffff",
        "fgopacity": 0.75,
        "size": 7,
        "solidity": 0.3,
    }
