"""A trained network of one's own, and a study of it that has ended."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cimsearch.evaluate.train import forget_parents
from tests.unit.importing.own import Net, search_own, trained_net


@pytest.fixture(scope="session")
def trained() -> Net:
    """Return the trained network."""
    return trained_net()


@pytest.fixture(scope="session")
def home(trained: Net, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a directory with the imported network and a finished study of it, with its cache."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        search_own(folder, trained)
    yield folder
    forget_parents()


@pytest.fixture
def there(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a copy of ``home`` that a test may change, as the working directory."""
    folder = tmp_path / "copy"
    shutil.copytree(home, folder)
    monkeypatch.setenv("CIMSEARCH_CACHE", str(folder / "cache"))
    monkeypatch.chdir(folder)
    forget_parents()
    return folder
