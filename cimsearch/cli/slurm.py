"""The verb that writes an orchestrator's batch script."""

from pathlib import Path

import click

from cimsearch.cli.output import storage_option, writing
from cimsearch.errors import UsageError


@click.command()
@click.argument("study")
@storage_option
@click.option("--workers", type=click.IntRange(1), help="Workers: one Slurm job each.")
@click.option("--data", metavar="DIR", help="Where the data lies; goes before CIMSEARCH_DATA.")
@click.option("--out", metavar="FILE", help="Write it to a new file instead of printing it.")
def slurm(
    study: str, storage: str | None, workers: int | None, data: str | None, out: str | None
) -> None:
    """Print the batch script of STUDY's orchestrator, for sbatch.

    It launches the study with workers that are Slurm jobs too, stops before its wall time, and
    goes on when Slurm starts it again.
    """
    from cimsearch.orchestrate.run.stored import storage_url
    from cimsearch.spec import load_study
    from cimsearch.spec.catalogue import is_path
    from cimsearch.workers.slurm_script import Orchestrator, batch_script

    url = storage_url(storage)
    job = Orchestrator(
        study=load_study(study),
        named=str(Path(study).absolute()) if is_path(study) else study,
        storage=url,
        workers=workers,
        data=str(Path(data).absolute()) if data else None,
        folder=Path.cwd(),
    )
    text = batch_script(job)
    if url.startswith("sqlite"):
        click.echo(
            "note: the database is a SQLite file; on a disk that several machines share "
            "PostgreSQL is the safe choice: --storage postgresql+psycopg://USER@HOST/NAME",
            err=True,
        )
    if out is None:
        click.echo(text, nl=False)
        return
    path = Path(out)
    if path.exists():
        raise UsageError(f"--out: {path} is there already", "give another file, or remove it")
    with writing("--out", path):
        path.write_text(text, encoding="utf-8")
    click.echo(f"{path}; submit it with: sbatch {path}")
