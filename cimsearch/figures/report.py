"""The report: one HTML file with everything in it, which opens without a network."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from cimsearch.figures.adapted import (
    adaptation_sentence,
    adaptation_table,
    changes_table,
    one_gene_table,
)
from cimsearch.figures.baselines import baseline_table
from cimsearch.figures.describe import bits_summary, weighted
from cimsearch.figures.gallery import figures
from cimsearch.figures.html import Html, join, json_script, sideways, table, tag, write_page
from cimsearch.figures.progress import hypervolume_sentences, reference_text
from cimsearch.figures.rungs import rungs_table
from cimsearch.figures.scale import DASH
from cimsearch.figures.settings import settings_text
from cimsearch.figures.statement import headline, statements
from cimsearch.figures.style import TEMPLATES
from cimsearch.figures.tables import (
    calibration_table,
    conditions_table,
    cost_table,
    front_table,
    hardware_table,
    provenance_table,
)
from cimsearch.figures.view import Point, StudyView
from cimsearch.figures.view_adapted import AdaptationView
from cimsearch.figures.workloads import workloads_table
from cimsearch.units import show

# The page may run what is written in it and may load nothing, from anywhere.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
_EMPTY = "No trial has ended yet. Write the report again when the study has run."
_SECTIONS = (
    ("about", "What the numbers are"),
    ("pareto", "Pareto front"),
    ("table", "Front and baselines"),
    ("energy", "Where the energy goes"),
    ("networks", "Layer by layer"),
    ("adapted", "Adapted to the hardware"),
    ("search", "The search"),
    ("provenance", "Provenance"),
)


def write_report(view: StudyView, path: Path) -> None:
    """Write the report of ``view`` to ``path``, whole or not at all.

    Raises:
        OSError: The file cannot be written there.
    """
    write_page(report_html(view), path)


def report_html(view: StudyView) -> str:
    """Return the report as one HTML document."""
    made = figures(view)
    body = join(
        [
            tag("a", "Skip to the content", href="#about", class_="skip"),
            _header(view),
            _navigation(view),
            tag("main", *_sections(view, made)),
            tag("footer", tag("p", "Written by cimsearch. This file holds all it needs.")),
            tag("noscript", tag("p", "The figures need JavaScript; the tables are complete.")),
            json_script("figures", _plain(made)),
            tag("script", Html(get_plotlyjs())),
            tag("script", Html(_asset("report.js"))),
        ]
    )
    head = join(
        [
            Html('<meta charset="utf-8">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
            tag("title", f"{view.name} · cimsearch"),
            tag("style", Html(_asset("report.css"))),
        ]
    )
    return "<!doctype html>\n" + tag("html", tag("head", head), tag("body", body), lang="en")


def _asset(name: str) -> str:
    return files("cimsearch.figures").joinpath(name).read_text(encoding="utf-8")


def _plain(made: dict[str, Figure]) -> dict[str, Any]:
    """Return figures and templates as JSON data; the page puts the template of its mode in."""
    drawn = {name: json.loads(made_figure.to_json()) for name, made_figure in made.items()}
    for description in drawn.values():
        del description["layout"]["template"]
    templates = {name: template.to_plotly_json() for name, template in TEMPLATES.items()}
    return {"figures": drawn, "templates": templates}


def _header(view: StudyView) -> Html:
    tiles = (
        tag("div", tag("dt", label), tag("dd", value), tag("dd", remark))
        for label, value, remark in headline(view)
    )
    return tag(
        "header",
        tag("h1", view.name),
        tag("p", view.summary, class_="lead"),
        tag("p", view.hardware, class_="lead"),
        tag("dl", *tiles, class_="tiles"),
    )


def _shown(view: StudyView) -> tuple[tuple[str, str], ...]:
    """Return the sections of the page: that of an adaptation only where there is one."""
    return tuple(each for each in _SECTIONS if each[0] != "adapted" or view.adaptation)


def _navigation(view: StudyView) -> Html:
    links = (tag("li", tag("a", title, href=f"#{name}")) for name, title in _shown(view))
    return tag("nav", tag("ul", *links, class_="scroll"), class_="frame", aria_label="Sections")


def _sections(view: StudyView, made: dict[str, Figure]) -> Iterator[Html]:
    contents = {
        "about": _about(view),
        "pareto": _pareto(made),
        "table": _tables(view),
        "energy": _energy(made),
        "networks": _networks(view, made),
        "adapted": _adapted(view.adaptation, made) if view.adaptation else "",
        "search": _search(view, made),
        "provenance": table(provenance_table(view)),
    }
    for name, title in _shown(view):
        kind = "statement" if name == "about" else "part"
        heading = tag("h2", title, id=f"{name}-title")
        yield tag(
            "section",
            heading,
            contents[name],
            id=name,
            class_=kind,
            aria_labelledby=f"{name}-title",
        )


def _plot(made: dict[str, Figure], name: str, caption: str, *, min_width: int = 0) -> Html:
    """Return the place where the page draws a figure, or a word that there is nothing yet."""
    if name not in made:
        return tag("p", _EMPTY, class_="empty")
    style = f"height:{made[name].layout.height}px;min-width:{min_width}px"
    slot = tag("div", data_figure=name, role="img", aria_label=caption, style=style)
    return tag("figure", sideways(slot, f"{name}, figure"), tag("figcaption", caption))


def _about(view: StudyView) -> Html:
    return tag("ul", *(tag("li", sentence) for sentence in statements(view)))


def _pareto(made: dict[str, Figure]) -> Html:
    flat = (
        "Each mark is a trial. Filled diamonds are the Pareto front in all objectives, with the "
        "standard deviation over chips where the accuracy is their mean; open circles are "
        "dominated; squares are baselines: with an x a broken one, with a cross one that the "
        "constraints forbid. Infeasible and "
        "failed trials have a price but no accuracy. Hover over a mark for its "
        "numbers; click a diamond for its layers."
    )
    parts = [_plot(made, "pareto", flat)]
    if "pareto_3d" in made:
        parts += [
            tag("h3", "Three objectives at once"),
            _plot(made, "pareto_3d", "The same trials in three objectives. Drag to turn."),
        ]
    return join(parts)


def _tables(view: StudyView) -> Html:
    if not view.front:
        shown = [tag("p", _EMPTY, class_="empty")]
    else:
        shown = [table(front_table(view))]
        if view.conditions:
            shown.append(table(conditions_table(view)))
        if any(point.calibration for point in view.front):
            shown.append(table(calibration_table(view)))
    if view.baselines or view.missing_baselines:
        shown.append(table(baseline_table(view)))
    if view.workloads:
        shown.append(table(workloads_table(view)))
    if hardware_table(view).columns[1:]:
        shown.append(table(hardware_table(view)))
    return join(shown)


def _energy(made: dict[str, Figure]) -> Html:
    caption = (
        "Modelled energy per inference by component, and its shares: the front, the most accurate "
        "first, then the baselines. Labels give the validation accuracy. Nobody has validated the "
        "hatched parts."
    )
    return _plot(made, "energy", caption, min_width=760)


def _networks(view: StudyView, made: dict[str, Figure]) -> Html:
    if not view.front:
        return tag("p", _EMPTY, class_="empty")
    intro = "One entry a point of the front. Darker is more; a blank cell means: does not apply."
    entries = (_network(view, made, point, first=i == 0) for i, point in enumerate(view.front))
    return join([tag("p", intro, class_="note"), *entries])


def _network(view: StudyView, made: dict[str, Figure], point: Point, *, first: bool) -> Html:
    values = zip(view.objectives, point.values, strict=True)
    facts = [show(name, value) for name, value in values]
    facts += [f"{name} {show('accuracy', value)}" for name, value in point.workloads]
    facts += [f"{name} {text}" for name, text in bits_summary(point.layers).items()]
    if point.settings:
        facts.append(f"hardware: {settings_text(point.settings)}")
    if point.stale:
        facts.append(f"stale: accuracy found on {point.stale}")
    name = f"layers_{point.number}"
    caption = f"Trial #{point.number}: bits, pruning and utilization by layer, over its energy."
    summary = tag("summary", tag("strong", f"#{point.number}"), *(tag("span", f) for f in facts))
    plot = _plot(made, name, caption, min_width=max(700, 160 + 76 * len(weighted(point.layers))))
    opened = {"open": "open"} if first else {}
    return tag("details", summary, plot, id=f"layers-{point.number}", class_="network", **opened)


def _parallel_width(made: dict[str, Figure]) -> int:
    """Return in how many pixels the titles of all axes can be read."""
    axes = len(made["parallel"].layout.xaxis.tickvals) if "parallel" in made else 0
    return max(900, 56 * axes)


def _adapted(view: AdaptationView, made: dict[str, Figure]) -> Html:
    caption = (
        "Accuracy against energy, a line a network, from one round to the next. A diamond is what "
        "comes out; squares are the baselines, trained as long."
    )
    parts = [tag("p", adaptation_sentence(view)), _plot(made, "adapted", caption)]
    if view.networks:
        parts.append(table(adaptation_table(view)))
    parts += [table(changes_table(network)) for network in view.networks if network.layers]
    changed = (network for network in view.networks if network.changes)
    parts += [table(one_gene_table(network, view.saved)) for network in changed]
    return join(parts)


def _search(view: StudyView, made: dict[str, Figure]) -> Html:
    volume = (
        "Hypervolume that the front dominates, as a share of the box between the reference point "
        f"({reference_text(view)}) and perfect accuracy at no cost. The point was fixed when the "
        "study began, so the curve never falls. " + hypervolume_sentences(view)
    )
    parallel = (
        "Objectives and genes of the front, coloured by accuracy, among other scored trials in "
        f"grey. Lines that share a choice are fanned out a little; “{DASH}” means that the "
        "network has no such layer. Hover over a line for its numbers; click one of the front for "
        "its layers."
    )
    return join(
        [
            _plot(made, "hypervolume", volume),
            tag("h3", "Which choices lead to the front"),
            _plot(made, "parallel", parallel, min_width=_parallel_width(made)),
            table(rungs_table(view)) if view.rungs else "",
            table(cost_table(view)),
        ]
    )
