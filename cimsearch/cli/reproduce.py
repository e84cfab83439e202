"""The verb ``reproduce``: published figures and ours beside them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cimsearch.cli.output import json_option, print_json, print_table, print_wrapped
from cimsearch.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from cimsearch.orchestrate.reproduce import Reproduction

_STEPS = "partial_sum_steps"
_NAMES = ("geometry", "voltage_sweep", _STEPS)


@click.command()
@click.argument("name", type=click.Choice(_NAMES))
@click.option(
    "--data", metavar="DIR", envvar="CIMSEARCH_DATA", help=f"CIFAR-10, for {_STEPS} alone."
)
@click.option(
    "--parent",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Trained float network for {_STEPS}, a safetensors file; made if it is not there.",
)
@json_option
@click.pass_context
def reproduce(
    ctx: click.Context, name: str, data: str | None, parent: Path | None, as_json: bool
) -> None:
    """Compute published figures again: paper, ours, tolerance, pass or miss.

    geometry: bitlines and usage of known networks on arrays of 256 wordlines. voltage_sweep:
    efficiency of published macros at other supplies, predicted from one. partial_sum_steps: what
    a step of partial sums for each column gains over one a layer; takes some minutes of training.
    The exit code is 1 if a figure is missed.
    """
    if parent is not None and name != _STEPS:
        raise UsageError(f"--parent: {name} has no network to train; allowed with {_STEPS}")
    found = _reproduction(name, data, parent)
    if as_json:
        rows = [asdict(row) for row in found.rows]
        print_json(asdict(found) | {"rows": rows, "passed": found.passed})
    else:
        _print(found)
    if not found.passed:
        ctx.exit(ExitCode.FAILED)


def _reproduction(name: str, data: str | None, parent: Path | None) -> "Reproduction":
    from cimsearch.orchestrate.reproduce import WITHOUT_DATA

    if name in WITHOUT_DATA:
        return WITHOUT_DATA[name]()
    from cimsearch.orchestrate.reproduce.steps import partial_sum_steps

    return partial_sum_steps(data, parent, on_epoch=_say)


def _say(epoch: int, epochs: int) -> None:
    click.echo(f"float: epoch {epoch} of {epochs}", err=True)


def _print(found: "Reproduction") -> None:
    click.echo(f"{found.name}: {found.title}\n")
    sources = list(dict.fromkeys((row.evidence, row.source) for row in found.rows))
    header = ["", "paper", "ours", "unit", "tolerance", "", "source"]
    lines = [
        [
            row.what,
            _figure(row.paper),
            _figure(row.ours),
            row.unit,
            row.tolerance,
            "pass" if row.passed else "MISS",
            f"[{sources.index((row.evidence, row.source)) + 1}]",
        ]
        for row in found.rows
    ]
    print_table(header, lines)
    click.echo()
    for number, (evidence, source) in enumerate(sources, 1):
        print_wrapped(f"[{number}] {evidence}: {source}")
    click.echo()
    for note in found.notes:
        print_wrapped(note, hanging="")
    missed = sum(not row.passed for row in found.rows)
    click.echo(f"\n{len(found.rows) - missed} of {len(found.rows)} reproduced")


def _figure(value: float) -> str:
    """Return a figure as the source has it: whole numbers with separators."""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:g}"
