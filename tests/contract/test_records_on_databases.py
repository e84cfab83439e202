"""On each kind of database: processes that write at once lose nothing and apply nothing twice."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cimsearch.errors import LeaseLostError, StorageUnreachableError
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.records import (
    Tell,
    add_trial,
    attempts,
    end_attempt,
    evaluations,
    finish_evaluation,
    front_events,
    lease_of,
    recover,
    start_attempt,
    take_lease,
    trial_rows,
)
from tests.postgres import Server
from tests.unit.store.builders import complete, new_evaluation, new_study, new_trial
from tests.unit.store.test_kill import check_whole

ROOT = Path(__file__).parents[2]


@pytest.fixture
def storage(database_url: str) -> Iterator[CimStorage]:
    with closing(open_storage(database_url)) as opened:
        yield opened


def race(url: str, name: str) -> list[Any]:
    """Let two processes do the same at the same moment; return what came of each."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.contract.racer", url, name, who],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in ("first", "second")
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = [racer.communicate(timeout=120)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    return [json.loads(output) for output in outputs]


def flat(parts: list[list[int]]) -> list[int]:
    return [value for part in parts for value in part]


def pending(storage: CimStorage, study_id: int, n: int) -> list[int]:
    """Add trials whose evaluations are pending; return the evaluations' ids."""
    for k in range(n):
        add_trial(storage, study_id, new_trial(k), evaluation=new_evaluation(), finished=None)
    return [row.id for row in evaluations(storage, study_id)]


def test_numbers_are_given_once(storage: CimStorage, database_url: str) -> None:
    study_id = new_study(storage)
    numbers = race(database_url, "add")
    assert sorted(flat(numbers)) == list(range(40))
    assert all(own == sorted(own) for own in numbers)
    rows = trial_rows(storage, study_id)
    assert [row.number for row in rows] == list(range(40))
    assert len({row.evaluation_id for row in rows}) == 40


def test_each_evaluation_ends_by_one_of_its_attempts(
    storage: CimStorage, database_url: str
) -> None:
    study_id = new_study(storage)
    ids = pending(storage, study_id, 25)
    applied = race(database_url, "attempt")
    assert sorted(flat(applied)) == ids
    for evaluation_id in ids:
        tried = attempts(storage, evaluation_id)
        states = [a.state for a in tried]
        assert [a.n for a in tried] == list(range(1, len(tried) + 1))
        assert states.count("done") == 1
        assert set(states) <= {"done", "interrupted", "late"}
    check_whole_front(storage, study_id, len(ids))


def test_result_that_arrives_twice_is_applied_once(storage: CimStorage, database_url: str) -> None:
    study_id = new_study(storage)
    ids = pending(storage, study_id, 25)
    for evaluation_id in ids:
        start_attempt(storage, evaluation_id, token=f"token-{evaluation_id}", worker="w")
    applied = race(database_url, "deliver")
    assert sorted(flat(applied)) == ids
    for evaluation_id in ids:
        assert [a.state for a in attempts(storage, evaluation_id)] == ["done"]
    check_whole_front(storage, study_id, len(ids))


def finish(storage: CimStorage, evaluation_id: int, token: str, tell: Tell) -> bool:
    return finish_evaluation(
        storage, evaluation_id, token=token, score=f'"{token}"', fail_reason=None, tell=tell
    )


def check_whole_front(storage: CimStorage, study_id: int, n: int) -> None:
    """Check that every trial is told, and is on the front once."""
    assert {e.state for e in evaluations(storage, study_id)} == {"done"}
    assert {t.state for t in trial_rows(storage, study_id)} == {"complete"}
    events = front_events(storage, study_id)
    assert [event.seq for event in events] == list(range(1, n + 1))
    assert len({event.trial_id for event in events}) == n


def test_late_result_of_a_dead_orchestrator_changes_nothing(
    storage: CimStorage, database_url: str
) -> None:
    study_id = new_study(storage)
    (evaluation_id,) = pending(storage, study_id, 1)
    start_attempt(storage, evaluation_id, token="old", worker="w1")
    with closing(open_storage(database_url)) as other:
        assert [row.id for row in recover(other, study_id)] == [evaluation_id]
        start_attempt(other, evaluation_id, token="new", worker="w2")
        assert not finish(storage, evaluation_id, "old", complete(0.1, 9.0))
        assert evaluations(other, study_id)[0].state == "running"
        end_attempt(storage, "old", state="lost", reason="its worker died")
        assert evaluations(other, study_id)[0].state == "running"
        assert finish(other, evaluation_id, "new", complete())
        assert not finish(storage, evaluation_id, "old", complete(0.1, 9.0))
    assert [a.state for a in attempts(storage, evaluation_id)] == ["late", "done"]
    (row,) = trial_rows(storage, study_id)
    assert row.values == complete().values
    assert evaluations(storage, study_id)[0].score == '"new"'


def test_lease_is_given_to_one(storage: CimStorage, database_url: str) -> None:
    study_id = new_study(storage)
    given = race(database_url, "lease")
    assert sorted(given) == [False, True]
    lease = lease_of(storage, study_id)
    assert lease is not None
    assert lease.owner == ("first" if given[0] else "second")


def test_orchestrator_that_was_taken_for_dead_writes_nothing(
    storage: CimStorage, database_url: str
) -> None:
    study_id = new_study(storage)
    (evaluation_id,) = pending(storage, study_id, 1)
    start_attempt(storage, evaluation_id, token="a", worker="w")
    take_lease(storage, study_id, owner="slow", seconds=0.0)
    with closing(open_storage(database_url)) as other:
        take_lease(other, study_id, owner="next", seconds=60.0)
        with pytest.raises(LeaseLostError, match="next has taken over"):
            finish(storage, evaluation_id, "a", complete())
        assert evaluations(other, study_id)[0].state == "running"
        assert front_events(other, study_id) == []


class Writer:
    """A process that adds and tells trials, and says so, until it ends or is killed."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.store.writer", url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.told: list[str] = []

    def read(self, lines: int) -> None:
        assert self.process.stdout is not None
        self.told += [self.process.stdout.readline() for _ in range(lines)]

    def end(self) -> str:
        """Read what is left, and return what it wrote as it failed."""
        out, err = self.process.communicate(timeout=60)
        self.told += out.splitlines(keepends=True)
        return err

    def check(self, storage: CimStorage, study_id: int) -> None:
        """Check that nothing that it has reported is lost, and that every trial is whole."""
        check_whole(storage, study_id)
        states = {row.number: row.state for row in trial_rows(storage, study_id)}
        # The last line may have been cut in two.
        for line in (line for line in self.told if line.endswith("\n")):
            verb, number = line.split()
            assert int(number) in states
            assert verb == "added" or states[int(number)] == "complete"


def test_killed_writer_leaves_every_trial_whole_or_absent(postgres_url: str) -> None:
    with closing(open_storage(postgres_url)) as storage:
        study_id = new_study(storage)
        for lines in (1, 6, 13):
            writer = Writer(postgres_url)
            writer.read(lines)
            writer.process.kill()
            writer.end()
            assert writer.process.returncode == -signal.SIGKILL
            writer.check(storage, study_id)


def test_killed_server_keeps_all_that_was_told(mortal_postgres: Server) -> None:
    url = mortal_postgres.url(mortal_postgres.create_database())
    with closing(open_storage(url)) as storage:
        study_id = new_study(storage)
        for lines in (2, 7, 20):
            writer = Writer(url)
            writer.read(lines)
            mortal_postgres.kill()
            said = writer.end()
            assert writer.process.returncode == 1
            assert "StorageUnreachableError" in said
            with pytest.raises(StorageUnreachableError):
                trial_rows(storage, study_id)
            mortal_postgres.start()
            writer.check(storage, study_id)
