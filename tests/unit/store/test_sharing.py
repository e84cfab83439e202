"""Threads, storage objects and processes on one database see each other's writes and lose none."""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from cimsearch.store import CimStorage, open_storage
from cimsearch.store.records import (
    add_trial,
    evaluations,
    finish_evaluation,
    list_studies,
    trial_rows,
)
from tests.unit.store.builders import complete, new_evaluation, new_study, new_trial

ADD_TRIALS = """
import sys
from tests.unit.store.builders import new_evaluation, new_trial
from cimsearch.store import open_storage
from cimsearch.store.records import add_trial
storage = open_storage(sys.argv[1])
study_id = storage.get_study_id_from_name("study")
for k in range(int(sys.argv[2])):
    add_trial(storage, study_id, new_trial(k), evaluation=new_evaluation(), finished=None)
"""


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
def storage(url: str) -> Iterator[CimStorage]:
    opened = open_storage(url)
    yield opened
    opened.close()


@pytest.fixture
def other(storage: CimStorage, url: str) -> Iterator[CimStorage]:
    opened = open_storage(url)
    yield opened
    opened.close()


def spawn(url: str, n: int) -> "subprocess.Popen[bytes]":
    """Start a process that adds n trials."""
    root = Path(__file__).parents[3]
    return subprocess.Popen([sys.executable, "-c", ADD_TRIALS, url, str(n)], cwd=root)


def test_other_storage_sees_every_change(storage: CimStorage, other: CimStorage) -> None:
    study_id = new_study(storage)
    watching = optuna.load_study(study_name="study", storage=other)
    assert watching.trials == []
    ids = add_trial(storage, study_id, new_trial(), evaluation=new_evaluation(), finished=None)
    assert ids.evaluation_id is not None
    assert [t.state for t in watching.trials] == [TrialState.RUNNING]
    finish_evaluation(
        storage, ids.evaluation_id, token=None, score="{}", fail_reason=None, tell=complete()
    )
    assert [t.state for t in watching.trials] == [TrialState.COMPLETE]
    assert trial_rows(other, study_id) == trial_rows(storage, study_id)
    assert storage.get_all_trials(study_id) == other.get_all_trials(study_id)
    storage.set_study_user_attr(study_id, "note", "x")
    assert watching.user_attrs == {"seed": 1, "note": "x"}
    storage.delete_study(study_id)
    with pytest.raises(KeyError):
        other.get_all_trials(study_id)
    assert list_studies(other) == []


def test_refresh_replaces_only_the_trials_that_changed(
    storage: CimStorage, other: CimStorage
) -> None:
    study_id = new_study(storage)
    ids = [
        add_trial(storage, study_id, new_trial(k), evaluation=None, finished=None)
        for k in range(3)
    ]
    before = other.get_all_trials(study_id, deepcopy=False)
    storage.set_trial_user_attr(ids[1].trial_id, "a", 1)
    after = other.get_all_trials(study_id, deepcopy=False)
    assert [old is new for old, new in zip(before, after, strict=True)] == [True, False, True]
    assert after[1].user_attrs["a"] == 1
    assert "a" not in before[1].user_attrs


def test_trial_that_did_not_change_is_the_same_row(storage: CimStorage, other: CimStorage) -> None:
    study_id = new_study(storage)
    ids = [
        add_trial(storage, study_id, new_trial(k), evaluation=new_evaluation(), finished=None)
        for k in range(3)
    ]
    before = trial_rows(storage, study_id)
    assert all(x is y for x, y in zip(before, trial_rows(storage, study_id), strict=True))
    # A change by this storage, one by another, and a new trial.
    assert ids[0].evaluation_id is not None
    finish_evaluation(
        storage, ids[0].evaluation_id, token=None, score="{}", fail_reason=None, tell=complete()
    )
    other.set_trial_user_attr(ids[2].trial_id, "a", 1)
    add_trial(other, study_id, new_trial(3), evaluation=None, finished=None)
    after = trial_rows(storage, study_id)
    assert [new is old for new, old in zip(after, before, strict=False)] == [False, True, False]
    assert [row.number for row in after] == [0, 1, 2, 3]
    assert after == trial_rows(other, study_id)
    # What was handed out is the caller's: the storage does not see what becomes of the list.
    after.clear()
    assert len(trial_rows(storage, study_id)) == 4


def test_writers_in_turn_build_on_each_other(storage: CimStorage, other: CimStorage) -> None:
    study_id = new_study(storage)
    trial_id = storage.create_new_trial(study_id)
    other.set_trial_user_attr(trial_id, "a", 1)
    storage.set_trial_user_attr(trial_id, "b", 2)
    other.set_study_user_attr(study_id, "c", 3)
    storage.set_study_user_attr(study_id, "d", 4)
    assert other.get_trial(trial_id).user_attrs == {"a": 1, "b": 2}
    assert other.get_study_user_attrs(study_id) == {"seed": 1, "c": 3, "d": 4}


def test_waiting_trial_is_taken_by_one_of_two(storage: CimStorage, other: CimStorage) -> None:
    study_id = new_study(storage)
    waiting = optuna.trial.create_trial(state=TrialState.WAITING)
    trial_id = storage.create_new_trial(study_id, waiting)
    assert other.get_trial(trial_id).state == TrialState.WAITING
    assert storage.set_trial_state_values(trial_id, TrialState.RUNNING)
    assert not other.set_trial_state_values(trial_id, TrialState.RUNNING)


def test_processes_that_add_at_once_get_numbers_of_their_own(
    storage: CimStorage, url: str
) -> None:
    study_id = new_study(storage)
    processes = [spawn(url, 20) for _ in range(2)]
    for k in range(20):
        add_trial(storage, study_id, new_trial(k), evaluation=new_evaluation(), finished=None)
    assert [p.wait(60) for p in processes] == [0, 0]
    rows = trial_rows(storage, study_id)
    assert [r.number for r in rows] == list(range(60))
    assert len({r.trial_id for r in rows}) == 60
    assert sorted(e.id for e in evaluations(storage, study_id)) == sorted(
        r.evaluation_id or 0 for r in rows
    )


def test_threads_may_share_a_storage(storage: CimStorage) -> None:
    study_id = new_study(storage)

    def work() -> None:
        for k in range(10):
            add_trial(storage, study_id, new_trial(k), evaluation=None, finished=complete())
            storage.get_all_trials(study_id)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work) for _ in range(4)]:
            future.result()
    assert [r.number for r in trial_rows(storage, study_id)] == list(range(40))


def test_pickled_storage_opens_the_same_file_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = open_storage("sqlite:///relative.db")
    study_id = new_study(storage)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    copy = pickle.loads(pickle.dumps(storage))
    add_trial(copy, study_id, new_trial(), evaluation=None, finished=None)
    assert len(trial_rows(storage, study_id)) == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []
    storage.close()
    copy.close()


def test_pickled_memory_storage_is_a_copy() -> None:
    storage = open_storage("sqlite:///:memory:")
    study_id = new_study(storage)
    add_trial(storage, study_id, new_trial(), evaluation=None, finished=None)
    copy = pickle.loads(pickle.dumps(storage))
    assert trial_rows(copy, study_id) == trial_rows(storage, study_id)
    add_trial(copy, study_id, new_trial(), evaluation=None, finished=None)
    assert (len(trial_rows(copy, study_id)), len(trial_rows(storage, study_id))) == (2, 1)
    storage.close()
    copy.close()
