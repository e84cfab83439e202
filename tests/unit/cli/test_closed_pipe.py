"""A reader that has seen enough, such as `head`, is no failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import TIMEOUT_S, environment_with


@pytest.mark.parametrize("verb", [("list",), ("--help",), ("cost", "--help")])
def test_a_closed_pipe_ends_quietly(tmp_path: Path, verb: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cimsearch", *verb],
            cwd=tmp_path,
            env=environment_with(),
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
