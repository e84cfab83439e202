"""Leases: one process runs a study, another takes over when it has died, and fences it off."""

import os
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

import optuna
import pytest

from cimsearch.errors import LeaseLostError, StudyError
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.records import (
    add_trial,
    end_attempt,
    evaluations,
    finish_evaluation,
    lease_of,
    recover,
    release_lease,
    renew_lease,
    start_attempt,
    take_lease,
    trial_rows,
)
from tests.unit.store.builders import complete, new_evaluation, new_study, new_trial


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


def test_lease_is_taken_renewed_and_given_back(storage: CimStorage, other: CimStorage) -> None:
    study_id = new_study(storage)
    assert lease_of(storage, study_id) is None
    lease = take_lease(storage, study_id, owner="host:1", seconds=60)
    assert (lease.study_id, lease.owner) == (study_id, "host:1")
    row = lease_of(other, study_id)
    assert row is not None
    assert (row.owner, row.alive) == ("host:1", True)
    assert row.taken == row.renewed
    assert row.expires == lease.expires == row.taken + timedelta(seconds=60)
    assert abs(row.taken - datetime.now(UTC)) < timedelta(seconds=60)
    renew_lease(storage, study_id, seconds=600)
    renewed = lease_of(other, study_id)
    assert renewed is not None
    assert renewed.taken == row.taken
    assert renewed.expires == renewed.renewed + timedelta(seconds=600)
    release_lease(storage, study_id)
    assert lease_of(other, study_id) is None
    take_lease(other, study_id, owner="host:2", seconds=60)


def test_living_lease_is_refused_with_its_owner_and_its_end(
    storage: CimStorage, other: CimStorage
) -> None:
    study_id, free = new_study(storage), new_study(storage, "free")
    lease = take_lease(storage, study_id, owner="host:1", seconds=3600)
    with pytest.raises(StudyError) as caught:
        take_lease(other, study_id, owner="host:2", seconds=60)
    assert "'study' is being run by host:1" in caught.value.message
    assert f"until {lease.expires:%Y-%m-%d %H:%M:%S} UTC" in caught.value.message
    assert caught.value.hint
    # The refused one may write as one without a lease does, and take another study.
    add_trial(other, study_id, new_trial(), evaluation=None, finished=None)
    take_lease(other, free, owner="host:2", seconds=60)
    # The owner may take it again: after a lost connection it does not know whether it has it.
    take_lease(storage, study_id, owner="host:1", seconds=60)


def test_expired_lease_is_taken_over_and_its_owner_writes_nothing(
    storage: CimStorage, other: CimStorage
) -> None:
    study_id = new_study(storage)
    take_lease(storage, study_id, owner="host:1", seconds=-1)
    ids = add_trial(storage, study_id, new_trial(), evaluation=new_evaluation(), finished=None)
    assert ids.evaluation_id is not None
    start_attempt(storage, ids.evaluation_id, token="old", worker="w")
    expired = lease_of(storage, study_id)
    assert expired is not None
    assert not expired.alive

    take_lease(other, study_id, owner="host:2", seconds=60)
    recover(other, study_id)
    before = trial_rows(other, study_id), evaluations(other, study_id)
    optuna_study = optuna.load_study(study_name="study", storage=storage)
    evaluation_id = ids.evaluation_id
    writes = (
        lambda: add_trial(storage, study_id, new_trial(1), evaluation=None, finished=complete()),
        lambda: start_attempt(storage, evaluation_id, token="new", worker="w"),
        lambda: end_attempt(storage, "old", state="lost", reason="x"),
        lambda: recover(storage, study_id),
        lambda: storage.set_study_user_attr(study_id, "a", 1),
        lambda: storage.set_trial_user_attr(ids.trial_id, "a", 1),
        lambda: finish_evaluation(
            storage, evaluation_id, token="old", score="{}", fail_reason=None, tell=complete()
        ),
        optuna_study.ask,
        lambda: renew_lease(storage, study_id, seconds=60),
    )
    for write in writes:
        with pytest.raises(LeaseLostError, match=r"^host:2 has taken over the study 'study'"):
            write()
    assert (trial_rows(other, study_id), evaluations(other, study_id)) == before
    assert trial_rows(storage, study_id) == before[0]
    # Giving back what it has no more does not touch the other's.
    release_lease(storage, study_id)
    taken = lease_of(storage, study_id)
    assert taken is not None
    assert taken.owner == "host:2"
    start_attempt(other, evaluation_id, token="new", worker="w")


def test_taken_over_and_ended_is_lost_too(storage: CimStorage, other: CimStorage) -> None:
    study_id = new_study(storage)
    take_lease(storage, study_id, owner="host:1", seconds=-1)
    take_lease(other, study_id, owner="host:2", seconds=60)
    release_lease(other, study_id)
    with pytest.raises(LeaseLostError, match="another orchestrator has taken over"):
        add_trial(storage, study_id, new_trial(), evaluation=None, finished=None)
    with pytest.raises(LeaseLostError):
        renew_lease(storage, study_id, seconds=60)
    assert trial_rows(storage, study_id) == []


def test_expired_lease_that_nobody_took_still_holds(storage: CimStorage) -> None:
    study_id = new_study(storage)
    take_lease(storage, study_id, owner="host:1", seconds=-1)
    add_trial(storage, study_id, new_trial(), evaluation=None, finished=None)
    renew_lease(storage, study_id, seconds=60)
    row = lease_of(storage, study_id)
    assert row is not None
    assert row.alive


def test_lease_of_a_study_that_is_not_there(storage: CimStorage) -> None:
    for call in (
        lambda: take_lease(storage, 99, owner="x", seconds=1),
        lambda: renew_lease(storage, 99, seconds=1),
    ):
        with pytest.raises(KeyError, match="no study 99"):
            call()
    release_lease(storage, 99)
    assert lease_of(storage, 99) is None


def test_deleted_study_takes_its_lease_along(storage: CimStorage, other: CimStorage) -> None:
    study_id = new_study(storage)
    take_lease(storage, study_id, owner="host:1", seconds=60)
    other.delete_study(study_id)
    assert lease_of(storage, study_id) is None
    with pytest.raises(KeyError):
        add_trial(storage, study_id, new_trial(), evaluation=None, finished=None)


def test_pickled_storage_has_no_lease(storage: CimStorage) -> None:
    study_id = new_study(storage)
    take_lease(storage, study_id, owner="host:1", seconds=60)
    copy = pickle.loads(pickle.dumps(storage))
    with pytest.raises(StudyError, match="is being run by host:1"):
        take_lease(copy, study_id, owner="host:1", seconds=60)
    copy.close()


def test_lease_goes_by_the_clock_of_the_server(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        """The clock of a machine that is a day ahead."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Ahead":
            return cls.fromtimestamp(datetime.now(UTC).timestamp() + 86_400, tz)

    storage, other = open_storage(postgres_url), open_storage(postgres_url)
    study_id = new_study(storage)
    take_lease(storage, study_id, owner=f"host:{os.getpid()}", seconds=600)
    monkeypatch.setattr("cimsearch.store.lease.datetime", Ahead)
    with pytest.raises(StudyError, match="is being run by"):
        take_lease(other, study_id, owner="host:2", seconds=60)
    row = lease_of(other, study_id)
    assert row is not None
    assert row.alive
    storage.close()
    other.close()
