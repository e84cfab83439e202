"""The verb that adds candidates to a study by hand."""

import click

from cimsearch.cli.genes import wanted_genes
from cimsearch.cli.output import storage_option


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

    done = add(name, [each for text in genes for each in wanted_genes(text)], storage=storage)
    for number in done.to_train:
        click.echo(f"trial {number}: added, to be trained")
    for number in done.scored:
        click.echo(f"trial {number}: added with the score of an equal job")
    for number in done.known:
        click.echo(f"trial {number}: has this candidate already")
    if done.to_train:
        click.echo(f"run what was added with: cimsearch resume {name}")
