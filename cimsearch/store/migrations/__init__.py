"""The history of the database's layout, run by Alembic inside a transaction of ours.

The first migration is the whole layout; each later one is a file in `versions/`. Alembic is
imported only when there is something to migrate or to compare.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent


def configuration() -> "Config":
    """Return the Alembic configuration of this history, without a connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def known_versions() -> list[str]:
    """List the versions of the layout that this version of cimsearch knows, the newest first."""
    from alembic.script import ScriptDirectory

    return [s.revision for s in ScriptDirectory.from_config(configuration()).walk_revisions()]


def migrate(conn: Connection) -> None:
    """Bring a database to the newest layout, inside the transaction that `conn` is in."""
    from alembic import command

    config = configuration()
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
