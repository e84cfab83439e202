"""A folder that the tests of a module share, and what the finished study has trained."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the module's folder."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="session")
def cache(finished_study: Path) -> Path:
    """Return the cache of the finished study, to which more may be added.

    Studies that ask for the same networks do not train them again.
    """
    return finished_study / "cache"


@pytest.fixture
def one_cache(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Have what is trained kept with what the finished study has trained."""
    monkeypatch.setenv("CIMSEARCH_CACHE", str(cache))
