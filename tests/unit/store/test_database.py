"""Opening a database: it is ours and of this version, or one clear line says why not."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from optuna.storages import RDBStorage
from sqlalchemy import create_engine

from cimsearch.errors import ExitCode, StorageError, StorageUnreachableError
from cimsearch.store import database, failures, migrations, open_storage, upgrade
from cimsearch.store.records import add_trial, evaluations, layer_costs, list_studies, trial_rows
from cimsearch.store.schema import SCHEMA, VERSION_TABLE, metadata
from tests.unit.store.builders import new_evaluation, new_study, new_trial

NEXT = '''"""The next layout, as a later version may bring it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Change two tables that others refer to."""
    for name in ("study", "trial"):
        with op.batch_alter_table(name, recreate="always") as table:
            table.add_column(sa.Column("note", sa.Text(), server_default="none"))
'''


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


@contextmanager
def without_privileges() -> Iterator[None]:
    """Give up root's right to ignore permissions for a while."""
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(uid)


def refusal(url: str, *, create: bool = True) -> StorageError:
    with pytest.raises(StorageError) as caught:
        open_storage(url, create=create)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == ExitCode.STORAGE
    return caught.value


def test_new_database_is_what_the_tables_declare(tmp_path: Path) -> None:
    open_storage(url_of(tmp_path / "a.db")).close()
    engine = create_engine(url_of(tmp_path / "a.db"))
    with engine.connect() as conn:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
    engine.dispose()
    # Alembic does not compare checks and cascades; the text of the tables has them.
    declared = create_engine(url_of(tmp_path / "b.db"))
    metadata.create_all(declared)
    declared.dispose()
    migrated, created = statements(tmp_path / "a.db"), statements(tmp_path / "b.db")
    assert {n: s for n, s in migrated.items() if n != VERSION_TABLE} == created


def statements(path: Path) -> dict[str, list[str]]:
    """Read the statements that made the tables and indexes, as sorted lines without quotes."""
    conn = sqlite3.connect(path)
    rows = conn.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    conn.close()
    return {
        n: sorted(
            re.sub(r"\s+", " ", line.replace('"', "")).strip(" ,") for line in s.splitlines()
        )
        for n, s in rows
        if n != "sqlite_sequence"
    }


def test_version_of_the_tables_is_the_newest_migration() -> None:
    assert migrations.known_versions()[0] == SCHEMA


def test_durability_and_integrity_are_switched_on(tmp_path: Path) -> None:
    storage = open_storage(url_of(tmp_path / "a.db"))
    with storage.session.reading() as conn:
        pragmas = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    storage.close()
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


def test_processes_may_create_a_database_at_once(database_url: str) -> None:
    code = "import sys; from cimsearch.store import open_storage; open_storage(sys.argv[1])"
    command = [sys.executable, "-c", code, database_url]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [p.wait(60) for p in processes] == [0, 0, 0]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("cimsearch.db", "not a database URL: 'cimsearch.db'"),
        ("", "not a database URL"),
        ("postgresql://u:s3:cr@et@host:port/x", "not a database URL: 'postgresql:***host:port/x'"),
        ("postgresql://u:s3cr@et@host:1/x", "not a database URL: 'postgresql:***host:1/x'"),
        ("postgresql://u:s3cr@e/t@host:1/x", "not a database URL: 'postgresql:***host:1/x'"),
        ("postgresql://u:s3cr/x", "not a database URL: 'postgresql://u:***'"),
        ("sqlite+aiosqlite:///a.db", "driver aiosqlite is not installed"),
        ("postgresql+oops://u:s3cret@host/x", "there is no driver postgresql+oops"),
        ("mysql://localhost/x", "cannot use a mysql database: allowed are sqlite and postgresql"),
    ],
)
def test_url_that_is_none_is_told(url: str, message: str) -> None:
    error = refusal(url)
    assert message in error.message
    assert "s3" not in str(error)
    assert "sqlite:///cimsearch.db" in error.hint


def test_missing_driver_is_told_with_what_to_install() -> None:
    error = refusal("postgresql+pg8000://user@localhost/x")
    assert "driver pg8000 is not installed" in error.message
    assert "pip install" in error.hint


def test_missing_folder_is_told(tmp_path: Path) -> None:
    error = refusal(url_of(tmp_path / "no" / "a.db"))
    assert f"there is no folder {tmp_path / 'no'}" in error.message


