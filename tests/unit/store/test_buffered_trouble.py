"""Changes that wait in memory when something goes wrong: refused where that is due, never lost."""

import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from cimsearch.errors import LeaseLostError, StorageError
from cimsearch.store import CimStorage, open_storage, session
from cimsearch.store.records import add_trial, list_studies, take_lease
from tests.unit.store.builders import DISTRIBUTIONS, complete, new_study, new_trial

optuna.logging.set_verbosity(optuna.logging.WARNING)

ASKS_UNTIL_KILLED = """
import sys
import optuna
from cimsearch.store import open_storage
from tests.unit.store.builders import DISTRIBUTIONS
study = optuna.load_study(study_name="study", storage=open_storage(sys.argv[1]))
while True:
    trial = study.ask(DISTRIBUTIONS)
    trial.set_user_attr("k", trial.number)
    study.tell(trial, (1.0, 2.0))
    print(trial.number, flush=True)
"""


@pytest.fixture
def storage(database_url: str) -> Iterator[CimStorage]:
    opened = open_storage(database_url)
    yield opened
    opened.close()


@pytest.fixture
def other(storage: CimStorage, database_url: str) -> Iterator[CimStorage]:
    opened = open_storage(database_url)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a slow machine from writing what is to wait."""
    monkeypatch.setattr(session, "PATIENCE_S", 3600.0)


def attrs(storage: CimStorage, trial_id: int) -> dict[str, Any]:
    return storage.get_trial(trial_id).user_attrs


def test_killed_process_loses_nothing_of_a_trial_that_it_told(
    other: CimStorage, database_url: str
) -> None:
    study_id = new_study(other)
    command = [sys.executable, "-c", ASKS_UNTIL_KILLED, database_url]
    root = Path(__file__).parents[3]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(10)]
    process.kill()
    lines += process.stdout.read().split("\n")[:-1]
    assert process.wait(30) == -signal.SIGKILL
    process.stdout.close()
    trials = other.get_all_trials(study_id)
    told = [t for t in trials if t.state == TrialState.COMPLETE]
    assert {int(line) for line in lines} <= {t.number for t in told}
    assert all(t.params.keys() == DISTRIBUTIONS.keys() for t in told)
    assert all(t.user_attrs == {"k": t.number} and t.values == [1.0, 2.0] for t in told)
    assert len(trials) - len(told) <= 1


@pytest.mark.parametrize("explicit", [True, False])
def test_trial_that_another_process_ended_refuses_its_changes(
    storage: CimStorage, other: CimStorage, explicit: bool
) -> None:
    study_id = new_study(storage)
    ended, alive = (storage.create_new_trial(study_id) for _ in range(2))
    storage.set_trial_user_attr(ended, "a", 1)
    storage.set_trial_user_attr(alive, "a", 1)
    other.set_trial_state_values(ended, TrialState.FAIL)
    if explicit:
        with pytest.raises(UpdateFinishedTrialError, match="Trial#0 has already finished"):
            storage.flush()
    else:
        # Something else that writes does not fail for it.
        storage.set_study_user_attr(study_id, "b", 1)
    assert (attrs(other, ended), attrs(other, alive)) == ({}, {"a": 1})
    assert storage.get_trial(ended) == other.get_trial(ended)
    with pytest.raises(UpdateFinishedTrialError, match="Trial#0 has already finished"):
        storage.set_trial_user_attr(ended, "b", 2)
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(ended, TrialState.COMPLETE, (1.0, 2.0))
    # It has been said.
    storage.flush()


def test_tell_says_that_another_process_ended_the_trial(
    storage: CimStorage, other: CimStorage
) -> None:
    new_study(storage)
    study = optuna.load_study(study_name="study", storage=storage)
    trial = study.ask(DISTRIBUTIONS)
    trial.set_user_attr("a", 1)
    other.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    with pytest.raises(UpdateFinishedTrialError):
        study.tell(trial, (0.5, 1.0))
    assert study.trials[0].state == TrialState.FAIL


def test_changes_to_a_deleted_study_go_with_it(storage: CimStorage, other: CimStorage) -> None:
    for deleting in (storage, other):
        study_id, kept = new_study(storage), new_study(storage, f"kept by {id(deleting)}")
        trial_id, stays = storage.create_new_trial(study_id), storage.create_new_trial(kept)
        storage.set_trial_user_attr(trial_id, "a", 1)
        storage.set_trial_user_attr(stays, "a", 1)
        deleting.delete_study(study_id)
        storage.flush()
        assert attrs(other, stays) == {"a": 1}
        for call in (storage.get_trial, lambda i: storage.set_trial_user_attr(i, "b", 2)):
            with pytest.raises(KeyError):
                call(trial_id)


def test_study_that_was_taken_over_refuses_what_waits(
    storage: CimStorage, other: CimStorage
) -> None:
    study_id, free = new_study(storage), new_study(storage, "free")
    take_lease(storage, study_id, owner="host:1", seconds=-1)
    trial_id, own = storage.create_new_trial(study_id), storage.create_new_trial(free)

    def change() -> None:
        storage.set_trial_user_attr(trial_id, "a", 1)

    change()
    storage.set_trial_user_attr(own, "a", 1)
    take_lease(other, study_id, owner="host:2", seconds=60)
    with pytest.raises(LeaseLostError, match="host:2 has taken over the study 'study'"):
        storage.flush()
    assert attrs(storage, trial_id) == attrs(other, trial_id) == {}
    storage.flush()
    assert attrs(other, own) == {"a": 1}
    with pytest.raises(LeaseLostError):
        change()
    with pytest.raises(LeaseLostError):
        storage.set_trial_state_values(trial_id, TrialState.FAIL)


def test_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'a.db'}")
    study_id = new_study(storage)
    trial_id = storage.create_new_trial(study_id)
    with storage.session.reading() as conn:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    storage.set_trial_user_attr(trial_id, "long", "x" * 100_000)
    for call in (
        storage.flush,
        lambda: storage.set_trial_state_values(trial_id, TrialState.COMPLETE, (1.0, 2.0)),
        lambda: list_studies(storage),
        storage.close,
    ):
        with pytest.raises(StorageError, match="no room is left"):
            call()
        assert attrs(storage, trial_id) == {"long": "x" * 100_000}
        assert storage.get_trial(trial_id).state == TrialState.RUNNING
        # Closing has opened a new connection, which knows no limit.
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, (1.0, 2.0))
    storage.close()
    fresh = open_storage(f"sqlite:///{tmp_path / 'a.db'}")
    assert len(attrs(fresh, trial_id)["long"]) == 100_000
    fresh.close()


def test_failed_record_keeps_what_waits(storage: CimStorage, other: CimStorage) -> None:
    study_id = new_study(storage)
    trial_id = storage.create_new_trial(study_id)
    storage.set_trial_user_attr(trial_id, "a", 1)
    with pytest.raises(ValueError, match="has 2 values"):
        add_trial(
            storage,
            study_id,
            new_trial(),
            evaluation=None,
            finished=complete(values=(1.0,)),
        )
    assert (attrs(storage, trial_id), attrs(other, trial_id)) == ({"a": 1}, {})
    storage.flush()
    assert attrs(other, trial_id) == {"a": 1}


def test_what_cannot_be_written_is_refused_at_once(storage: CimStorage, other: CimStorage) -> None:
    study_id = new_study(storage)
    first, second = (storage.create_new_trial(study_id) for _ in range(2))
    theirs = other.create_new_trial(study_id)
    float_, choice = FloatDistribution(0, 1), CategoricalDistribution((0, 1))
    # The first distribution of a parameter is everyone's at once.
    storage.set_trial_param(first, "x", 0.5, float_)
    for storing, trial_id in ((other, theirs), (storage, second)):
        with pytest.raises(ValueError, match="different distribution kind"):
            storing.set_trial_param(trial_id, "x", 0.0, choice)
        storing.set_trial_param(trial_id, "x", 0.25, FloatDistribution(0, 2))
    with pytest.raises(TypeError):
        storage.set_trial_user_attr(second, "a", {1, 2})
    with pytest.raises(KeyError):
        storage.set_trial_user_attr(second + 100, "a", 1)
    with pytest.raises(ValueError, match="nan"):
        storage.set_trial_param(second, "x", math.nan, float_)
    with pytest.raises(TypeError):
        storage.set_trial_system_attr(second, "constraints", 5)
    storage.flush()
    assert other.get_trial(second) == storage.get_trial(second)
    assert other.get_trial(second).params == {"x": 0.25}
    assert attrs(storage, second) == {}
