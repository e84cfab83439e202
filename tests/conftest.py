"""What every test has: an environment of its own, and helpers to write spec files."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from cimsearch.spec import Study, load_study
from tests.studies import TINY_STUDY


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's settings out of the tests, and the tests out of the user's directories."""
    for name in ("CIMSEARCH_PATH", "CIMSEARCH_STORAGE", "CIMSEARCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CIMSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes a file below the test's directory and returns its path."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def tiny_study(write: Callable[[str, str], Path]) -> Study:
    """Return a study on digits whose every trial takes about a second."""
    return load_study(str(write("tiny.yaml", TINY_STUDY)))


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with ``tiny.yaml`` and the database ``cimsearch.db`` of its whole run."""
    from cimsearch.orchestrate.launch import launch
    from cimsearch.workers import InlineExecutor

    directory = tmp_path_factory.mktemp("finished")
    (directory / "tiny.yaml").write_text(TINY_STUDY, encoding="utf-8")
    study = load_study(str(directory / "tiny.yaml"))
    storage = f"sqlite:///{directory / 'cimsearch.db'}"
    launch(study, storage=storage, executor=InlineExecutor())
    return directory
