"""Colours and templates. Okabe and Ito's palette: colour-blind readers can tell it apart.

Every figure is drawn with the light template; a page in dark mode swaps it for the dark one, so a
trace states a colour only where the colour means something and shows on both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

BLUE, SKY, GREEN, ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
VERMILLION, PURPLE, GREY = "#D55E00", "#CC79A7", "#8B95A1"

COMPONENT_COLOURS = {
    "array_call": "#332288",
    "cells": BLUE,
    "drivers": SKY,
    "adc": VERMILLION,
    "shift_add": ORANGE,
    "adder_tree": "#F0E442",
    "digital": GREEN,
    "buffers": PURPLE,
    "interconnect": "#882255",
    "off_chip": "#44AA99",
    "control": "#999933",
    "leakage": GREY,
}
_OTHER_COLOURS = ("#DDCC77", "#AA4499", "#117733", "#88CCEE", "#661100")

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
# Above the plot, left to right in the order of the traces.
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"}
MARGIN = {"l": 64, "r": 16, "t": 40, "b": 56}


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a page."""

    paper: str
    text: str
    muted: str
    grid: str
    outline: str
    scene_grid: str


LIGHT = Theme(
    paper="#ffffff",
    text="#1c2128",
    muted="#57606a",
    grid="#e3e7ec",
    outline="#1c2128",
    scene_grid="#c3cad2",
)
DARK = Theme(
    paper="#171c23",
    text="#e6eaf0",
    muted="#a3adba",
    grid="#2c343e",
    outline="#f2f5f8",
    scene_grid="#465160",
)


def component_colours(names: tuple[str, ...]) -> dict[str, str]:
    """Return a colour for each component, the same for the same name in every figure."""
    strangers = sorted(set(names) - set(COMPONENT_COLOURS))
    extra = {
        name: _OTHER_COLOURS[index % len(_OTHER_COLOURS)] for index, name in enumerate(strangers)
    }
    return {name: (COMPONENT_COLOURS | extra)[name] for name in names}


def component_title(name: str) -> str:
    """Return a component's name as figures show it."""
    return {"adc": "ADC"}.get(name, name.replace("_", " "))


def component_order(parts: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """Return the components that cost anything anywhere, from the cells outwards.

    Names unknown here follow by alphabet.
    """
    names = {name for components in parts for name, value in components.items() if value}
    known = [name for name in COMPONENT_COLOURS if name in names]
    return (*known, *sorted(names - set(known)))


def template(theme: Theme) -> go.layout.Template:
    """Return the plotly template of a theme."""
    axis: dict[str, Any] = {
        "gridcolor": theme.grid,
        "linecolor": theme.muted,
        "tickcolor": theme.muted,
        "zerolinecolor": theme.grid,
        "ticks": "outside",
        "showline": True,
        "automargin": True,
        "title": {"font": {"size": 13}, "standoff": 10},
    }
    scene_axis = {
        "gridcolor": theme.scene_grid,
        "linecolor": theme.muted,
        "zerolinecolor": theme.scene_grid,
        "showbackground": False,
        "title": {"font": {"size": 12}},
    }
    outlined = {"marker": {"line": {"color": theme.outline, "width": 1}}}
    layout = {
        "font": {"family": FONT, "size": 12.5, "color": theme.text},
        "paper_bgcolor": theme.paper,
        "plot_bgcolor": theme.paper,
        "xaxis": axis,
        "yaxis": axis,
        "scene": {"xaxis": scene_axis, "yaxis": scene_axis, "zaxis": scene_axis},
        "hoverlabel": {
            "bgcolor": theme.paper,
            "bordercolor": theme.muted,
            "font": {"family": FONT, "color": theme.text, "size": 12.5},
            "align": "left",
        },
        "annotationdefaults": {"bgcolor": theme.paper, "borderpad": 1},
        "legend": {"bgcolor": "rgba(0,0,0,0)", "itemsizing": "constant"},
        "modebar": {
            "bgcolor": "rgba(0,0,0,0)",
            "color": theme.muted,
            "activecolor": theme.text,
        },
    }
    traces = {
        "scatter": [go.Scatter(error_y={"color": theme.muted}, **outlined)],
        "scatter3d": [go.Scatter3d(**outlined)],
        "bar": [go.Bar(marker={"line": {"color": theme.paper, "width": 0.5}})],
    }
    return go.layout.Template(layout=layout, data=traces)


TEMPLATES = {"light": template(LIGHT), "dark": template(DARK)}


def figure(traces: list[Any], *, height: int, **layout: Any) -> go.Figure:
    """Return a figure in the light template that keeps the reader's zoom when it is redrawn."""
    shared = {"template": TEMPLATES["light"], "height": height, "margin": MARGIN}
    return go.Figure(traces, layout=shared | {"uirevision": "keep"} | layout)
