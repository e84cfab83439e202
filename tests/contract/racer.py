"""A process that writes to a study while another does: run by `test_records_on_databases`.

It says that it is ready, waits for a line, does what its second argument names, and prints what
came of it as JSON.
"""

import json
import sys
from collections.abc import Callable
from contextlib import closing

from cimsearch.errors import StudyError
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.records import (
    add_trial,
    evaluations,
    finish_evaluation,
    start_attempt,
    take_lease,
)
from tests.unit.store.builders import complete, new_evaluation, new_trial


def add(storage: CimStorage, study_id: int, who: str) -> list[int]:
    """Add trials; return their numbers."""
    return [
        add_trial(
            storage, study_id, new_trial(k), evaluation=new_evaluation(who), finished=None
        ).number
        for k in range(20)
    ]


def attempt(storage: CimStorage, study_id: int, who: str) -> list[int]:
    """Try every evaluation, though another process may too; return those that were applied."""
    applied = []
    for row in evaluations(storage, study_id):
        token = f"{who}-{row.id}"
        try:
            start_attempt(storage, row.id, token=token, worker=who)
        except ValueError:
            continue  # the other one has finished it
        if finish(storage, row.id, token):
            applied.append(row.id)
    return applied


def deliver(storage: CimStorage, study_id: int, who: str) -> list[int]:
    """Bring the result of each running attempt, as another process does; return the applied."""
    rows = evaluations(storage, study_id)
    return [row.id for row in rows if finish(storage, row.id, f"token-{row.id}")]


def lease(storage: CimStorage, study_id: int, who: str) -> bool:
    """Ask for the lease; return whether it was given."""
    try:
        take_lease(storage, study_id, owner=who, seconds=60.0)
    except StudyError:
        return False
    return True


def finish(storage: CimStorage, evaluation_id: int, token: str) -> bool:
    """Bring a result."""
    return finish_evaluation(
        storage, evaluation_id, token=token, score="{}", fail_reason=None, tell=complete()
    )


RACES: dict[str, Callable[[CimStorage, int, str], object]] = {
    race.__name__: race for race in (add, attempt, deliver, lease)
}

if __name__ == "__main__":
    url, race, who = sys.argv[1:]
    with closing(open_storage(url)) as storage:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        study_id = storage.get_study_id_from_name("study")
        sys.stdout.write(json.dumps(RACES[race](storage, study_id, who)) + "\n")
