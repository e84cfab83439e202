"""Plotly figures and the HTML report of a study.

``StudyView`` is all that they show. Plotly is loaded when the first figure is made.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from cimsearch.figures.view import StudyView

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["StudyView", "figures", "write_report"]


def figures(view: StudyView) -> "dict[str, Figure]":
    """Return the figures of a study by name; one that would be empty is left out.

    Names are ``pareto``, ``pareto_3d``, ``hypervolume``, ``parallel``, ``energy`` and, for each
    point of the front, ``layers_<trial number>``.
    """
    from cimsearch.figures.gallery import figures as make

    return make(view)


def write_report(view: StudyView, path: Path) -> None:
    """Write the report of a study to ``path``, whole or not at all.

    Raises:
        OSError: The file cannot be written there.
    """
    from cimsearch.figures.report import write_report as write

    write(view, path)
