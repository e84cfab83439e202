"""Opening a database: transactions, its layout, and what to say when it cannot be used."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    StaticPool,
    column,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    table,
)
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, IntegrityError, InterfaceError

from cimsearch.errors import StorageError
from cimsearch.store.migrations import known_versions, migrate
from cimsearch.store.schema import SCHEMA, VERSION_TABLE

BUSY_TIMEOUT_S = 30.0
"""How long a SQLite connection waits for another process's transaction."""

_RETRY_S = 0.02

_EXAMPLES = "give a URL such as sqlite:///cimsearch.db or postgresql+psycopg://user@host/name"


def connect(url: str, *, create: bool) -> Engine:
    """Open a database, creating its tables by the migrations if it has none.

    Args:
        url: A database URL; `sqlite:///:memory:` lives as long as the engine.
        create: Whether a database that does not exist, or is empty, may be created.

    Raises:
        StorageError: If the URL is not one, the database cannot be reached or created, or its
            tables are another program's, or of an older or newer version of cimsearch.
    """
    engine = _engine(url)
    try:
        if not create:
            _require_existing(engine.url)
        with reading(engine) as conn:
            version = _version(conn)
        if version is None and create:
            _create(engine)
        elif version is None:
            raise _missing(engine.url)
        elif version != SCHEMA:
            raise _wrong_version(engine.url, version)
    except StorageError:
        engine.dispose()
        raise
    return engine


def upgrade(url: str) -> str:
    """Bring the tables of an existing database to the layout of this version, in one transaction.

    Returns:
        The version of the layout before.

    Raises:
        StorageError: If there is no such database, or it is newer than this version of cimsearch.
    """
    # SQLite alters a table by replacing it, which must not take the rows that refer to it along.
    engine = _engine(url, foreign_keys=False)
    try:
        _require_existing(engine.url)
        with writing(engine) as conn:
            version = _version(conn)
            if version is None:
                raise _missing(engine.url)
            if version not in known_versions():
                raise _wrong_version(engine.url, version)
            migrate(conn)
    finally:
        engine.dispose()
    return version


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection that sees one state of the database, and leaves it as it is."""
    with _told(engine.url), engine.connect() as conn:
        yield conn


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection inside one transaction: all of the block is committed, or nothing."""
    with _told(engine.url), engine.execution_options(cimsearch_writes=True).begin() as conn:
        yield conn


def in_memory(engine: Engine) -> bool:
    """Tell whether the database is one that lives in this process only."""
    return isinstance(engine.pool, StaticPool)


def memory_image(engine: Engine) -> bytes:
    """Copy out the whole of an in-memory SQLite database."""
    with reading(engine) as conn:
        image: bytes = _driver(conn).serialize()
    return image


def restore_image(engine: Engine, image: bytes) -> None:
    """Replace the content of an in-memory SQLite database by a copy taken before."""
    with reading(engine) as conn:
        _driver(conn).deserialize(image)


def _driver(conn: Connection) -> Any:
    return conn.connection.driver_connection


def _engine(text: str, *, foreign_keys: bool = True) -> Engine:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise StorageError(f"not a database URL: {text!r}", _EXAMPLES) from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise StorageError(
            f"cannot use a {url.get_backend_name()} database: allowed are sqlite and postgresql",
            _EXAMPLES,
        )
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, foreign_keys=foreign_keys)
    try:
        return create_engine(url, pool_pre_ping=True)
    except ImportError as error:
        raise StorageError(
            f"the PostgreSQL driver {error.name} is not installed", "pip install 'psycopg[binary]'"
        ) from error


