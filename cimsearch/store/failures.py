"""What to say when a database cannot be used: one clear line, never with its password."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage

from sqlalchemy import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
)

from cimsearch.errors import StorageError, StorageUnreachableError
from cimsearch.store.filesystem import network_type
from cimsearch.store.schema import SCHEMA

BUSY_TIMEOUT_S = 30.0
"""How long a SQLite connection waits for another process's transaction."""

EXAMPLES = "give a URL such as sqlite:///cimsearch.db or postgresql+psycopg://user@host/name"

_KEPT = "what was recorded before is safe; make room, then go on with `cimsearch resume`"
_POSTGRES = (
    "use a PostgreSQL server (pip install 'cimsearch[postgres]', then "
    "--storage postgresql+psycopg://user@host/name), or a file on a disk of this machine"
)
# PostgreSQL's codes: connection failures, a server that ends or starts, one with too many
# clients, a connection that it closed because its transaction slept.
_AWAY = re.compile("08...|57P0[1-3]|53300|25P03")
# What a server that can be reached says when it refuses; libpq gives no code for these.
_REFUSED = re.compile(
    "authentication failed|does not exist|no pg_hba.conf entry|no password supplied"
    "|permission denied|invalid connection option|not support SSL|certificate verify failed"
)


@contextmanager
def told(url: URL) -> Iterator[None]:
    """Turn what the database or its driver cannot do into one clear line.

    Raises:
        StorageUnreachableError: The server does not answer, the connection to it is lost, or
            another process keeps the database locked.
        StorageError: The database cannot be used for another reason.
    """
    try:
        yield
    except (IntegrityError, DataError):
        raise  # what was to be written is at fault
    except (DatabaseError, InterfaceError, sqlite3.DatabaseError) as error:
        raise unusable(url, getattr(error, "orig", None) or error) from error


def sqlite_path(url: URL) -> Path | None:
    """Return the absolute path of a SQLite file, or None for another kind of database."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database)).absolute()


def name_of(url: URL) -> str:
    """Name a database in a message, without its password."""
    shown = url.difference_update_query(["password", "sslpassword"])
    return str(sqlite_path(url) or shown.render_as_string(hide_password=True))


def url_of(text: str, forms: str = EXAMPLES) -> URL:
    """Read a database URL.

    Args:
        text: The URL.
        forms: The hint of the error: what may be given.

    Raises:
        StorageError: If it is none, or one whose password cannot be told from the rest.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise _no_url(text, forms) from error
    # A password ends at its first '@': what is behind it would be told as a part of the host.
    if url.get_backend_name() != "sqlite" and "@" in f"{url.host}{url.database}":
        raise _no_url(text, f"write '@' in a name or password as %40; {forms}")
    return url


def _no_url(text: str, hint: str) -> StorageError:
    # It may hold a password all the same.
    shown = re.sub(r"(?<=:).*@|(?<=password=)[^&]*", "***", text)
    shown = re.sub(r"(?<=//)([^:@]*:).*", r"\1***", shown)
    return StorageError(f"not a database URL: {shown!r}", hint)


def no_driver(url: URL, error: Exception) -> StorageError:
    """Say that a URL names a driver that does not exist, or is not installed."""
    if not isinstance(error, ImportError):
        return StorageError(f"there is no driver {url.drivername}", EXAMPLES)
    hint = EXAMPLES if url.get_backend_name() == "sqlite" else "pip install 'psycopg[binary]'"
    return StorageError(f"the database driver {error.name} is not installed", hint)


def missing(url: URL) -> StorageError:
    """Say that there is no database."""
    return StorageError(
        f"there is no cimsearch database at {name_of(url)}",
        "start a study with `cimsearch launch`, or give another database",
    )


def other_version(url: URL, version: str, *, known: bool) -> StorageError:
    """Say that a database has another layout than this version's; `known` if it is an older."""
    if known:
        return StorageError(
            f"the database {name_of(url)} has the layout {version}, older than {SCHEMA}",
            "make a copy of it and run `cimsearch db upgrade`",
        )
    return StorageError(
        f"the database {name_of(url)} was written by a newer version of cimsearch: "
        f"it has the layout {version}, this version knows up to {SCHEMA}",
        "upgrade cimsearch",
    )


