"""The verb that adds candidates to a study by hand."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cimsearch.cli.output import storage_option
from cimsearch.errors import UsageError

if TYPE_CHECKING:
    from cimsearch.orchestrate.steering import Wanted


@click.command()
@click.argument("name")
@click.option(
    "--genes",
    multiple=True,
    required=True,
    metavar="GENES",
    help='Choice indices "0,2,1,...", or a JSON file {gene: choice} or a list of these; '
    "may be given several times.",
)
@storage_option
def enqueue(name: str, genes: tuple[str, ...], storage: str | None) -> None:
    """Add candidates to the study NAME as its next trials; resume it to run them."""
    from cimsearch.orchestrate.steering import enqueue as add

    done = add(name, [each for text in genes for each in _wanted(text)], storage=storage)
    for number in done.to_train:
        click.echo(f"trial {number}: added, to be trained")
    for number in done.scored:
        click.echo(f"trial {number}: added with the score of an equal job")
    for number in done.known:
        click.echo(f"trial {number}: has this candidate already")
    if done.to_train:
        click.echo(f"run what was added with: cimsearch resume {name}")


def _wanted(text: str) -> "list[Wanted]":
    """Return the candidates that one option names.

    Raises:
        UsageError: It names none.
    """
    if text.endswith(".json"):
        try:
            found = json.loads(Path(text).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"--genes: {text}: {error}") from error
        entries = found if isinstance(found, list) else [found]
        if not all(isinstance(entry, dict) for entry in entries):
            raise UsageError(f"--genes: {text}: allowed is {{gene: choice}}, or a list of these")
        return entries
    try:
        return [[int(index) for index in text.split(",")]]
    except ValueError as error:
        raise UsageError(
            f"--genes: found {text!r}; allowed are whole numbers with commas between, or a "
            ".json file"
        ) from error
