"""Layer by layer: bits, pruning, utilization and energy of one network."""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from cimsearch.figures.describe import weighted
from cimsearch.figures.energy import component_bars
from cimsearch.figures.scale import TIMES, Scale, plain, scale_for
from cimsearch.figures.style import LEGEND, component_order, figure
from cimsearch.figures.view import LayerView, Point, StudyView
from cimsearch.units import show

STRIPS = ("weight bits", "activation bits", "ADC bits", "pruned [%]", "utilization [%]")
_HUES = {
    "bits": [[0, "#e8f1fa"], [1, "#08519c"]],
    "pruned": [[0, "#fdf0e3"], [1, "#a63603"]],
    "utilization": [[0, "#e6f5ee"], [1, "#00664a"]],
}
OTHERS = "nodes without weights"


@dataclass(frozen=True, slots=True)
class LayersData:
    """One network as strips over its layers with weights, and energy stacked below them.

    Attributes:
        number: The trial's number.
        layers: Names of the nodes with weights in order of execution, then one name for all nodes
            without, if there are any, so that the energies sum to the total.
        shapes: Shape and placement of each, one line.
        strips: Values by strip, one a layer; None where the quantity does not apply.
        energy_pj: Energy by component, one a layer.
        latency_ns: One a layer.
        scale: Of the energies.
        unvalidated: Components that nobody has validated.
    """

    number: int
    layers: tuple[str, ...]
    shapes: tuple[str, ...]
    strips: dict[str, tuple[float | None, ...]]
    energy_pj: dict[str, tuple[float, ...]]
    latency_ns: tuple[float, ...]
    scale: Scale
    unvalidated: tuple[str, ...]


def layers_data(view: StudyView, point: Point) -> LayersData:
    """Return the strips and energies of the network of ``point``."""
    nodes = weighted(point.layers)
    rest = tuple(layer for layer in point.layers if not layer.w_bits)
    columns = [(layer,) for layer in nodes] + ([rest] if rest else [])
    names = component_order([layer.components for layer in point.layers])
    energy = {
        name: tuple(sum(layer.components.get(name, 0.0) for layer in column) for column in columns)
        for name in names
    }
    totals = [sum(layer.energy_pj for layer in column) for column in columns]
    blank = (None,) if rest else ()
    return LayersData(
        number=point.number,
        layers=(*(layer.name for layer in nodes), *((OTHERS,) if rest else ())),
        shapes=(*(_shape(layer) for layer in nodes), *((_kinds(rest),) if rest else ())),
        strips={
            name: (*values, *blank) for name, values in zip(STRIPS, _strips(nodes), strict=True)
        },
        energy_pj=energy,
        latency_ns=tuple(sum(layer.latency_ns for layer in column) for column in columns),
        scale=scale_for("energy_pj", [max(totals, default=0.0)]),
        unvalidated=view.credibility.unvalidated,
    )


def _strips(nodes: tuple[LayerView, ...]) -> tuple[tuple[float | None, ...], ...]:
    return (
        tuple(layer.w_bits for layer in nodes),
        tuple(layer.x_bits for layer in nodes),
        tuple(layer.adc_bits or None for layer in nodes),
        tuple(None if layer.prune_ratio is None else 100 * layer.prune_ratio for layer in nodes),
        tuple(100 * layer.utilization if layer.placement == "cim" else None for layer in nodes),
    )


def _shape(layer: LayerView) -> str:
    height, width = layer.kernel
    window = f" {height}{TIMES}{width}" if layer.op == "conv" else ""
    return f"{layer.op}{window}, {layer.channels} ch, {layer.placement}"


def _kinds(nodes: tuple[LayerView, ...]) -> str:
    ops = sorted({node.op for node in nodes})
    return ", ".join(ops)


def layers_figure(data: LayersData) -> go.Figure:
    """Return the strips over the stacked energies, sharing the axis of layers."""
    places = list(range(len(data.layers)))
    heads = [
        f"<b>{plain(name)}</b><br>{plain(shape)}"
        for name, shape in zip(data.layers, data.shapes, strict=True)
    ]
    hovers = [
        f"{head}<br>latency {show('latency_ns', latency)}"
        for head, latency in zip(heads, data.latency_ns, strict=True)
    ]
    bars = component_bars(
        data.energy_pj,
        data.unvalidated,
        data.scale.of,
        x=places,
        yaxis="y2",
        customdata=hovers,
    )
    return figure(
        [_strip(data, row, hovers) for row in range(len(STRIPS))] + bars,
        height=600,
        barmode="stack",
        bargap=0.25,
        xaxis={
            "tickvals": places,
            "ticktext": heads,
            "tickangle": -35,
            "anchor": "y2",
            "range": [-0.5, len(places) - 0.5],
            "showgrid": False,
            "title": {"text": "layer, in order of execution"},
        },
        yaxis={
            "domain": [0.56, 1],
            "tickvals": list(range(len(STRIPS))),
            "ticktext": list(STRIPS),
            "range": [len(STRIPS) - 0.5, -0.5],
            "showgrid": False,
            "zeroline": False,
            "showline": False,
            "ticks": "",
        },
        yaxis2={"domain": [0, 0.5], "title": {"text": data.scale.axis_title}},
        legend=LEGEND,
    )


def _strip(data: LayersData, row: int, hovers: list[str]) -> Any:
    name = STRIPS[row]
    values = data.strips[name]
    hue = next((hue for key, hue in _HUES.items() if key in name), _HUES["bits"])
    return go.Heatmap(
        x=list(range(len(values))),
        y=[row],
        z=[values],
        zmin=0,
        zmax=100 if "[%]" in name else 8,
        colorscale=hue,
        showscale=False,
        xgap=2,
        ygap=3,
        textfont={"size": 13},
        text=[["" if value is None else f"{value:.3g}" for value in values]],
        texttemplate="%{text}",
        customdata=[hovers],
        hovertemplate=f"%{{customdata}}<br>{name} %{{z:.3g}}<extra></extra>",
        hoverongaps=False,
    )
