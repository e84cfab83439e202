"""Leases between processes: one of those that contend gets it, a dead one's expires."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cimsearch.errors import StudyError
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.records import (
    lease_of,
    take_lease,
    trial_rows,
)
from tests.unit.store.builders import new_study

ROOT = Path(__file__).parents[3]
CONTEND = """
import sys
from cimsearch.errors import StudyError
from cimsearch.store import open_storage
from cimsearch.store.records import take_lease
storage = open_storage(sys.argv[1])
study_id = storage.get_study_id_from_name("study")
print("ready", flush=True)
sys.stdin.readline()
try:
    take_lease(storage, study_id, owner=sys.argv[2], seconds=60)
    print("mine", flush=True)
except StudyError as error:
    print(error.message, flush=True)
sys.stdin.readline()
"""

OVERSLEEP = """
import sys
from cimsearch.errors import LeaseLostError
from cimsearch.store import open_storage
from cimsearch.store.records import add_trial, take_lease
from tests.unit.store.builders import new_trial
storage = open_storage(sys.argv[1])
study_id = storage.get_study_id_from_name("study")
take_lease(storage, study_id, owner="sleeper", seconds=0.5)
add_trial(storage, study_id, new_trial(0), evaluation=None, finished=None)
print("ready", flush=True)
sys.stdin.readline()
try:
    add_trial(storage, study_id, new_trial(1), evaluation=None, finished=None)
except LeaseLostError as error:
    print(error.message, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def storage(database_url: str) -> Iterator[CimStorage]:
    opened = open_storage(database_url)
    yield opened
    opened.close()


def contender(url: str, owner: str, code: str = CONTEND) -> "subprocess.Popen[str]":
    """Start a process that takes the lease when it is sent a line, and lives until the next."""
    return subprocess.Popen(
        [sys.executable, "-c", code, url, owner],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def say(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def hear(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: "subprocess.Popen[str]") -> None:
    process.communicate("\n", timeout=60)


def test_of_processes_that_contend_for_a_lease_one_gets_it(
    storage: CimStorage, database_url: str
) -> None:
    study_id = new_study(storage)
    processes = [contender(database_url, name) for name in ("first", "second")]
    for process in processes:
        assert hear(process) == "ready"
    for process in processes:
        say(process)
    answers = [hear(process) for process in processes]
    row = lease_of(storage, study_id)
    assert row is not None
    winner = ("first", "second").index(row.owner)
    assert answers[winner] == "mine"
    assert f"is being run by {row.owner}" in answers[1 - winner]
    for process in processes:
        end(process)


def test_process_that_oversleeps_finds_its_lease_taken(
    storage: CimStorage, database_url: str
) -> None:
    study_id = new_study(storage)
    sleeper = contender(database_url, "", OVERSLEEP)
    assert hear(sleeper) == "ready"
    refusals = 0
    while True:
        try:
            take_lease(storage, study_id, owner="next", seconds=60)
            break
        except StudyError:
            refusals += 1
            assert refusals < 10_000
    say(sleeper)
    assert hear(sleeper).startswith("next has taken over the study 'study'")
    end(sleeper)
    assert [row.number for row in trial_rows(storage, study_id)] == [0]


def test_lease_of_a_killed_process_stays_until_it_expires(
    storage: CimStorage, database_url: str
) -> None:
    study_id = new_study(storage)
    process = contender(database_url, "victim")
    assert hear(process) == "ready"
    say(process)
    assert hear(process) == "mine"
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(StudyError, match="is being run by victim"):
        take_lease(storage, study_id, owner="next", seconds=60)
