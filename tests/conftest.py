"""What every test has: an environment of its own, helpers to write spec files, and databases."""

import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from cimsearch.spec import Study, catalogue, load_study
from cimsearch.spec.document import Document, read_document
from tests.studies import TINY_STUDY

if TYPE_CHECKING:
    from tests.postgres import Server

# On a shared machine an example may take any time.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


CHECKOUT = Path(__file__).resolve().parents[1]


@cache
def _read_once(path: Path) -> Document:
    return read_document(path)


def _read(path: Path) -> Document:
    """Return what ``read_document`` does; files of the checkout stay as they are."""
    if not path.is_relative_to(CHECKOUT):
        return read_document(path)
    document = _read_once(path)
    return replace(document, data=deepcopy(document.data))


@pytest.fixture(autouse=True, scope="session")
def _catalogue_read_once() -> Iterator[None]:
    """Parse each file of the catalogue once: it takes as long as most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "read_document", _read)
        yield


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's settings out of the tests, and the tests out of the user's directories."""
    own = ("CIMSEARCH_PATH", "CIMSEARCH_STORAGE", "CIMSEARCH_DATA")
    for name in [*own, *(name for name in os.environ if name.startswith("PG"))]:
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
    from tests.once import run_once

    directory = tmp_path_factory.mktemp("finished")
    (directory / "tiny.yaml").write_text(TINY_STUDY, encoding="utf-8")
    study = load_study(str(directory / "tiny.yaml"))
    storage = f"sqlite:///{directory / 'cimsearch.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE", str(directory / "cache"))
        launch(study, storage=storage, executor=InlineExecutor(run_once))
    return directory


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Server]":
    """Return the PostgreSQL server of this test process, started when first asked for."""
    from tests.postgres import Server

    server = Server()
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres: "Server") -> Iterator[str]:
    """Return the URL of an empty PostgreSQL database of the test's own."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database of the test's own; the test runs on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def mortal_postgres() -> "Iterator[Server]":
    """Return a PostgreSQL server of the test's own, which it may ``kill()`` and ``start()``."""
    from tests.postgres import Server

    server = Server(mortal=True)
    yield server
    server.close()
