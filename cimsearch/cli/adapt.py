"""The verb that adapts what a search finds."""

from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.output import json_option, percent, print_json, print_table, storage_option
from cimsearch.cli.run import cluster_option, resumable
from cimsearch.units import quantity
from cimsearch.units import show as with_unit

if TYPE_CHECKING:
    from cimsearch.orchestrate.read.adaptation import Adapting
    from cimsearch.orchestrate.read.adapted_changes import Changed
    from cimsearch.orchestrate.read.adapted_steps import Chain, Step


@click.command()
@click.argument("study")
@storage_option
@click.option("--workers", type=click.IntRange(1), help="Local worker processes.")
@cluster_option
@click.option("--data", metavar="DIR", help="Where the data lies; goes before CIMSEARCH_DATA.")
@click.option(
    "--choose-anew",
    is_flag=True,
    help="Choose of the front as it is now, though this adaptation has chosen before.",
)
@json_option
def adapt(
    study: str,
    storage: str | None,
    workers: int | None,
    cluster: str | None,
    data: str | None,
    choose_anew: bool,
    as_json: bool,
) -> None:
    """Search as STUDY says, then adapt the networks of the front to the hardware.

    The networks are trained through the hardware, pruned where that saves most, and trained
    again, round by round, as long as they stay accurate enough: see `adapt:` in the study file.
    What the database has of it already is not done again.
    """
    from cimsearch.cli.live import LiveProgress
    from cimsearch.orchestrate.adapt.adapt import adapt as run
    from cimsearch.spec import load_study

    spec = load_study(study)
    again = f"cimsearch adapt {study}"
    with resumable(again, LiveProgress()) as progress:
        found = run(
            spec,
            storage=storage,
            workers=workers,
            cluster=cluster,
            data=data,
            choose_anew=choose_anew,
            on_progress=progress,
        )
    if as_json:
        print_json(facts(found))
    else:
        show(found)


def facts(found: "Adapting") -> dict[str, Any]:
    """Return an adaptation as plain data."""
    delivered = found.delivered()
    return {
        "study": found.plan.study.name,
        "least_accuracy": found.least_accuracy,
        "networks": [
            {
                "name": chain.name,
                "ended_by": chain.ended_by,
                "steps": [_step_facts(found, step) for step in chain.steps],
                "delivered": delivered[chain.name].label if chain.name in delivered else None,
                "changes": [
                    _change_facts(found, change)
                    for change in _changes(found, delivered.get(chain.name))
                ],
            }
            for chain in (*found.baselines, *found.chains)
        ],
    }


def _step_facts(found: "Adapting", step: "Step") -> dict[str, Any]:
    score, test, cost = step.score, found.test_score(step), step.cost
    return {
        "label": step.label,
        "evaluation": step.row.id if step.row else None,
        "kind": step.kind,
        "round": step.round,
        "accuracy": score.accuracy_by(found.statistic) if score else None,
        "test_accuracy": test.accuracy_by(found.statistic) if test else None,
        "weights": step.candidate.blueprint.weights,
        **{name: cost[name] for name in ("energy_pj", "latency_ns", "area_um2", "utilization")},
        "removed": [list(each) for each in step.removed],
        "blocks_removed": list(step.blocks),
    }


def _changes(found: "Adapting", delivered: "Step | None") -> tuple["Changed", ...]:
    return found.changes_of(delivered) if delivered else ()


def _change_facts(found: "Adapting", change: "Changed") -> dict[str, Any]:
    return {
        "gene": change.gene,
        "before": change.before,
        "after": change.after,
        "saved": {found.saved: change.cost[0] - change.cost[1]},
        "saved_frac": change.saved_frac,
        "accuracy_change": change.gained,
        "chip_standard_error": change.chip_error,
        "image_standard_error_at_most": change.image_error,
    }


def show(found: "Adapting") -> None:
    """Print an adaptation: a table a network."""
    rung, study, number = found.how.training, found.plan.study, len(found.chains)
    click.echo(
        f"{study.name}: {number} network{'s' if number != 1 else ''} of the front, adapted to "
        f"{study.hardware.name}\naccuracy at level {rung.score_level}, the {found.statistic} of "
        f"{rung.chips} chips after {rung.epochs} epochs; energy, latency and area per inference, "
        "modelled\n"
    )
    for chain in (*found.baselines, *found.chains):
        _print_chain(found, chain)
    if found.least_accuracy is not None:
        drop = f"{100 * found.how.max_accuracy_drop:.1f} points"
        click.echo(
            f"accurate enough is {percent(found.least_accuracy)} on validation images: "
            f"{drop} below the best of the uniform networks"
        )


def _print_chain(found: "Adapting", chain: "Chain") -> None:
    """Print what was done with a network: a row for each time it was trained."""
    best = found.delivered().get(chain.name)
    header = ["", "number", "accuracy", "test", "energy", "of first"]
    header += ["latency", "area", "utilization", "weights"]
    rows: list[list[str]] = []
    first = chain.steps[0].cost["energy_pj"]
    for step in chain.trained:
        cost, score, test = step.cost, step.score, found.test_score(step)
        mark = " *" if len(chain.trained) > 1 and step == best else ""
        rows.append(
            [
                step.label + mark,
                f"#{step.row.id}" if step.row else "-",
                percent(score.accuracy_by(found.statistic) if score else None),
                percent(test.accuracy_by(found.statistic) if test else None),
                with_unit("energy_pj", cost["energy_pj"]),
                percent(cost["energy_pj"] / first),
                with_unit("latency_ns", cost["latency_ns"]),
                with_unit("area_um2", cost["area_um2"]),
                percent(cost["utilization"]),
                str(step.candidate.blueprint.weights),
            ]
        )
    print_table(header, rows)
    for step in chain.steps:
        if step.blocks:
            click.echo(f"round {step.round} took the blocks {', '.join(step.blocks)}")
    if chain in found.chains or not rows:
        click.echo(f"ended: {chain.ended_by}" + ("; * is delivered" if len(rows) > 1 else ""))
    _print_changes(found, best)
    click.echo("")


def _print_changes(found: "Adapting", delivered: "Step | None") -> None:
    """Print the cheapest one-gene changes of what is delivered, if any was scored."""
    changes = _changes(found, delivered)
    if not changes:
        return
    click.echo("\nthe cheapest changes of one gene, nothing trained again:")
    name = found.saved
    header = ["change", f"{quantity(name)} saved", "of it", "accuracy", "+- chips", "+- images"]
    print_table(
        header,
        [
            [
                f"{change.gene} {change.before} -> {change.after}",
                with_unit(name, change.cost[0] - change.cost[1]),
                percent(change.saved_frac),
                f"{100 * change.gained:+z.1f} pp",
                _points(change.chip_error),
                _points(change.image_error),
            ]
            for change in changes
        ],
    )


def _points(error: float | None) -> str:
    return "-" if error is None else f"{100 * error:.1f} pp"
