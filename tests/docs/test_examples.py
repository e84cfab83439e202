"""The examples of the documentation run, in order, in an empty directory."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import cimsearch, environment_with

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL
)
RUN = ("bash", "python")


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Return (file name or empty, language, text) of each fenced block."""
    found = _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))
    return [(m["file"] or "", m["language"], m["text"]) for m in found]


def examples(page: str) -> bool:
    return any(name or language in RUN for name, language, _ in blocks(page))


def test_there_are_examples_to_run() -> None:
    assert {"README.md", "docs/tutorial-own-data.md"} <= {p for p in PAGES if examples(p)}


def verbs(text: str) -> list[list[str]]:
    """Return the arguments of each line, if all are plain calls of ``cimsearch``; else nothing."""
    lines = text.splitlines()
    if all(re.fullmatch(r"cimsearch [\w\s./:=@%,-]+", line) for line in lines):
        return [shlex.split(line)[1:] for line in lines]
    return []


def run(language: str, text: str, directory: Path) -> None:
    """Run an example; plain verbs in this process, as far as it makes no difference."""
    if language == "bash" and (calls := verbs(text)):
        for arguments in calls:
            cimsearch(*arguments, cwd=directory)
        return
    bash = ["bash", "-euo", "pipefail", "-c"]
    done = subprocess.run(
        [*(bash if language == "bash" else [sys.executable, "-c"]), text],
        cwd=directory,
        env=environment_with({"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)])
def test_examples_run(page: str, tmp_path: Path) -> None:
    for name, language, text in blocks(page):
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif language in RUN:
            run(language, text, tmp_path)
