"""All figures of a study."""

import plotly.graph_objects as go

from cimsearch.figures.adapted import adaptation_figure
from cimsearch.figures.energy import energy_data, energy_figure
from cimsearch.figures.layers import layers_data, layers_figure
from cimsearch.figures.parallel import parallel_data, parallel_figure
from cimsearch.figures.pareto import pareto_data, pareto_figure
from cimsearch.figures.pareto_3d import pareto_3d_figure
from cimsearch.figures.progress import hypervolume_data, hypervolume_figure
from cimsearch.figures.view import StudyView


def figures(view: StudyView) -> dict[str, go.Figure]:
    """Return the figures by name; one that would be empty is left out."""
    made: dict[str, go.Figure] = {}
    if view.points or view.baselines:
        pareto = pareto_data(view)
        made["pareto"] = pareto_figure(pareto)
        if len(view.objectives) > 2 and (view.scored or view.baselines):
            made["pareto_3d"] = pareto_3d_figure(pareto)
    if view.hypervolume:
        made["hypervolume"] = hypervolume_figure(hypervolume_data(view))
    if view.scored:
        made["parallel"] = parallel_figure(parallel_data(view))
    energy = energy_data(view)
    if energy.energy_pj:
        made["energy"] = energy_figure(energy)
    for point in view.front:
        made[f"layers_{point.number}"] = layers_figure(layers_data(view, point))
    if view.adaptation and view.adaptation.networks:
        made["adapted"] = adaptation_figure(view.adaptation)
    return made
