"""Verbs that run a study."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.output import storage_option
from cimsearch.errors import StudyError

if TYPE_CHECKING:
    from cimsearch.cli.live import LiveProgress
    from cimsearch.orchestrate.read.results import StudyResult


# Trials of log-normal times (sigma 0.8), in benchmarks/utilisation.py.
_LAG_PER_WORKER = 2
_BUSY_LAG_PER_WORKER = 12

cluster_option = click.option(
    "--cluster",
    metavar="ADDRESS",
    help="A dask scheduler, such as tcp://host:8786; or slurm, as the study's file describes it.",
)


@click.command()
@click.argument("study")
@storage_option
@click.option("--workers", type=click.IntRange(1), help="Local worker processes.")
@cluster_option
@click.option("--data", metavar="DIR", help="Where the data lies; goes before CIMSEARCH_DATA.")
@click.option(
    "--from",
    "origin",
    metavar="NAME",
    help="Begin with what this study has trained: scores of equal jobs are re-used.",
)
@click.option("--seed-baselines", is_flag=True, help="Begin with the uniform baselines.")
@click.option(
    "--report", metavar="FILE", help="Where the report goes. Default: reports/NAME.html."
)
def launch(
    study: str,
    storage: str | None,
    workers: int | None,
    cluster: str | None,
    data: str | None,
    origin: str | None,
    seed_baselines: bool,
    report: str | None,
) -> None:
    """Run STUDY (a catalogue name or a .yaml file) and print its Pareto front.

    An equal study that the database already has goes on where it stands.
    """
    from cimsearch.cli.live import LiveProgress
    from cimsearch.orchestrate.launch import launch as run
    from cimsearch.orchestrate.run.starting import Start
    from cimsearch.spec import load_study

    spec = load_study(study)
    if cluster is None:
        _note_lag(spec.spec.sampler.lag, workers or spec.spec.workers)
    with resumable(f"cimsearch resume {spec.name}", LiveProgress()) as progress:
        result = run(
            spec,
            storage=storage,
            workers=workers,
            cluster=cluster,
            data=data,
            on_progress=progress,
            start=Start(origin, seed_baselines),
        )
    _finish(result, report)


@click.command()
@click.argument("name")
@storage_option
@click.option("--trials", type=click.IntRange(1), help="Another budget of trained candidates.")
@click.option("--workers", type=click.IntRange(1), help="Local worker processes.")
@cluster_option
@click.option("--data", metavar="DIR", help="Where the data lies now.")
@click.option(
    "--report", metavar="FILE", help="Where the report goes. Default: reports/NAME.html."
)
def resume(
    name: str,
    storage: str | None,
    trials: int | None,
    workers: int | None,
    cluster: str | None,
    data: str | None,
    report: str | None,
) -> None:
    """Go on with the study NAME from the database alone, and print its Pareto front."""
    from cimsearch.cli.live import LiveProgress
    from cimsearch.orchestrate.launch import resume as run

    with resumable(f"cimsearch resume {name}", LiveProgress()) as progress:
        result = run(
            name,
            storage=storage,
            trials=trials,
            workers=workers,
            cluster=cluster,
            data=data,
            on_progress=progress,
        )
    _finish(result, report)


def _note_lag(lag: int, workers: int) -> None:
    """Say so where the lag leaves workers waiting for each other."""
    if lag < _LAG_PER_WORKER * workers:
        click.echo(
            f"note: sampler.lag is {lag}: {workers} workers will often wait for each other; "
            f"{_BUSY_LAG_PER_WORKER * workers} keeps them busy (another lag is another study)",
            err=True,
        )


@contextmanager
def resumable(again: str, progress: "LiveProgress") -> Iterator["LiveProgress"]:
    """Show progress; when interrupted, say with what command it goes on."""
    try:
        yield progress
    except KeyboardInterrupt:
        progress.close()
        click.echo(f"nothing recorded is lost; go on with: {again}", err=True)
        raise
    finally:
        progress.close()


_FATES = {
    "baselines": "{} uniform baselines",
    "reused": "{} with their scores",
    "to_train": "{} of its front to be trained",
    "left": "{} left out as their scores are of other jobs",
    "infeasible": "{} left out as a constraint forbids them",
    "outside": "{} left out as they are not in the space",
}


def start_text(started: Mapping[str, Any]) -> str:
    """Return what a study began with, in words."""
    fates = [
        text.format(started["fates"][k]) for k, text in _FATES.items() if k in started["fates"]
    ]
    # The last of them are those outside; studies that began earlier do not say why.
    if reasons := started.get("outside"):
        fates[-1] += f" ({'; '.join(reasons)})"
    origin = "" if started["study"] is None else f" from {started['study']}"
    return f"began{origin}: {', '.join(fates) or 'with nothing'}"


def _finish(result: "StudyResult", report: str | None) -> None:
    """Print the front and write the report."""
    from cimsearch.cli.front_text import print_front
    from cimsearch.cli.read import write_report_file
    from cimsearch.orchestrate.run.stalling import ENDED_BY

    print_front(result)
    if result.started is not None:
        click.echo(f"\n{start_text(result.started)}")
    if result.ended_by not in (None, "budget"):
        trained = result.count("complete", rung=0) + result.count("failed", rung=0)
        click.echo(
            f"\n{ENDED_BY[str(result.ended_by)]} after {trained} trained candidates (budget: "
            f"{result.budget})"
        )
    path = write_report_file(result, report)
    click.echo(f"\nreport: {path}")
    if not result.count("complete"):
        raise StudyError(f"{result.name}: every trial failed", "the reasons are above")
