"""The question that is asked before every read: whether anything of a study is new."""

import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from cimsearch.store.failures import told

_SQLITE = "SELECT revision FROM study WHERE id = ?"
_SERVER = "SELECT revision FROM study WHERE id = %s"


class Looker:
    """A connection kept for that question, with no transaction and nothing else around it.

    Taking one from the pool, beginning and ending a transaction would ask a server four times
    instead of once. One that has broken is replaced: the server may be back.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: Connection | None = None

    def revision(self, study_id: int) -> int | None:
        """Return the study's revision, as committed by whomever, or None if there is no study.

        Raises:
            StorageError: The database cannot be read.
        """
        with told(self._engine.url):
            if self._kept is not None:
                try:
                    return self._ask(self._kept, study_id)
                except (DBAPIError, sqlite3.Error):
                    self.close()
            self._kept = self._engine.connect()
            if self._engine.dialect.name == "postgresql":
                self._kept.execution_options(isolation_level="AUTOCOMMIT")
            return self._ask(self._kept, study_id)

    def _ask(self, conn: Connection, study_id: int) -> int | None:
        row: Any
        if self._engine.dialect.name == "sqlite":
            # SQLAlchemy would begin a transaction, and keep it.
            driver: Any = conn.connection.driver_connection
            row = driver.execute(_SQLITE, (study_id,)).fetchone()
        else:
            row = conn.exec_driver_sql(_SERVER, (study_id,)).fetchone()
        return None if row is None else int(row[0])

    def close(self) -> None:
        """Give the connection up; the next question makes another."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None