def unusable(url: URL, error: BaseException) -> StorageError:
    """Say why a database cannot be used, from what its driver says."""
    reason = " ".join(str(error).split())
    path = sqlite_path(url)
    if path is not None:
        return _unusable_file(path, reason, error)
    if url.get_backend_name() == "postgresql":
        return _unusable_server(name_of(url), reason, getattr(error, "sqlstate", None))
    return StorageError(f"cannot use the database {name_of(url)}: {reason}", EXAMPLES)


def _unusable_server(name: str, reason: str, code: str | None) -> StorageError:
    if code == "53100":
        return StorageError(f"the disk of the server of the database {name} is full", _KEPT)
    if code in ("40P01", "40001"):  # a deadlock, or writers that did not go together
        return StorageUnreachableError(
            f"the database {name} gave way to another writer: {reason}", "try again"
        )
    if code == "55P03":
        return _locked(name)
    if code == "25006":
        return StorageError(
            f"the database {name} cannot be written: its server is read-only",
            "give the primary server, not a standby",
        )
    # Without a code it is libpq that speaks: there is no connection, or none any more.
    if _AWAY.fullmatch(code or "") or (code is None and not _REFUSED.search(reason)):
        return StorageUnreachableError(
            f"the server of the database {name} cannot be reached: {reason}",
            "check the server and the network; what was recorded before is safe",
        )
    return StorageError(
        f"cannot use the database {name}: {reason}",
        "check the URL, the user's rights, and the password (a file ~/.pgpass may hold it)",
    )


def _unusable_file(path: Path, reason: str, error: BaseException) -> StorageError:
    code = getattr(error, "sqlite_errorname", "")
    if code == "SQLITE_FULL" or (code.startswith("SQLITE_IOERR") and _is_full(path)):
        return StorageError(f"no room is left for the database {path}", _KEPT)
    if code.startswith("SQLITE_READONLY"):
        return StorageError(
            f"the database {path} cannot be written: it is read-only",
            "check the permissions of the file and of its folder, or copy it elsewhere",
        )
    if code == "SQLITE_NOTADB":
        return StorageError(f"{path} is not a SQLite database", "give another file")
    if code.startswith("SQLITE_CORRUPT"):
        return StorageError(
            f"the database {path} is damaged: {reason}",
            "go on with a copy made before; `sqlite3 FILE .recover` may save rows",
        )
    if code.startswith("SQLITE_BUSY"):
        return _held(path)
    if code.startswith("SQLITE_CANTOPEN") or isinstance(error, PermissionError):
        return _unopenable(path)
    return StorageError(
        f"cannot use the database {path}: {reason}", "check the file and the disk it is on"
    )


def _held(path: Path) -> StorageError:
    network = network_type(path)
    if network is not None:
        return StorageError(
            f"the database {path} is on a network file system ({network}), where only one "
            "process at a time may use a SQLite file, and another has it open",
            _POSTGRES,
        )
    return _locked(str(path))


def _locked(name: str) -> StorageError:
    # It ends as a server's absence does, so whoever waits for that should wait for this.
    return StorageUnreachableError(
        f"the database {name} has been locked by another process for {BUSY_TIMEOUT_S:.0f} s",
        "end the process that holds it",
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
        if _is_full(path):
            return StorageError(f"no room is left for the database {path}", _KEPT)
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return StorageError(
                f"cannot open the database {path}: its file system is read-only",
                "copy the database to where files can be written beside it",
            )
    except PermissionError:
        pass  # which is the reason
    return StorageError(
        f"cannot open or create the database {path}: permission denied",
        "check the permissions of the file and of its folder",
    )


def _is_full(path: Path) -> bool:
    # SQLite needs whole pages, of 4096 bytes at the least.
    return disk_usage(path.parent).free < 4096
