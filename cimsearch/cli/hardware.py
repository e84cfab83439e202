"""Verbs on hardware: compare macros, import measurements."""

import click

from cimsearch.cli.hardware_compare import compare
from cimsearch.cli.hardware_import import import_


@click.group()
def hardware() -> None:
    """Compare macros, and fit them to measurements."""


for _verb in (compare, import_):
    hardware.add_command(_verb)