def test_folder_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    assert "it is a folder" in refusal(url_of(tmp_path)).message


def test_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, but long enough to be looked at\n" * 20)
    before = path.read_bytes()
    assert f"{path} is not a SQLite database" in refusal(url_of(path)).message
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_permission_is_told() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        with without_privileges():
            error = refusal(url_of(Path(folder) / "a.db"))
        Path(folder).chmod(0o755)
    assert "permission denied" in error.message
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o000)
        with without_privileges():
            error = refusal(url_of(Path(folder) / "a.db"), create=False)
        Path(folder).chmod(0o755)
    assert "permission denied" in error.message


def test_database_of_another_program_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    RDBStorage(url_of(path)).engine.dispose()
    before = path.read_bytes()
    error = refusal(url_of(path))
    assert "holds the tables of another program: alembic_version" in error.message
    assert path.read_bytes() == before


def test_reader_does_not_create_a_database(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    assert "no cimsearch database" in refusal(url_of(path), create=False).message
    assert list(tmp_path.iterdir()) == []
    path.touch()
    assert "no cimsearch database" in refusal(url_of(path), create=False).message
    with pytest.raises(StorageError, match="no cimsearch database"):
        upgrade(url_of(path))
    assert path.stat().st_size == 0
    with pytest.raises(StorageError, match="no cimsearch database"):
        upgrade(url_of(tmp_path / "b.db"))


def test_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_storage(url_of(path)).close()
    conn = sqlite3.connect(path)
    conn.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    conn.commit()
    conn.close()
    error = refusal(url_of(path))
    assert "newer version of cimsearch: it has the layout 9999" in error.message
    assert error.hint == "upgrade cimsearch"
    with pytest.raises(StorageError, match="newer version"):
        upgrade(url_of(path))


def test_older_database_is_refused_until_it_is_upgraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(tmp_path / "a.db")
    storage = open_storage(url)
    study_id = new_study(storage)
    add_trial(storage, study_id, new_trial(), evaluation=new_evaluation(), finished=None)
    before = trial_rows(storage, study_id), evaluations(storage, study_id)
    storage.close()
    assert upgrade(url) == SCHEMA

    shutil.copytree(migrations.FOLDER, tmp_path / "migrations")
    (tmp_path / "migrations" / "versions" / "r0004_next.py").write_text(NEXT)
    monkeypatch.setattr(migrations, "FOLDER", tmp_path / "migrations")
    monkeypatch.setattr(database, "SCHEMA", "0004")
    monkeypatch.setattr(failures, "SCHEMA", "0004")
    error = refusal(url)
    assert "has the layout 0003, older than 0004" in error.message
    assert "cimsearch db upgrade" in error.hint
    assert upgrade(url) == "0003"
    storage = open_storage(url)
    assert (trial_rows(storage, study_id), evaluations(storage, study_id)) == before
    assert len(layer_costs(storage, before[1][0].id)) == 3
    storage.close()


def test_upgrade_that_breaks_leaves_the_database_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(tmp_path / "a.db")
    storage = open_storage(url)
    new_study(storage)
    storage.close()
    before = statements(tmp_path / "a.db")
    shutil.copytree(migrations.FOLDER, tmp_path / "migrations")
    broken = NEXT + "    op.execute('INSERT INTO nowhere VALUES (1)')\n"
    (tmp_path / "migrations" / "versions" / "r0004_next.py").write_text(broken)
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "FOLDER", tmp_path / "migrations")
        with pytest.raises(StorageError, match="nowhere"):
            upgrade(url)
    assert statements(tmp_path / "a.db") == before
    storage = open_storage(url)
    assert len(list_studies(storage)) == 1
    storage.close()


def test_lock_held_by_another_program_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)
    path = tmp_path / "a.db"
    storage = open_storage(url_of(path))
    study_id = new_study(storage)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert trial_rows(storage, study_id) == []
    with pytest.raises(StorageUnreachableError, match="has been locked by another process"):
        add_trial(storage, study_id, new_trial(), evaluation=None, finished=None)
    holder.execute("ROLLBACK")
    holder.close()
    ids = add_trial(storage, study_id, new_trial(), evaluation=None, finished=None)
    assert ids.number == 0
    storage.close()
