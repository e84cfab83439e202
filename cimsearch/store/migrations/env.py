"""Alembic runs this file to migrate: it hands over the connection and names the version table."""

from alembic import context

from cimsearch.store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite cannot alter most of a table in place: it needs a copy.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
