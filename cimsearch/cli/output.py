"""Printing: tables for people, JSON for programs."""

import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from cimsearch.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

WIDTH = 120
"""Characters of a line of prose or of an equation."""


def storage_option(function: F) -> F:
    """Add ``--storage URL``."""
    return click.option(
        "--storage",
        metavar="URL",
        envvar="CIMSEARCH_STORAGE",
        show_envvar=True,
        help="Database, such as sqlite:///my.db. Default: sqlite:///cimsearch.db.",
    )(function)


def json_option(function: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def print_json(data: Any) -> None:
    """Print plain data as JSON."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: the first column to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    for line in [header, *rows]:
        cells = [
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def print_wrapped(text: str, *, indent: str = "", hanging: str = "    ") -> None:
    """Print a line at ``indent``; what goes beyond ``WIDTH`` hangs further in."""
    click.echo(
        textwrap.fill(
            text,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent + hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def percent(value: float | None) -> str:
    """Return a fraction as a percentage, or a dash."""
    return "-" if value is None else f"{100 * value:.1f} %"


def duration(seconds: float) -> str:
    """Return a time span in hours and minutes, or in minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes}:{rest:02d} min"


@contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Tell a file that cannot be written by the option that names it.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(f"{option}: {path} cannot be written: {error.strerror}") from error
