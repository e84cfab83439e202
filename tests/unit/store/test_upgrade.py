"""A database of each earlier layout is brought to today's, and nothing in it is lost."""

import gzip
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from optuna.trial import TrialState
from sqlalchemy import create_engine, insert, select

from cimsearch.errors import StorageError
from cimsearch.orchestrate.launch import pareto_front
from cimsearch.orchestrate.read.results import TrialResult
from cimsearch.store import migrations, open_storage, upgrade
from cimsearch.store.check import check_database
from cimsearch.store.records import (
    add_evaluation,
    add_trial,
    attempts,
    evaluations,
    finish_evaluation,
    note_progress,
    recover,
    start_attempt,
    take_lease,
    trial_rows,
)
from cimsearch.store.schema import VERSION_TABLE, attempt, metadata
from tests.unit.store.builders import complete, new_evaluation, new_trial

FROZEN = Path(__file__).parents[2] / "data"
# What the second layout calls the attempts of the frozen file, by their tokens.
STATES = {
    "t-restarted": "interrupted",
    "t-killed": "late",
    "t-stopped": "interrupted",
    "t-failed": "failed",
    "t-done": "done",
    "t-ended": "interrupted",
    "t-running": "running",
}


def unpacked(layout: str, folder: Path) -> Path:
    """Return a copy of the frozen database of a layout."""
    path = folder / "old.db"
    with gzip.open(FROZEN / f"layout_{layout}.db.gz") as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return unpacked("0001", tmp_path)


def rows_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read every row of every table, without what the second layout changes."""
    conn = sqlite3.connect(path)
    conn.row_factory = sqlite3.Row
    names = conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    rows = {n: [dict(r) for r in conn.execute(f'SELECT * FROM "{n}"')] for (n,) in names}
    conn.close()
    del rows["cimsearch_schema"]
    # The order in which SQLite notes the last number of each table is its own.
    rows["sqlite_sequence"].sort(key=lambda row: str(row["name"]))
    for row in rows["attempt"]:
        row.pop("state")
    return rows


def test_every_row_survives(path: Path) -> None:
    before = rows_of(path)
    assert len(before["trial"]) == 6
    assert len(before["evaluation"]) == 13
    assert upgrade(f"sqlite:///{path}") == "0001"
    after = rows_of(path)
    assert after.pop("study_lease") == []
    for row in after["attempt"]:
        assert (row.pop("progress"), row.pop("progressed")) == (None, None)
    assert after == before


def test_every_row_of_the_second_layout_survives(tmp_path: Path) -> None:
    path = unpacked("0002", tmp_path)
    before, url = rows_of(path), f"sqlite:///{path}"
    assert upgrade(url) == "0002"
    assert rows_of(path) == before
    assert {row["role"] for row in before["evaluation"]} == {"trial", "baseline", "test"}
    with closing(open_storage(url)) as storage:
        study_id = storage.get_study_id_from_name("tiny")
        new = replace(new_evaluation(), role="adapted", label="trial 0, trained")
        add_evaluation(storage, study_id, new)
        assert [row.label for row in evaluations(storage, study_id, role="adapted")] == [new.label]
    assert check_database(url).ok


def test_interrupted_attempts_are_told_from_lost_ones(path: Path) -> None:
    conn = sqlite3.connect(path)
    conn.execute(
        "UPDATE attempt SET state = 'lost', reason = 'KilledWorker: x' WHERE token = 't-failed'"
    )
    conn.commit()
    conn.close()
    upgrade(f"sqlite:///{path}")
    storage = open_storage(f"sqlite:///{path}")
    study_id = storage.get_study_id_from_name("attempts")
    found = [a for e in evaluations(storage, study_id) for a in attempts(storage, e.id)]
    storage.close()
    assert {a.token: a.state for a in found} == STATES | {"t-failed": "lost"}


def test_front_is_as_before_and_the_check_finds_no_fault(path: Path) -> None:
    url = f"sqlite:///{path}"
    conn = sqlite3.connect(path)
    events = conn.execute(
        "SELECT trial_id, action, number FROM front_event JOIN trial ON trial.id = trial_id "
        "JOIN study ON study.id = trial.study_id WHERE study.name = 'tiny' ORDER BY seq"
    ).fetchall()
    conn.close()
    on_front: set[int] = set()
    for _, action, number in events:
        on_front ^= {number}
        assert (number in on_front) == (action == "add")
    upgrade(url)
    front: list[TrialResult] = pareto_front("tiny", storage=url)
    assert {t.number for t in front} == on_front
    report = check_database(url)
    assert report.ok
    assert [f.kind for f in report.findings] == ["warning"]


def test_upgraded_database_is_worked_on_as_a_new_one(path: Path) -> None:
    url = f"sqlite:///{path}"
    upgrade(url)
    assert upgrade(url) == "0003"
    storage = open_storage(url)
    study_id = storage.get_study_id_from_name("attempts")
    take_lease(storage, study_id, owner="host:1", seconds=60)
    (left,) = recover(storage, study_id)
    start_attempt(storage, left.id, token="new", worker="w")
    note_progress(storage, {"new": ("w", "{}")})
    assert finish_evaluation(
        storage, left.id, token="new", score="{}", fail_reason=None, tell=complete()
    )
    ids = add_trial(storage, study_id, new_trial(2), evaluation=new_evaluation(), finished=None)
    assert ids.number == 2
    study = optuna.load_study(study_name="attempts", storage=storage)
    trial = study.ask()
    study.tell(trial, (0.5, 1.0))
    assert study.trials[3].state == TrialState.COMPLETE
    assert len(trial_rows(storage, study_id)) == 4
    # Deleting goes through every reference, the moved table's too.
    storage.delete_study(study_id)
    storage.close()
    assert all(not row["token"].startswith("t-") for row in rows_of(path)["attempt"])


def test_server_is_upgraded_too(path: Path, postgres_url: str) -> None:
    # A server's database of the first layout, with the rows of the frozen file.
    old, new = create_engine(f"sqlite:///{path}"), create_engine(postgres_url)
    with old.connect() as source, new.begin() as target:
        config = migrations.configuration()
        config.attributes["connection"] = target
        command.upgrade(config, "0001")
        for table in metadata.sorted_tables:
            if table.name == "study_lease":
                continue
            later = ("progress", "progressed") if table.name == "attempt" else ()
            columns = [c for c in table.columns if c.name not in later]
            rows = [dict(r) for r in source.execute(select(*columns)).mappings()]
            target.execute(insert(table), rows)
    with pytest.raises(StorageError, match="has the layout 0001, older than 0003"):
        open_storage(postgres_url)
    assert upgrade(postgres_url) == "0001"
    with new.connect() as conn:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
        found = conn.execute(select(attempt.c.token, attempt.c.state).order_by(attempt.c.id))
        assert dict(tuple(row) for row in found.all()[-len(STATES) :]) == STATES
    old.dispose()
    new.dispose()
    report = check_database(postgres_url)
    assert (report.ok, report.trials) == (True, 6)


def test_old_layout_is_refused_until_then(path: Path) -> None:
    with pytest.raises(StorageError, match="has the layout 0001, older than 0003") as caught:
        open_storage(f"sqlite:///{path}")
    assert "cimsearch db upgrade" in caught.value.hint
