"""A folder with a cache of trained networks that the tests of a module share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the module's folder."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def one_cache(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have what is trained kept in the module's folder."""
    monkeypatch.setenv("CIMSEARCH_CACHE", str(folder / "cache"))
