"""The command line: verbs and printing, no logic. Data goes to stdout, progress to stderr."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from cimsearch import __version__
from cimsearch.cli.adapt import adapt
from cimsearch.cli.bench import bench
from cimsearch.cli.catalogue import check, list_, show
from cimsearch.cli.cost import cost
from cimsearch.cli.database import database
from cimsearch.cli.explain import explain
from cimsearch.cli.export import export
from cimsearch.cli.hardware import hardware
from cimsearch.cli.network import network
from cimsearch.cli.read import front, report, trial
from cimsearch.cli.reproduce import reproduce
from cimsearch.cli.run import launch, resume
from cimsearch.cli.slurm import slurm
from cimsearch.cli.status import status
from cimsearch.cli.steps import steps
from cimsearch.cli.study import study
from cimsearch.cli.tools import data, doctor
from cimsearch.cli.verify import verify
from cimsearch.errors import CimsearchError, ExitCode

_EXIT_CODES = """\b
Exit codes:
  0    done
  1    the study failed or cannot be found, or a check found a fault
  2    wrong usage, or a named file cannot be read or written
  3    a hardware, space or study file is not valid
  4    the database cannot be opened or written
  5    the data is missing or not as declared
  6    workers cannot be started or reached
  130  interrupted; go on with `cimsearch resume`
"""


class _Verbs(click.Group):
    """A group whose verbs end well where the reader of their output (a pager, head) has enough."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the arguments; `--help` prints here."""
        with _until_the_reader_leaves():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb."""
        with _until_the_reader_leaves():
            code = super().invoke(ctx)
            sys.stdout.flush()
            return code


@contextmanager
def _until_the_reader_leaves() -> Iterator[None]:
    """End well on a closed pipe, before click takes it for a failure."""
    try:
        yield
    except BrokenPipeError as error:
        # What is still to be flushed at exit goes nowhere, instead of failing again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(ExitCode.OK) from error


@click.group(
    cls=_Verbs,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="cimsearch")
def cli() -> None:
    """Find neural networks that run well on computing-in-memory hardware."""


for _verb in (
    launch,
    resume,
    adapt,
    slurm,
    status,
    front,
    trial,
    report,
    export,
    verify,
    list_,
    show,
    check,
    cost,
    explain,
    steps,
    hardware,
    network,
    data,
    bench,
    reproduce,
    study,
    database,
    doctor,
):
    cli.add_command(_verb)


def main() -> None:
    """Run the command line; every failure is a clear message and a documented exit code."""
    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else ExitCode.OK)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except CimsearchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(ExitCode.FAILED)
