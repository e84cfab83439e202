"""The storage keeps Optuna's contract, as Optuna's own test suite checks it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.testing.pytest_storages import StorageTestCase

from cimsearch.store import CimStorage, open_storage


class TestSqliteFile(StorageTestCase):
    """A database in a file."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[CimStorage]:
        """Give an empty database of its own to each test."""
        opened = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
        yield opened
        opened.close()


class TestSqliteMemory(StorageTestCase):
    """A database in memory."""

    @pytest.fixture
    def storage(self) -> Iterator[CimStorage]:
        """Give an empty database of its own to each test."""
        opened = open_storage("sqlite:///:memory:")
        yield opened
        opened.close()


class TestPostgres(StorageTestCase):
    """A database of a PostgreSQL server."""

    @pytest.fixture
    def storage(self, postgres_url: str) -> Iterator[CimStorage]:
        """Give an empty database of its own to each test."""
        opened = open_storage(postgres_url)
        yield opened
        opened.close()
