"""Options of the verbs that fit a network into a budget of arrays."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

step_option = click.option(
    "--step", type=click.IntRange(1), default=1, show_default=True, help="Widths: multiples of it."
)


def budget_options(function: F) -> F:
    """Add ``--budget N`` and ``--unit UNIT``."""
    unit = click.option(
        "--unit",
        type=click.Choice(["bitlines", "macros", "cells"]),
        default="bitlines",
        show_default=True,
        help="What is counted: columns that hold weights, macros, or cells.",
    )
    limit = click.option("--budget", required=True, type=click.IntRange(1), help="How many units.")
    return limit(unit(function))
