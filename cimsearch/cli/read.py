"""Verbs that read a study."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.accuracy_text import print_accuracy
from cimsearch.cli.facts import front_facts, stale_of, trial_facts
from cimsearch.cli.front_text import accuracy_of, print_front
from cimsearch.cli.output import (
    json_option,
    percent,
    print_json,
    print_table,
    storage_option,
)
from cimsearch.errors import StudyError, UsageError
from cimsearch.units import quantity
from cimsearch.units import show as with_unit

if TYPE_CHECKING:
    from cimsearch.orchestrate.read.results import StudyResult, TrialResult
    from cimsearch.spec import Hardware


def read_study(name: str, storage: str | None) -> "StudyResult":
    """Return the study of that name from the database, which must exist."""
    from cimsearch.orchestrate.read.results import read_result
    from cimsearch.orchestrate.run.stored import require_study, storage_url
    from cimsearch.store import open_storage

    database = open_storage(storage_url(storage), create=False)
    return read_result(database, require_study(database, name).id)


@click.command()
@click.argument("name")
@storage_option
@click.option("--uncertain", is_flag=True, help="How sure each point is, if energies are off.")
@click.option(
    "--draws", default=1000, show_default=True, type=click.IntRange(1), help="For --uncertain."
)
@click.option(
    "--fitness",
    nargs=2,
    type=click.FloatRange(min=0),
    metavar="ALPHA BETA",
    help="The one network of the greatest accuracy - ALPHA energy - BETA latency, both as shares "
    "of the largest uniform 8-bit network's.",
)
@json_option
def front(
    name: str,
    uncertain: bool,
    draws: int,
    fitness: tuple[float, float] | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """Print the Pareto front of the study NAME, cheapest first, with its baselines.

    With --uncertain also in which share of draws each trial is on it, where each draw scales the
    components of the energy of all networks as far off as published chips were.
    """
    from cimsearch.cli.choice import show_answer, show_odds

    if uncertain and fitness:
        raise UsageError("found --uncertain and --fitness; allowed is one of them")
    result = read_study(name, storage)
    if uncertain:
        show_odds(result, draws, as_json=as_json)
    elif fitness:
        show_answer(result, fitness, as_json=as_json)
    elif as_json:
        print_json(front_facts(result))
    else:
        print_front(result)


@click.command()
@click.argument("name")
@click.argument("number", type=click.IntRange(0))
@click.option(
    "--target",
    type=click.FloatRange(0, 1),
    metavar="ACCURACY",
    help="Tell the yield: the share of chips of at least this accuracy (0 to 1).",
)
@storage_option
@json_option
def trial(
    name: str, number: int, target: float | None, storage: str | None, as_json: bool
) -> None:
    """Show trial NUMBER of the study NAME: objectives, chips, genes, and the cost of layers."""
    result = read_study(name, storage)
    if number >= len(result.trials):
        raise StudyError(
            f"{name}: no trial {number}", f"it has trials 0 to {len(result.trials) - 1}"
        )
    found, stale = result.trials[number], stale_of(result).get(f"trial {number}")
    if as_json:
        whole = {"cost": found.cost, "genes": dict(found.genes), "stale": stale is not None}
        whole["settings"] = dict(result.settings_of(found.candidate))
        statistic = {"accuracy_statistic": result.study.spec.accuracy_statistic}
        print_json(trial_facts(found, target=target) | statistic | whole)
        return
    _print_trial(result, found, target, stale)


def _print_trial(
    result: "StudyResult", found: "TrialResult", target: float | None, stale: "Hardware | None"
) -> None:
    """Print a trial: objectives, chips, genes and the cost of layers."""
    at = f" at rung {found.rung}" if len(result.by_rung) > 1 else ""
    click.echo(f"trial {found.number} of {result.name}: {found.state}{at}")
    if stale is not None:
        click.echo(f"  accuracies are stale: they were found on {stale.name}")
    for key, value in found.objectives.items():
        of = f" ({accuracy_of(result)})" if key == "accuracy" else ""
        click.echo(f"  {quantity(key):24} {with_unit(key, value)}{of}")
    if found.energy_measured_pj is not None:
        measured = with_unit("energy_measured_pj", found.energy_measured_pj)
        click.echo(f"  {'energy measured':24} {measured} (at its own activity and density)")
    if found.reason:
        click.echo(f"  failed: {found.reason}")
    if found.score is not None:
        print_accuracy("on validation images", found.score, target=target)
    if found.test is not None:
        print_accuracy("on test images, on other chips", found.test, target=target)
    width = max(24, *map(len, found.genes)) if found.genes else 24
    for key, gene in found.genes.items():
        click.echo(f"  {key:{width}} {gene}")
    if found.cost:
        click.echo()
        print_layers(found.cost)


@click.command()
@click.argument("name")
@storage_option
@click.option("--output", "-o", metavar="FILE", help="Default: reports/NAME.html.")
def report(name: str, storage: str | None, output: str | None) -> None:
    """Write the HTML report of the study NAME: one file that works offline."""
    click.echo(str(write_report_file(read_study(name, storage), output)))


def write_report_file(result: "StudyResult", output: str | None) -> Path:
    """Write the report and return where it is."""
    from cimsearch.figures import write_report
    from cimsearch.orchestrate.read.view import study_view

    path = Path(output) if output else Path("reports") / f"{result.name}.html"
    if path.is_dir() or not path.name:
        raise UsageError(f"--output: {path} is a directory; a file's name is wanted")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_report(study_view(result), path)
    except OSError as error:
        raise UsageError(f"{path}: the report cannot be written: {error.strerror}") from error
    return path


def print_layers(cost: Any) -> None:
    """Print the cost of each layer and of each component, from a cost report as plain data."""
    layers, total = cost["layers"], cost["energy_pj"]
    header = ["layer", "energy [pJ]", "latency [ns]", "utilization"]
    rows = [
        [
            c["name"],
            f"{c['energy_pj']:.4g}",
            f"{c['latency_ns']:.4g}",
            percent(c["utilization"] or None),
        ]
        for c in layers
    ]
    if any(c["copies"] > 1 for c in layers):
        header.append("copies")
        for row, c in zip(rows, layers, strict=True):
            row.append(str(c["copies"]) if c["copies"] else "-")
    groups = cost.get("groups", ())
    if groups:
        header.append("group")
        numbers = [number for number, group in enumerate(groups, 1) for _ in group["layers"]]
        for row, number in zip(rows, numbers, strict=True):
            row.append(str(number))
    print_table(header, rows)
    if groups:
        click.echo()
        _print_groups(groups)
    click.echo()
    print_table(
        ["component", "energy [pJ]", "share"],
        [[k, f"{v:.4g}", percent(v / total)] for k, v in cost["components"].items() if v],
    )


def _print_groups(groups: Sequence[Any]) -> None:
    """Print the groups of fused layers, from a cost report as plain data."""
    times = ("loading", "latency", "interval", "batch")
    print_table(
        ["group", "macros", *(f"{name} [ns]" for name in times), "layers"],
        [
            [
                str(number),
                str(group["macros"]) if group["fits"] else f"{group['macros']}, in rounds",
                *(f"{group[f'{name}_ns']:.4g}" for name in times),
                _ends(group["layers"]),
            ]
            for number, group in enumerate(groups, 1)
        ],
    )
    click.echo(
        "loading: of the group's weights, once a batch; latency: of one inference after that; "
        "batch: loading and all inferences"
    )


def _ends(names: Sequence[str]) -> str:
    """Return the first of ``names`` and the last."""
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
