"""What tests do with whole databases."""

from sqlalchemy import create_engine, insert, select, text

from cimsearch.store import CimStorage
from cimsearch.store.schema import metadata


def copy_rows(source: str, target: CimStorage) -> None:
    """Copy every row of a database into an empty one of any kind."""
    engine = create_engine(source)
    with engine.connect() as conn, target.session.writing() as into:
        for table in metadata.sorted_tables:
            rows = conn.execute(select(table)).mappings().all()
            if rows:
                into.execute(insert(table), [dict(row) for row in rows])
            if into.dialect.name == "postgresql" and "id" in table.c:
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                into.execute(text(f"SELECT setval({sequence}, max(id)) FROM {table.name}"))
    engine.dispose()
