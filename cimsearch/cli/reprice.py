"""Verbs that take a study's networks to other hardware."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cimsearch.cli.output import percent, storage_option
from cimsearch.errors import StudyError

if TYPE_CHECKING:
    from cimsearch.orchestrate.derive.repricing import Repriced
    from cimsearch.orchestrate.derive.stale_work import Change, RescoreResult

_MOST_LISTED = 20


@click.command("reprice")
@click.argument("name")
@click.option("--hardware", required=True, metavar="NAME", help="A macro or system.")
@click.option("--as", "new_name", metavar="NEW", help="The new study. Default: NAME.HARDWARE.")
@storage_option
def reprice(name: str, hardware: str, new_name: str | None, storage: str | None) -> None:
    """Price the trained networks of the study NAME on other hardware, and print the new front.

    Nothing is trained. The result is a study of its own, to be read like any other; its trials
    keep their numbers. Accuracies that the other hardware may change are marked stale: `study
    rescore` finds them anew.
    """
    from cimsearch.cli.front_text import print_front
    from cimsearch.cli.read import read_study
    from cimsearch.orchestrate.derive.reprice import reprice as run

    done = run(name, hardware, storage=storage, new_name=new_name)
    print_front(read_study(done.name, storage))
    click.echo()
    _print_repriced(done)


def _print_repriced(done: "Repriced") -> None:
    same = len(set(done.front) & set(done.source_front))
    click.echo(
        f"{done.priced} trained trials of {done.source} priced on {done.hardware}; of the "
        f"{len(done.front)} on the front {same} are on that of {done.source}, which has "
        f"{len(done.source_front)}"
    )
    if done.infeasible:
        numbers = _listed([str(number) for number in done.infeasible])
        click.echo(f"they miss a constraint there: trials {numbers}")
    _print_refused(done)
    if done.untrained:
        click.echo(f"never trained, so without an accuracy: {done.untrained} trials")
    if done.differences:
        click.echo(
            "accuracies are stale, as the two differ in what they depend on:\n  "
            + "\n  ".join(done.differences)
            + f"\nfind them anew with: cimsearch study rescore {done.name}"
        )
    else:
        click.echo("accuracies hold: the two differ in nothing that they depend on")


def _print_refused(done: "Repriced") -> None:
    """Print why some cannot run there; the reason of each is in the new study too."""
    # Without the name of the layer, which is the first that cannot.
    reasons = Counter(reason.split(": ", 1)[-1] for reason in done.refused.values())
    for reason, times in reasons.most_common(_MOST_LISTED):
        click.echo(f"cannot run there, {times} x: {reason}")
    if done.refused:
        click.echo(f"  those are {_listed(list(done.refused))}")


def _listed(labels: Sequence[str]) -> str:
    more = len(labels) - _MOST_LISTED
    return ", ".join(labels[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


@click.command("rescore")
@click.argument("name")
@click.option("--front", "front_only", is_flag=True, help="Until nothing on the front is stale.")
@click.option("--workers", type=click.IntRange(1), help="Local worker processes.")
@click.option("--cluster", metavar="ADDRESS", help="A dask scheduler, or slurm, as for launch.")
@click.option("--data", metavar="DIR", help="Where the data lies now.")
@storage_option
def rescore(
    name: str,
    front_only: bool,
    workers: int | None,
    cluster: str | None,
    data: str | None,
    storage: str | None,
) -> None:
    """Train and score the stale trials of the repriced study NAME on its own hardware.

    The baselines come first, then the trials on the front, then the others. It may be stopped and
    begun again: each result is written as it comes.
    """
    from cimsearch.cli.front_text import print_front
    from cimsearch.cli.read import read_study
    from cimsearch.orchestrate.derive.rescore import rescore as run

    try:
        done = run(
            name,
            storage=storage,
            front_only=front_only,
            workers=workers,
            cluster=cluster,
            data=data,
            on_change=_tell,
        )
    except KeyboardInterrupt:
        click.echo(f"what was found is kept; go on with: cimsearch study rescore {name}", err=True)
        raise
    print_front(read_study(name, storage))
    _print_rescored(done)


def _tell(change: "Change", left: int) -> None:
    click.echo(
        f"{change.label}: {percent(change.before)} -> {percent(change.after)}; {left} stale",
        err=True,
    )


def _print_rescored(done: "RescoreResult") -> None:
    click.echo(f"\n{len(done.changes)} accuracies found anew, {len(done.stale)} are stale")
    for label, reason in done.failed.items():
        click.echo(f"failed, {label}: {reason}")
    if done.failed:
        raise StudyError(
            f"{done.name}: {len(done.failed)} of its trials and baselines cannot be rescored",
            "their accuracies stay stale; the reasons are above",
        )
