"""The examples of the documentation run, in order, in an empty directory."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)])
def test_examples_run(page: str, tmp_path: Path) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    for name, language, text in blocks(page):
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif language in RUN:
            program = (
                ["bash", "-euo", "pipefail", "-c"]
                if language == "bash"
                else [sys.executable, "-c"]
            )
            done = subprocess.run(
                [*program, text],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=500,
                check=False,
            )
            assert done.returncode == 0, f"{page}:\n{text}\n{done.stdout}\n{done.stderr}"
