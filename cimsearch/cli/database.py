"""Verbs on the database itself."""

from dataclasses import asdict

import click

from cimsearch.cli.output import json_option, print_json, storage_option
from cimsearch.errors import ExitCode


@click.group("db")
def database() -> None:
    """Look after the database."""


@database.command("upgrade")
@storage_option
def db_upgrade(storage: str | None) -> None:
    """Bring the database of an older version to this version's layout; copy it first."""
    from cimsearch.orchestrate.run.stored import storage_url
    from cimsearch.store import upgrade

    before = upgrade(storage_url(storage))
    click.echo(f"the database had the layout {before} and has this version's now")


@database.command("check")
@storage_option
@json_option
def db_check(storage: str | None, as_json: bool) -> int:
    """Check that the database is whole: its file, its records, and each study's front.

    The front is computed again from the trials. The exit code is 1 if anything is wrong; a warning
    is no fault.
    """
    from cimsearch.orchestrate.run.stored import storage_url
    from cimsearch.store.check import check_database

    report = check_database(storage_url(storage))
    if as_json:
        print_json(asdict(report))
    else:
        for finding in report.findings:
            where = f"study {finding.study!r}: " if finding.study else ""
            click.echo(f"{finding.kind}: {where}{finding.text}")
        verdict = "whole" if report.ok else "NOT whole"
        click.echo(f"{report.studies} studies with {report.trials} trials: {verdict}")
    return ExitCode.OK if report.ok else ExitCode.FAILED
