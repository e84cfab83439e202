"""Opening a database: its connections, its transactions, and its layout."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
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
    func,
    inspect,
    select,
    table,
)
from sqlalchemy.exc import NoSuchModuleError

from cimsearch.errors import StorageError
from cimsearch.store.failures import (
    BUSY_TIMEOUT_S,
    EXAMPLES,
    missing,
    name_of,
    no_driver,
    other_version,
    sqlite_path,
    told,
    unusable,
    url_of,
)
from cimsearch.store.filesystem import network_type
from cimsearch.store.migrations import known_versions, migrate
from cimsearch.store.schema import SCHEMA, VERSION_TABLE

_RETRY_S = 0.02

# On a network file system whoever has the file open keeps it: waiting for long is no use.
_NETWORK_TIMEOUT_S = 2.0

# A server ends a transaction whose process sleeps in it, so that its locks do not stay for ever.
_IDLE_TIMEOUT_S = 60.0

# PostgreSQL's locks have numbers; this one is held while the tables are made or changed.
_LAYOUT_LOCK = 0x63696D

# A server's machine may vanish without a word: libpq alone would wait for it for hours.
_SERVER_PATIENCE = {
    "connect_timeout": 10,  # s
    "keepalives_idle": 20,  # s
    "keepalives_interval": 5,  # s
    "keepalives_count": 4,
    "tcp_user_timeout": 40_000,  # ms
}


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
            raise missing(engine.url)
        elif version != SCHEMA:
            raise other_version(engine.url, version, known=version in known_versions())
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
            _lock_layout(conn)
            version = _version(conn)
            if version is None:
                raise missing(engine.url)
            if version not in known_versions():
                raise other_version(engine.url, version, known=False)
            migrate(conn)
    finally:
        engine.dispose()
    return version


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection that sees one state of the database, and leaves it as it is."""
    with told(engine.url), engine.connect() as conn:
        if engine.dialect.name == "postgresql":
            conn.execution_options(isolation_level="REPEATABLE READ")
        yield conn


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection inside one transaction: all of the block is committed, or nothing."""
    with told(engine.url), engine.execution_options(cimsearch_writes=True).begin() as conn:
        yield conn


def in_memory(engine: Engine) -> bool:
    """Tell whether the database is one that lives in this process only."""
    return engine.dialect.name == "sqlite" and sqlite_path(engine.url) is None


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
    url = url_of(text)
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise StorageError(
            f"cannot use a {url.get_backend_name()} database: allowed are sqlite and postgresql",
            EXAMPLES,
        )
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url, foreign_keys=foreign_keys)
        return _postgres_engine(url)
    except (NoSuchModuleError, ImportError) as error:
        raise no_driver(url, error) from error


def _postgres_engine(url: URL) -> Engine:
    libpq = url.get_driver_name().startswith("psycopg")
    patience = {k: v for k, v in _SERVER_PATIENCE.items() if libpq and k not in url.query}
    # Whatever the server's default: a writer has to see what was committed before its turn.
    engine = create_engine(
        url, pool_pre_ping=True, connect_args=patience, isolation_level="READ COMMITTED"
    )
    idle = "idle_in_transaction_session_timeout"
    timeouts = {"lock_timeout": BUSY_TIMEOUT_S, idle: _IDLE_TIMEOUT_S}

    def set_up(driver: Any, _record: object) -> None:
        with driver.cursor() as cursor:
            for name, seconds in timeouts.items():
                cursor.execute(f"SET {name} = {1000 * seconds:.0f}")  # ms
        driver.commit()

    event.listen(engine, "connect", set_up)
    return engine


def _sqlite_engine(url: URL, *, foreign_keys: bool) -> Engine:
    path = sqlite_path(url)
    network = path is not None and network_type(path) is not None
    if path is not None:
        # Absolute, so that a later change of the working directory cannot lead to another file.
        url = url.set(database=str(path))
    if path is None or network:
        # One connection has the database to itself; the storage's lock keeps threads apart.
        arguments = {"check_same_thread": False, "timeout": _NETWORK_TIMEOUT_S}
        engine = create_engine(url, poolclass=StaticPool, connect_args=arguments)
    else:
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    def set_up(driver: Any, _record: object) -> None:
        # The driver's own transactions leave out DDL and cannot take the write lock first.
        driver.isolation_level = None
        driver.execute("PRAGMA synchronous = FULL")
        driver.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        if network:
            _keep_alone(driver)

    event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _keep_alone(driver: Any) -> None:
    """Lock a file against every other process for as long as it is open.

    A write-ahead log needs memory that its users share, which two machines do not.
    """
    driver.execute("PRAGMA locking_mode = EXCLUSIVE")
    driver.execute("PRAGMA journal_mode = DELETE")
    driver.execute("BEGIN EXCLUSIVE")
    driver.execute("COMMIT")


def _begin_sqlite(conn: Connection) -> None:
    # A writer takes the lock at once: one that has read something first could be refused later.
    writes = conn.get_execution_options().get("cimsearch_writes", False)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _create(engine: Engine) -> None:
    path = sqlite_path(engine.url)
    if path is not None and network_type(path) is None:
        with reading(engine) as conn:
            _keep_wal(conn)
    with writing(engine) as conn:
        _lock_layout(conn)
        # Another process may have been faster.
        if _version(conn) is None:
            migrate(conn)


def _lock_layout(conn: Connection) -> None:
    """Let only one process at a time make or change the tables; a writer to SQLite is alone."""
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(_LAYOUT_LOCK)))


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
            f"the database {name_of(conn.engine.url)} holds the tables of another program: "
            + ", ".join(sorted(tables)[:3]),
            "give cimsearch a database of its own",
        )
    return None


def _require_existing(url: URL) -> None:
    path = sqlite_path(url)
    try:
        if path is not None and not path.exists():
            raise missing(url)
    except PermissionError as error:
        raise unusable(url, error) from error
