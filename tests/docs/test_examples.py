"""The examples of the documentation run, in order, in an empty directory.

What can run in this process does: a process of its own imports for seconds what is here already.
Studies share one set of real workers, and what these keep of trained networks.
"""

import os
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cimsearch.workers import supply
from cimsearch.workers.local import Warden
from tests.commands import environment_with
from tests.unit.cli.verbs import ended

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL
)
_VERB = re.compile(r"cimsearch (?P<arguments>[\w\s./:=@%,-]+)(?:> (?P<file>[\w.]+))?")
RUN = ("bash", "python")


class Standing:
    """Workers that stay when a study has ended, in place of those that each starts for itself.

    Attributes:
        address: Their scheduler's.
    """

    all: ClassVar[list[Warden]] = []

    def __init__(self, _workers: int, *needed: Any) -> None:
        if not self.all:
            self.all.append(Warden(2, *needed))
        self.address = self.all[0].address

    def stop(self) -> None:
        pass


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return where workers keep what they trained, for all studies of this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supply, "Warden", Standing)
        yield tmp_path_factory.mktemp("cache")
    while Standing.all:
        Standing.all.pop().stop()


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Return (file name or empty, language, text) of each fenced block."""
    found = _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))
    return [(m["file"] or "", m["language"], m["text"]) for m in found]


def examples(page: str) -> bool:
    return any(name or language in RUN for name, language, _ in blocks(page))


def test_there_are_examples_to_run() -> None:
    assert {"README.md", "docs/tutorial-own-data.md"} <= {p for p in PAGES if examples(p)}


def run_verbs(text: str, directory: Path) -> bool:
    """Run plain calls of ``cimsearch`` and return whether the lines were that alone."""
    lines = [_VERB.fullmatch(line) for line in text.splitlines()]
    for line in lines if all(lines) else ():
        assert line is not None
        code, out, err = ended(directory, *shlex.split(line["arguments"]))
        assert code == 0, f"{line[0]}\n{out}\n{err}"
        if line["file"]:
            (directory / line["file"]).write_text(out, encoding="utf-8")
    return all(lines)


def run_bash(text: str, directory: Path) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=directory,
        env=environment_with({"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def run_python(text: str, directory: Path) -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        chdir(directory),
        redirect_stdout(StringIO()),
        warnings.catch_warnings(),
    ):
        patch.syspath_prepend(directory)  # modules of the example
        warnings.simplefilter("ignore")  # as in a process of its own
        exec(compile(text, "an example", "exec"), {"__name__": "__main__"})


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)])
def test_examples_run(
    page: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIMSEARCH_CACHE", str(cache))
    for name, language, text in blocks(page):
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif language == "python":
            run_python(text, tmp_path)
        elif language == "bash" and not run_verbs(text, tmp_path):
            run_bash(text, tmp_path)
