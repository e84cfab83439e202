"""The verb that fits the widths of a network into a budget of arrays."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.budget import budget_options, step_option
from cimsearch.cli.cost import candidate_of
from cimsearch.cli.genes import genes_option
from cimsearch.cli.output import json_option, percent, print_json, print_table

if TYPE_CHECKING:
    from cimsearch.cost.budget import Unit
    from cimsearch.orchestrate.imported.fill import Fitted


@click.command()
@click.argument("space")
@click.option("--hardware", required=True, metavar="NAME", help="A macro or system.")
@budget_options
@genes_option
@step_option
@click.option(
    "--least", type=click.IntRange(1), default=4, show_default=True, help="The least width."
)
@click.option(
    "--to",
    metavar="NAME.yaml",
    type=click.Path(path_type=Path),
    help="Write the network as a space, whose bits can be searched.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
def fill(
    space: str,
    hardware: str,
    budget: int,
    unit: "Unit",
    genes: str | None,
    step: int,
    least: int,
    to: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Find the widths with which the network of SPACE fills a budget of arrays.

    Beside it stands the widest network whose widths are all the same share. Bits are uniform 8
    bit, or as --genes says; nothing is trained.
    """
    from cimsearch.api import load_space
    from cimsearch.cost.budget import ArrayBudget
    from cimsearch.orchestrate.imported.fill import fitted, write_filled
    from cimsearch.space.fill import Grid
    from cimsearch.spec import load_hardware

    networks, machine = load_space(space), load_hardware(hardware)
    candidate = candidate_of(networks, machine, genes)
    found = fitted(candidate, ArrayBudget(budget, machine, unit), Grid(step, least))
    if to is not None:
        write_filled(found, networks.spec, to, force=force)
    if as_json:
        print_json(_facts(found))
    else:
        _show(found, space)
        if to is not None:
            click.echo(f"\nwritten: {to}, without weights: a study that names it trains them")


def _facts(found: "Fitted") -> dict[str, Any]:
    both = {"uniform": found.uniform, "filled": found.filled}
    facts = {
        name: {
            "units": each.units,
            "usage_frac": each.usage_frac,
            "weights": each.blueprint.weights,
            "ratio": each.ratio,
        }
        for name, each in both.items()
    }
    widths = {name: {"uniform": u, "filled": f} for name, (u, f) in found.widths.items()}
    return {
        "budget": found.budget.limit,
        "unit": found.budget.unit,
        **facts,
        "widths": widths,
    }


def _show(found: "Fitted", space: str) -> None:
    budget = found.budget
    click.echo(f"{space} in {budget} of {budget.hardware.name}\n")
    rows = [
        [name, str(each.units), percent(each.usage_frac), f"{each.blueprint.weights:,}"]
        for name, each in (("uniform", found.uniform), ("filled", found.filled))
    ]
    print_table(["", budget.unit, "cells in use", "weights"], rows)
    click.echo("")
    print_table(
        ["channels", "uniform", "filled"],
        [[name, str(narrow), str(wide)] for name, (narrow, wide) in found.widths.items()],
    )
