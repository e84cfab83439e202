from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own, and no data set from the environment."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.delenv("CIMSEARCH_DATA", raising=False)
    monkeypatch.setenv("CIMSEARCH_CACHE", str(cache))
    return cache
