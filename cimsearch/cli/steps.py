"""The verb ``steps``: small changes of a network that cross a boundary of the hardware."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cimsearch.cli.cost import candidate_of
from cimsearch.cli.genes import genes_option
from cimsearch.cli.output import json_option, percent, print_json, print_table
from cimsearch.units import show as with_unit

if TYPE_CHECKING:
    from cimsearch.cost.staircase import Step


@click.command()
@click.argument("space")
@click.option("--hardware", required=True, metavar="NAME", help="A macro or system.")
@genes_option
@click.option("--top", default=10, type=click.IntRange(min=1), help="Rows to print. Default: 10.")
@json_option
def steps(space: str, hardware: str, genes: str | None, top: int, as_json: bool) -> None:
    """Show small changes of width or bits that cross a boundary of the hardware.

    Takes the uniform 8-bit baseline of SPACE, or the network that --genes names.
    """
    from cimsearch.api import load_space
    from cimsearch.cost.staircase import FREE_ENERGY_FRAC, staircase
    from cimsearch.spec import load_hardware

    networks, machine = load_space(space), load_hardware(hardware)
    candidate = candidate_of(networks, machine, genes)
    found = staircase(candidate.blueprint, machine)
    if as_json:
        print_json(asdict(found))
        return
    free = percent(FREE_ENERGY_FRAC)
    savings = [step for step in found.steps if step.energy_saved_pj > 0]
    costs = [step for step in found.steps if step.energy_saved_pj <= 0]
    click.echo(
        f"{space} on {machine.name} in {machine.system_name}, per inference; a negative saving "
        "is a cost, negative weights lost are gained"
    )
    for title, rows in (
        ("Savings, most energy per share of the weights lost first; bits lose none", savings),
        ("Changes that cost energy, least per share of the weights gained first", costs),
        (f"Gains that are free: no boundary, at most {free} energy", found.free),
    ):
        if rows:
            click.echo(f"\n{title} ({min(top, len(rows))} of {len(rows)}):")
            _print(rows[:top], at_once=machine.system.execution != "layer_by_layer")
    if not found.steps and not found.free:
        click.echo("\nno small change crosses a boundary, and no gain is free")


def _print(rows: Sequence["Step"], *, at_once: bool) -> None:
    header = ["where", "change", "energy saved", "", "latency saved"]
    header += [*(["interval saved"] * at_once), "area saved", "arrays saved", "weights lost"]
    lines = [
        [
            step.where,
            f"{step.kind} {step.before} -> {step.after}",
            with_unit("energy_pj", step.energy_saved_pj),
            percent(step.energy_saved_frac),
            with_unit("latency_ns", step.latency_saved_ns),
            *([with_unit("interval_ns", step.interval_saved_ns)] * at_once),
            with_unit("area_um2", step.area_saved_um2),
            str(step.arrays_saved),
            percent(step.weights_lost_frac),
            ", ".join(step.crosses) or "-",
        ]
        for step in rows
    ]
    print_table([*header, "crosses"], lines)