def _sqlite_engine(url: URL, *, foreign_keys: bool) -> Engine:
    path = _sqlite_path(url)
    if path is None:
        # An in-memory database belongs to one connection; the storage's lock keeps threads apart.
        engine = create_engine(
            url, poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
    else:
        # Absolute, so that a later change of the working directory cannot lead to another file.
        url = url.set(database=str(path))
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    def set_up(driver: Any, _record: object) -> None:
        # The driver's own transactions leave out DDL and cannot take the write lock first.
        driver.isolation_level = None
        driver.execute("PRAGMA synchronous = FULL")
        driver.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _begin_sqlite(conn: Connection) -> None:
    # A writer takes the lock at once: one that has read something first could be refused later.
    writes = conn.get_execution_options().get("cimsearch_writes", False)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _create(engine: Engine) -> None:
    if _sqlite_path(engine.url) is not None:
        with reading(engine) as conn:
            _keep_wal(conn)
    with writing(engine) as conn:
        # Another process may have been faster.
        if _version(conn) is None:
            migrate(conn)


def _keep_wal(conn: Connection) -> None:
    """Make readers and the writer of a file no longer wait for each other: it stays with the file.

    SQLite waits for no lock here, whatever the timeout: another process may be doing the same.
    """
    deadline = monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            _driver(conn).execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or monotonic() > deadline:
                raise
            sleep(_RETRY_S)
        else:
            return


def _version(conn: Connection) -> str | None:
    """Return the version of the layout, or None for a database without tables."""
    tables = inspect(conn).get_table_names()
    if VERSION_TABLE in tables:
        return str(conn.scalar(select(column("version_num")).select_from(table(VERSION_TABLE))))
    if tables:
        raise StorageError(
            f"the database {_name(conn.engine.url)} holds the tables of another program: "
            + ", ".join(sorted(tables)[:3]),
            "give cimsearch a database of its own",
        )
    return None


def _sqlite_path(url: URL) -> Path | None:
    """Return the absolute path of a SQLite file, or None for an in-memory database."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database)).absolute()


def _name(url: URL) -> str:
    """Name a database in a message, without its password."""
    return str(_sqlite_path(url) or url.render_as_string(hide_password=True))


def _require_existing(url: URL) -> None:
    path = _sqlite_path(url)
    try:
        if path is not None and not path.exists():
            raise _missing(url)
    except PermissionError as error:
        raise _unusable(url, error) from error


def _missing(url: URL) -> StorageError:
    return StorageError(
        f"there is no cimsearch database at {_name(url)}",
        "start a study with `cimsearch launch`, or give another database",
    )


def _wrong_version(url: URL, version: str) -> StorageError:
    if version in known_versions():
        return StorageError(
            f"the database {_name(url)} has the layout {version}, older than {SCHEMA}",
            "make a copy of it and run `cimsearch db upgrade`",
        )
    return StorageError(
        f"the database {_name(url)} was written by a newer version of cimsearch: "
        f"it has the layout {version}, this version knows up to {SCHEMA}",
        "upgrade cimsearch",
    )


@contextmanager
def _told(url: URL) -> Iterator[None]:
    """Turn what the database or its driver cannot do into one clear line."""
    try:
        yield
    except (IntegrityError, DataError):
        raise  # what was to be written is at fault
    except (DatabaseError, InterfaceError) as error:
        raise _unusable(url, error.orig or error) from error


def _unusable(url: URL, error: BaseException) -> StorageError:
    name, reason = _name(url), " ".join(str(error).split())
    path = _sqlite_path(url)
    if path is None:
        return StorageError(
            f"cannot use the database {name}: {reason}", "check that its server can be reached"
        )
    if "not a database" in reason:
        return StorageError(f"{name} is not a SQLite database", "give another file")
    if "locked" in reason:
        return StorageError(
            f"the database {name} has been locked by another process for {BUSY_TIMEOUT_S:.0f} s",
            "end the process that holds it",
        )
    if "unable to open" in reason or isinstance(error, PermissionError):
        return _unopenable(path)
    return StorageError(
        f"cannot use the database {name}: {reason}", "check the file and the free space beside it"
    )


def _unopenable(path: Path) -> StorageError:
    """Say why SQLite could not open a file, which SQLite does not tell."""
    try:
        if not path.parent.is_dir():
            return StorageError(
                f"cannot open the database {path}: there is no folder {path.parent}",
                "create the folder, or give another database",
            )
        if path.is_dir():
            return StorageError(
                f"cannot open the database {path}: it is a folder", "give the path of a file"
            )
    except PermissionError:
        pass  # which is the reason
    return StorageError(
        f"cannot open or create the database {path}: permission denied",
        "check the permissions of the file and of its folder",
    )
