"""Verbs on hardware: compare macros, import measurements, validate against silicon."""

import click

from cimsearch.cli.hardware_compare import compare
from cimsearch.cli.hardware_import import import_
from cimsearch.cli.hardware_validate import validate


@click.group()
def hardware() -> None:
    """Compare macros, fit them to measurements, and check the model against silicon."""


for _verb in (compare, import_, validate):
    hardware.add_command(_verb)
