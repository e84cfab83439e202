"""Verbs that read or change a study, run in this process."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from cimsearch.cli import cli


def verb(folder: Path, *arguments: str) -> str:
    """Run a verb on the database of a folder and return what it prints."""
    url = f"sqlite:///{folder / 'cimsearch.db'}"
    done = CliRunner().invoke(cli, [*arguments, "--storage", url], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def shown(folder: Path, *arguments: str) -> Any:
    """Return what a verb prints with ``--json``."""
    return json.loads(verb(folder, *arguments, "--json"))
