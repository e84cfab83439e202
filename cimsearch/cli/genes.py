"""What is typed after ``--genes``: choice indices, or a JSON file of choices by gene name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cimsearch.errors import UsageError

if TYPE_CHECKING:
    from cimsearch.orchestrate.steering import Wanted

F = TypeVar("F", bound=Callable[..., Any])


def genes_option(function: F) -> F:
    """Add ``--genes GENES`` of one network."""
    return click.option(
        "--genes",
        metavar="GENES",
        help='Choice indices "0,2,1,...", or a JSON file {gene: choice}.',
    )(function)


def wanted_genes(text: str) -> "list[Wanted]":
    """Return the candidates that one option names; only a file names several.

    Raises:
        UsageError: It names none.
    """
    if text.endswith(".json"):
        return _in_file(text)
    try:
        return [[int(index) for index in text.split(",")]]
    except ValueError as error:
        raise UsageError(
            f"--genes: found {text!r}; allowed are whole numbers with commas between, or a "
            ".json file"
        ) from error


def one_wanted(text: str) -> "Wanted":
    """Return the one candidate that an option names.

    Raises:
        UsageError: It names none, or several.
    """
    found = wanted_genes(text)
    if len(found) != 1:
        raise UsageError(
            f"--genes: {text}: found a list of {len(found)}; allowed is one network",
            "study enqueue takes a list",
        )
    return found[0]


def _in_file(name: str) -> "list[Wanted]":
    try:
        found = json.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--genes: {name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--genes: {name}: no JSON: {error}") from error
    entries = found if isinstance(found, list) else [found]
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"--genes: {name}: allowed is {{gene: choice}}, or a list of these")
    return entries
