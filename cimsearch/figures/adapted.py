"""The adaptation of a report: accuracy against energy round by round, and the tables of it."""

import plotly.graph_objects as go

from cimsearch.figures.scale import ARROW, MINUS, cost_axis, plain, scale_for
from cimsearch.figures.settings import field_name
from cimsearch.figures.style import BLUE, GREEN, GREY, LEGEND, ORANGE, PURPLE, SKY, figure
from cimsearch.figures.tables import GAP, Table, gap, percent
from cimsearch.figures.view_adapted import AdaptationView, AdaptedNetwork
from cimsearch.units import show

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY)


def adaptation_sentence(view: AdaptationView) -> str:
    """Return what was done, and what accurate enough is."""
    chips = "1 chip" if view.chips == 1 else f"the {view.statistic} of {view.chips} chips"
    return (
        "Networks of the front, and the baselines, are trained through the hardware for "
        f"{view.epochs} epochs and scored at level {view.level} on {chips}"
        f"{_pruning_text(view)} Test images are scored once, on other chips."
    )


def _pruning_text(view: AdaptationView) -> str:
    """Return what follows the training, and until when."""
    if not view.taken:
        return "; nothing is pruned."
    going_on = f"; then {view.taken} are taken away where that saves most, and the rest is trained"
    if view.least_accuracy is None:
        return f"{going_on} again. The baselines are not all trained yet."
    return (
        f"{going_on} again. A network is pruned on as long as it is at "
        f"{100 * view.least_accuracy:.1f} % or above on validation images."
    )


def adaptation_figure(view: AdaptationView) -> go.Figure:
    """Return accuracy against energy: a line a network, from round to round."""
    energies = [step.energy_pj for network in view.networks for step in network.steps]
    scale = scale_for("energy_pj", energies)
    traces = []
    searched = [network for network in view.networks if not network.baseline]
    for network in view.networks:
        place = searched.index(network) if network in searched else 0
        colour = GREY if network.baseline else _COLOURS[place % len(_COLOURS)]
        symbols = [
            "square" if network.baseline else "diamond" if step.delivered else "circle-open"
            for step in network.steps
        ]
        traces.append(
            go.Scatter(
                x=scale.of(step.energy_pj for step in network.steps),
                y=[100 * step.accuracy for step in network.steps],
                mode="lines+markers",
                name=plain(network.name),
                line={"color": colour, "width": 1.5},
                marker={"symbol": symbols, "size": 10, "color": colour},
                customdata=[
                    f"{plain(network.name)}, {plain(step.label)}<br>"
                    f"energy {show('energy_pj', step.energy_pj)}<br>"
                    f"accuracy {percent(step.accuracy)} %, test {percent(step.test_accuracy)} %"
                    for step in network.steps
                ],
                hovertemplate="%{customdata}<extra></extra>",
            )
        )
    return figure(
        traces,
        height=420,
        xaxis=cost_axis(scale, energies),
        yaxis={"title": {"text": "validation accuracy [%]"}},
        legend=LEGEND,
    )


def adaptation_table(view: AdaptationView) -> Table:
    """Return every network after every round."""
    energies = [step.energy_pj for network in view.networks for step in network.steps]
    energy = scale_for("energy_pj", energies)
    latency = scale_for(
        "latency_ns", [step.latency_ns for network in view.networks for step in network.steps]
    )
    area = scale_for(
        "area_um2", [step.area_um2 for network in view.networks for step in network.steps]
    )
    rows = [
        (
            f"{network.name}, {step.label}" + (" *" if step.delivered else ""),
            percent(step.accuracy),
            percent(step.test_accuracy),
            gap(step.accuracy, step.test_accuracy),
            energy.number(step.energy_pj),
            percent(step.energy_pj / network.steps[0].energy_pj),
            latency.number(step.latency_ns),
            area.number(step.area_um2),
            percent(step.utilization),
            f"{step.weights:,}",
        )
        for network in view.networks
        for step in network.steps
    ]
    return Table(
        caption="Networks round by round",
        columns=(
            "network",
            "validation accuracy [%]",
            "test accuracy [%]",
            GAP,
            energy.title,
            "of what it was [%]",
            latency.title,
            area.title,
            "utilization [%]",
            "weights",
        ),
        rows=tuple(rows),
        note="* is what comes out. "
        + " ".join(
            f"{network.name} ended: {network.ended_by}."
            for network in view.networks
            if network.ended_by and (not network.baseline or not network.steps)
        ),
    )


def changes_table(network: AdaptedNetwork) -> Table:
    """Return what became of each layer of a network."""
    scale = scale_for("energy_pj", [change.energy_pj[0] for change in network.layers])
    return Table(
        caption=f"{network.name}, layer by layer: as it was found {ARROW} as it comes out",
        columns=("layer", "channels", scale.title, "utilization [%]"),
        rows=tuple(
            (
                change.name,
                _from_to(*map(str, change.channels)),
                _from_to(*map(scale.number, change.energy_pj)),
                _from_to(*map(percent, change.utilization)),
            )
            for change in network.layers
        ),
        note="Layers of 0 channels went with their residual block."
        if any(not after for _, after in (change.channels for change in network.layers))
        else "",
    )


def one_gene_table(network: AdaptedNetwork, saved: str) -> Table:
    """Return the cheapest one-gene changes of what comes out, with what each saves and costs.

    Args:
        network: What comes out, with its changes.
        saved: The cost that they save of, with its unit.
    """
    scale = scale_for(saved, [change.cost[0] - change.cost[1] for change in network.changes])
    whole = show(saved, network.changes[0].cost[0])
    many = any(change.chip_error is not None for change in network.changes)
    return Table(
        caption=f"{network.name} as it comes out ({whole}): the cheapest changes of one gene",
        columns=(
            "change",
            f"{scale.quantity} saved [{scale.unit}]",
            "of it [%]",
            "accuracy change [pp]",
            "standard error, chips [pp]",
            "images, at most [pp]",
        ),
        rows=tuple(
            (
                f"{_gene(change.gene)} {_from_to(*change.values)}",
                scale.number(change.cost[0] - change.cost[1]),
                percent(1 - change.cost[1] / change.cost[0]),
                _points(change.accuracy[1] - change.accuracy[0]),
                percent(change.chip_error),
                percent(change.image_error),
            )
            for change in network.changes
        ),
        note="Nothing was trained again: weights are those of the network, ranges are fitted "
        "anew, for the network itself as well; chips and images are the same for both. First "
        "stands what loses least accuracy for what it saves."
        + ("" if many else " One chip has no standard error."),
    )


def _gene(name: str) -> str:
    """Return a gene in words, such as ``stage1.layer0: weight bits``."""
    layer, _, kind = name.rpartition(".")
    return f"{layer}: {field_name(kind)}" if layer else name


def _points(difference: float) -> str:
    return f"{100 * difference:+z.1f}".replace("-", MINUS)


def _from_to(before: str, after: str) -> str:
    return before if before == after else f"{before} {ARROW} {after}"
