"""The verb that morphs the network of a study into a budget of arrays."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.budget import budget_options, step_option
from cimsearch.cli.cost import candidate_of
from cimsearch.cli.genes import genes_option
from cimsearch.cli.output import json_option, percent, print_json, print_table, print_wrapped
from cimsearch.cli.status import report_text
from cimsearch.units import quantity
from cimsearch.units import show as with_unit

if TYPE_CHECKING:
    from cimsearch.cost.budget import ArrayBudget, Unit
    from cimsearch.evaluate.report import Report
    from cimsearch.orchestrate.imported.morph import MorphedStudy, Sized
    from cimsearch.training.morph import Stage

_QUIET_S = 4.0
_PRICES = ("energy_pj", "latency_ns", "area_um2")


@click.command()
@click.argument("study")
@budget_options
@click.option(
    "--to",
    required=True,
    metavar="NAME.yaml",
    type=click.Path(path_type=Path),
    help="The space's file to write; weights become NAME.safetensors.",
)
@click.option("--data", metavar="DIR", help="Where the data lies; goes before CIMSEARCH_DATA.")
@genes_option
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=2,
    show_default=True,
    help="How often it is shrunk and expanded.",
)
@click.option(
    "--shrink-epochs",
    type=click.FloatRange(0, min_open=True),
    default=3.0,
    show_default=True,
    help="Training with the penalty, each round.",
)
@click.option(
    "--tune-epochs",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Training after the expansion, each round.",
)
@step_option
@click.option(
    "--least", type=click.IntRange(2), default=4, show_default=True, help="The least width."
)
@click.option("--force", is_flag=True, help="Write over files that are there.")
@json_option
def morph(
    study: str,
    budget: int,
    unit: "Unit",
    to: Path,
    data: str | None,
    genes: str | None,
    rounds: int,
    shrink_epochs: float,
    tune_epochs: float,
    step: int,
    least: int,
    force: bool,
    as_json: bool,
) -> None:
    """Morph the largest network of STUDY into a budget of arrays, with its float weights.

    It is trained as the study says, its channels are shrunk at the price that each has on the
    hardware, and widths that fill the budget are trained on, in this process. What is written is
    a space of one trained network. Bits are uniform 8 bit, or as --genes says.
    """
    from cimsearch.cost.budget import ArrayBudget
    from cimsearch.orchestrate.imported.morph import Order, morph_study
    from cimsearch.space import space_of
    from cimsearch.space.fill import Grid
    from cimsearch.spec import load_study
    from cimsearch.training.morph import Morphing

    spec = load_study(study)
    candidate = candidate_of(space_of(spec), spec.hardware, genes)
    allowed = ArrayBudget(budget, spec.machine(candidate.settings), unit)
    plan = Morphing(rounds, shrink_epochs, tune_epochs, grid=Grid(step, least))
    told = _Told(allowed, plan.rounds)
    order = Order(spec, candidate, allowed, plan, to, data, force)
    found = morph_study(order, on_report=told.report, on_stage=told.stage)
    if as_json:
        print_json(_facts(found, to))
        return
    click.echo(f"{spec.space.name} in {allowed} of {allowed.hardware.name}, as {spec.name} says\n")
    _show(found)
    click.echo(f"\nwritten: {to} and {to.with_suffix('.safetensors')}")
    given = f"--hardware {spec.spec.hardware} --data {study}"
    click.echo(f"look at it: cimsearch network assess {to} {given}")


class _Told:
    """Tells on stderr how far it is."""

    def __init__(self, budget: "ArrayBudget", rounds: int) -> None:
        self._budget = budget
        self._rounds = rounds
        self._shown_s = 0.0

    def report(self, report: "Report") -> None:
        """Tell of an epoch of the parent, now and then."""
        now = time.monotonic()
        if report.epoch == report.epochs or now - self._shown_s >= _QUIET_S:
            click.echo(report_text(report), err=True)
            self._shown_s = now

    def stage(self, stage: "Stage") -> None:
        """Tell of a stage."""
        where = f"round {stage.round}/{self._rounds} " if stage.round else ""
        alive = " alive" if stage.kind == "shrunk" else ""
        click.echo(
            f"{where}{stage.kind}: {stage.units} {self._budget.unit}{alive}, "
            f"{percent(stage.usage_frac)} of the budget's cells, "
            f"{percent(stage.accuracy)} right on validation images",
            err=True,
        )


def _rows(found: "MorphedStudy") -> dict[str, "Sized"]:
    return {"parent": found.parent, "uniform width": found.uniform, "morphed": found.morphed}


def _facts(found: "MorphedStudy", to: Path) -> dict[str, Any]:
    networks = {
        name.split()[0]: {
            "units": each.units,
            "usage_frac": each.usage_frac,
            "weights": each.blueprint.weights,
            **{price: float(getattr(each.price, price)) for price in _PRICES},
            "accuracy": each.accuracy,
        }
        for name, each in _rows(found).items()
    }
    widths = {
        name: dict(zip(networks, channels, strict=True)) for name, channels in found.widths.items()
    }
    return {
        "file": str(to),
        "weights_sha256": found.spec.weights_sha256,
        "budget": found.budget.limit,
        "unit": found.budget.unit,
        **networks,
        "widths": widths,
        "split": "validation",
        "images": found.images,
        "history": [asdict(stage) for stage in found.history],
    }


def _show(found: "MorphedStudy") -> None:
    """Print the networks and their widths."""
    header = ["", found.budget.unit, "cells in use", "weights", *map(quantity, _PRICES)]
    rows = [
        [
            name,
            str(each.units),
            percent(each.usage_frac),
            f"{each.blueprint.weights:,}",
            *(with_unit(price, float(getattr(each.price, price))) for price in _PRICES),
            percent(each.accuracy),
        ]
        for name, each in _rows(found).items()
    ]
    print_table([*header, "float accuracy"], rows)
    print_wrapped(
        f"cells in use: of those of the budget; float accuracy: on {found.images} validation "
        "images; the network of uniform width was priced and not trained",
        hanging="  ",
    )
    click.echo("")
    print_table(
        ["channels", "parent", "uniform", "morphed"],
        [[name, *map(str, channels)] for name, channels in found.widths.items()],
    )
