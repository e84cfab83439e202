"""A SQLite file that another program keeps locked for a while: the study waits, then goes on."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.run import loop
from cimsearch.orchestrate.run.progress import Progress
from cimsearch.spec import Study
from cimsearch.store import database
from tests.unit.orchestrate.quick import QuickExecutor, table


@dataclass
class Holder:
    """Locks the file at the third snapshot, until the study has told four times that it waits."""

    conn: sqlite3.Connection
    seen: int = 0
    waited: int = 0

    def see(self, progress: Progress) -> None:
        self.seen += 1
        if self.seen == 3:
            self.conn.execute("BEGIN IMMEDIATE")
        if progress.phase == "waiting for the database":
            self.waited += 1
            if self.waited == 4:
                self.conn.execute("ROLLBACK")


def test_lock_of_another_program_is_waited_for(
    tiny_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, free = tmp_path / "own.db", tmp_path / "free.db"
    launch(tiny_study, storage=f"sqlite:///{free}", executor=QuickExecutor(2, Random(0)))
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.02)
    monkeypatch.setattr(loop, "_AWAY_LOOK_S", 0.01)
    holder = Holder(sqlite3.connect(own, isolation_level=None))
    launch(
        tiny_study,
        storage=f"sqlite:///{own}",
        executor=QuickExecutor(2, Random(0)),
        on_progress=holder.see,
    )
    holder.conn.close()
    assert holder.waited == 4
    assert table(f"sqlite:///{own}") == table(f"sqlite:///{free}")
