"""Verbs that make what search algorithms are compared on."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cimsearch.cli.output import duration, print_table

if TYPE_CHECKING:
    from cimsearch.search.table import Table

_QUIET_S = 10.0


@click.group()
def bench() -> None:
    """Make tables that search algorithms are compared on by replay."""


@bench.command("build-table")
@click.argument("study")
@click.option("--out", required=True, metavar="FILE", help="The table: a .npz file.")
@click.option("--workers", type=click.IntRange(1), help="Local worker processes.")
@click.option(
    "--replicates",
    default=3,
    type=click.IntRange(0),
    help="How often 40 candidates are trained again. Default: 3.",
)
@click.option("--data", metavar="DIR", help="Where the data lies; goes before CIMSEARCH_DATA.")
def build_table(
    study: str, out: str, workers: int | None, replicates: int, data: str | None
) -> None:
    """Evaluate every candidate of STUDY's space at every rung, and write the table.

    Scores are kept beside FILE as they come: the same command goes on after a stop.
    """
    from cimsearch.orchestrate.table.build import build_table as build
    from cimsearch.spec import load_study

    table = build(
        load_study(study),
        Path(out),
        replicates=replicates,
        workers=workers,
        data=data,
        on_progress=_Counter(),
    )
    _print_summary(table)
    click.echo(f"\ntable: {out}")


class _Counter:
    """Shows on stderr how far a table is: at most every ten seconds, and at the end."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None
        self._shown = -_QUIET_S

    def __call__(self, done: int, total: int) -> None:
        """Show how many evaluations are done."""
        now = time.monotonic()
        began_s, began = self._began = self._began or (now, done)
        if done < total and now - self._shown < _QUIET_S:
            return
        self._shown = now
        left = (now - began_s) / (done - began) * (total - done) if done > began else None
        note = "" if left is None or done == total else f", {duration(left)} left"
        click.echo(f"{done} of {total} evaluations{note}", err=True)


def _print_summary(table: "Table") -> None:
    rungs = range(len(table.epochs))
    times = len(table.repeats[0]) + 1
    again = f", {len(table.repeated)} of them trained {times} times" if times > 1 else ""
    click.echo(f"{table.study.name}: {len(table)} candidates{again}\n")
    top = len(table.epochs) - 1
    lines = [
        [
            str(rung),
            str(table.epochs[rung]),
            str(table.accuracy[rung].shape[1]),
            f"{100 * table.objective_accuracy[rung].min():.1f}"
            f"..{100 * table.objective_accuracy[rung].max():.1f} %",
            f"{100 * table.noise_std(rung):.2f} points" if len(table.repeats[rung]) else "-",
            str(int(table.front(rung).sum())),
            f"{table.rank_agreement(rung, top):.2f}",
            f"{table.cpu_s[rung].mean():.2f} s",
        ]
        for rung in rungs
    ]
    header = ["rung", "epochs", "chips", "accuracy", "noise", "front", "tau to the last", "CPU"]
    print_table(header, lines)
