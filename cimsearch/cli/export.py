"""Delivering a trained network as files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cimsearch.cli.output import percent, print_table, storage_option

if TYPE_CHECKING:
    from cimsearch.evaluate.report import Report
    from cimsearch.export.write import Written


@click.command("export")
@click.argument("name")
@click.argument("network")
@click.option(
    "--to", required=True, metavar="DIR", type=click.Path(path_type=Path), help="A new directory."
)
@storage_option
@click.option("--data", metavar="DIR", help="Where the data lies now.")
def export(name: str, network: str, to: Path, storage: str | None, data: str | None) -> None:
    """Write a trained NETWORK of the study NAME as files for a chip.

    NETWORK is a trial's number, the name of a baseline or an adapted network, or # and the number
    of an evaluation. The directory has the weights, float and as integers a bit slice, the mapping
    plan, golden vectors of every tile, what each chip said of each image, and a model card;
    `cimsearch verify` checks it.

    Where a trial was scored on test images, the network trained for that is written. A network
    that is no longer in the cache is trained again, to the same bits; imported and pruned weights
    have to be in the cache.
    """
    from cimsearch.orchestrate.derive.deliver import deliver

    _print(deliver(name, network, to, storage=storage, data=data, on_report=_say))


def _say(report: "Report") -> None:
    unit = "chip" if report.stage == "chips" else f"{report.stage}: epoch"
    click.echo(f"{unit} {report.epoch} of {report.epochs}", err=True)


def _print(done: "Written") -> None:
    print_table(
        ["file", "bytes"], [[name, str(size)] for name, size in sorted(done.sizes_bytes.items())]
    )
    score = done.scores.study
    chips = done.scores.accuracy_per_chip
    click.echo(
        f"\n{done.directory}: {percent(sum(chips) / len(chips))}, the mean of {len(chips)} chips "
        f"at level {score.level} on {score.images} {score.split} images"
    )
    for note in done.notes:
        click.echo(f"note: {note}")
    click.echo(f"check it with: cimsearch verify {done.directory}")
