"""Verbs that read or change a study, run in this process."""

import json
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cimsearch.cli import cli, main


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


def ended(folder: Path, *arguments: str) -> tuple[object, str, str]:
    """Run the command line in a folder, in this process; return exit code, output and errors.

    Also of verbs that start workers.
    """
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(folder):
        patch.setattr(sys, "argv", ["cimsearch", *arguments])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main()
    return end.value.code, out.getvalue(), err.getvalue()
