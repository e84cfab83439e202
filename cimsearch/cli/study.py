"""Verbs that steer a whole study, bring it into a database, out of one, or to other hardware."""

from contextlib import closing

import click

from cimsearch.cli.archive import export_study, import_study
from cimsearch.cli.enqueue import enqueue
from cimsearch.cli.output import storage_option
from cimsearch.cli.reprice import reprice, rescore


@click.group()
def study() -> None:
    """Steer and share studies, take over those of others, take one to other hardware."""


@study.command("import-optuna")
@click.argument("source", metavar="URL")
@click.argument("name")
@click.option("--as", "rename", metavar="NEW", help="The study's name here.")
@storage_option
def import_optuna(source: str, name: str, rename: str | None, storage: str | None) -> None:
    """Copy the study NAME from Optuna's storage URL (a database, or a journal file).

    Trials that are running there are failed in the copy. The source stays as it is.
    """
    from cimsearch.orchestrate.run.stored import storage_url
    from cimsearch.store import open_storage
    from cimsearch.store.optuna_import import import_optuna as copy
    from cimsearch.store.optuna_import import read_optuna

    found = read_optuna(source, name)
    with closing(open_storage(storage_url(storage))) as database:
        done = copy(database, found, rename=rename)
    left = f", {done.interrupted} of them running there and failed here" * bool(done.interrupted)
    click.echo(f"imported {done.name}: {done.trials} trials{left}")


study.add_command(enqueue)
study.add_command(export_study)
study.add_command(import_study)
study.add_command(reprice)
study.add_command(rescore)
