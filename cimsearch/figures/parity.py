"""Predicted against measured energy of chips that the fit has not seen."""

from pathlib import Path

import plotly.graph_objects as go

from cimsearch.cost.silicon import Band, Prediction
from cimsearch.figures.html import write_page
from cimsearch.figures.style import GREY, LEGEND, figure

_SYMBOLS = ("circle", "diamond", "square", "triangle-up")


def parity_figure(predictions: tuple[Prediction, ...], bands: tuple[Band, ...]) -> go.Figure:
    """Return the plot: one point a row, fJ per MAC, with lines at equality and at a factor 2.

    Rows that were not measured are left out. A technology's name carries the factor of its band
    where there is one.
    """
    predictions = tuple(one for one in predictions if one.chip.measured_fj is not None)
    factors = {band.technology: band.factor for band in bands}
    names = dict.fromkeys(one.chip.technology for one in predictions)
    plot = figure([], height=640, legend=LEGEND)
    values = [v for one in predictions for v in (_measured(one), one.predicted_fj)]
    ends = [min(values, default=1.0) / 2, max(values, default=1.0) * 2]
    for factor, dash in ((1.0, "solid"), (2.0, "dot"), (0.5, "dot")):
        plot.add_scatter(
            x=ends,
            y=[end * factor for end in ends],
            mode="lines",
            line={"color": GREY, "width": 1, "dash": dash},
            showlegend=False,
            hoverinfo="skip",
        )
    for name, symbol in zip(names, _SYMBOLS, strict=False):
        rows = [one for one in predictions if one.chip.technology == name]
        band = f" (80 % band: x or / {factors[name]:.1f})" if name in factors else ""
        plot.add_scatter(
            x=[_measured(one) for one in rows],
            y=[one.predicted_fj for one in rows],
            mode="markers",
            marker={"symbol": symbol, "size": 9},
            text=[f"{one.chip.id} ({one.chip.chip})" for one in rows],
            hovertemplate="%{text}<br>measured %{x:.3g}<br>predicted %{y:.3g} fJ/MAC",
            name=name + band,
        )
    plot.update_xaxes(type="log", title="measured energy (fJ/MAC)")
    plot.update_yaxes(type="log", title="predicted, chip not in the fit (fJ/MAC)")
    return plot


def write_parity(predictions: tuple[Prediction, ...], bands: tuple[Band, ...], path: Path) -> None:
    """Write the plot as one HTML file that opens without a network, whole or not at all.

    Raises:
        OSError: The file cannot be written there.
    """
    write_page(parity_figure(predictions, bands).to_html(include_plotlyjs=True), path)


def _measured(one: Prediction) -> float:
    return one.chip.measured_fj or 0.0
