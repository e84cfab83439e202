"""Verbs that give a study to others and take one from them."""

import click

from cimsearch.cli.output import storage_option


@click.command("export")
@click.argument("name")
@click.argument("file")
@click.option("--weights", is_flag=True, help="Also the trained networks of the front.")
@storage_option
def export_study(name: str, file: str, weights: bool, storage: str | None) -> None:
    """Write the study NAME into FILE (ending in .cimstudy) for others to look at.

    It holds the study with its space and hardware, all trials, scores and prices, and the front.
    Where your data, database and workers are is left out.
    """
    from cimsearch.orchestrate.derive.share import export_study as export

    click.echo(str(export(name, file, storage=storage, weights=weights)))


@click.command("import")
@click.argument("file")
@click.option("--as", "name", metavar="NAME", help="Another name for the study.")
@storage_option
def import_study(file: str, name: str | None, storage: str | None) -> None:
    """Take the study in FILE into the database, beside your own, to be read only.

    FILE is checked as a whole first; if anything in it is wrong, nothing is written.
    """
    from cimsearch.orchestrate.derive.share import import_study as import_

    study = import_(file, name=name, storage=storage)
    click.echo(f"imported {study.name}: {study.trials} trials, {study.front} on the front")
    click.echo(f"it is read-only: look at it with `cimsearch front {study.name}`")
