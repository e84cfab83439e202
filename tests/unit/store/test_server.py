"""A server that fails, refuses or hangs: one clear line, nothing half-written, and then on."""

import re
import traceback
from collections.abc import Callable
from functools import partial

import pytest

from cimsearch.errors import ExitCode, StorageError, StorageUnreachableError
from cimsearch.store import CimStorage, database, open_storage
from cimsearch.store.records import (
    add_trial,
    finish_evaluation,
    lease_of,
    recover,
    renew_lease,
    start_attempt,
    take_lease,
    trial_rows,
)
from tests.postgres import Server
from tests.unit.store.builders import complete, new_evaluation, new_study, new_trial


def refusal(call: Callable[[], object]) -> StorageError:
    with pytest.raises(StorageError) as caught:
        call()
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == ExitCode.STORAGE
    return caught.value


def add(storage: CimStorage, study_id: int, k: int) -> int:
    """Add a trial that is running, and return its evaluation."""
    ids = add_trial(storage, study_id, new_trial(k), evaluation=new_evaluation(), finished=None)
    assert ids.evaluation_id is not None
    start_attempt(storage, ids.evaluation_id, token=f"t{k}", worker="w")
    return ids.evaluation_id


def finish(storage: CimStorage, evaluation_id: int, k: int, score: str = "{}") -> bool:
    return finish_evaluation(
        storage, evaluation_id, token=f"t{k}", score=score, fail_reason=None, tell=complete()
    )


@pytest.mark.parametrize("form", ["me:{}@127.0.0.1:1/x", "me@127.0.0.1:1/x?password={}"])
def test_server_that_is_away_is_unreachable_and_its_password_is_not_told(form: str) -> None:
    password = "s3cret"
    url = "postgresql+psycopg://" + form.format(password)
    error = refusal(lambda: open_storage(url))
    assert isinstance(error, StorageUnreachableError)
    assert "@127.0.0.1:1/x cannot be reached: " in error.message
    assert password not in "".join(traceback.format_exception(error)) + repr(error)


def test_server_that_refuses_is_not_away(postgres: Server) -> None:
    for url, reason in (
        (postgres.url("nowhere"), 'database "nowhere" does not exist'),
        (postgres.url(role="nobody"), 'role "nobody" does not exist'),
    ):
        error = refusal(partial(open_storage, url))
        assert reason in error.message
        assert not isinstance(error, StorageUnreachableError)


def test_wrong_password_is_refused_without_being_told() -> None:
    server = Server(password="right")
    url = f"postgresql+psycopg://postgres:wr0ng@/postgres?host={server.directory}"
    error = refusal(lambda: open_storage(url))
    server.close()
    assert "password authentication failed" in error.message
    assert not isinstance(error, StorageUnreachableError)
    assert "wr0ng" not in "".join(traceback.format_exception(error))


def test_read_only_server_is_told(postgres: Server) -> None:
    name = postgres.create_database()
    storage = open_storage(postgres.url(name))
    study_id = new_study(storage)
    storage.close()
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    reader = open_storage(postgres.url(name), create=False)
    assert trial_rows(reader, study_id) == []
    error = refusal(lambda: add(reader, study_id, 0))
    assert "its server is read-only" in error.message
    assert trial_rows(reader, study_id) == []
    reader.close()
    postgres.drop_database(name)


def test_isolation_is_not_the_servers_to_choose(postgres: Server) -> None:
    name = postgres.create_database()
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    storage = open_storage(postgres.url(name))
    study_id = new_study(storage)
    for _ in range(2):
        with storage.session.reading() as conn:
            level = conn.exec_driver_sql("SHOW transaction_isolation").scalar()
            assert level == "repeatable read"
        with storage.session.writing_to(study_id) as write:
            level = write.conn.exec_driver_sql("SHOW transaction_isolation").scalar()
            assert level == "read committed"
    storage.close()
    postgres.drop_database(name)


@pytest.mark.parametrize(
    ("code", "message", "away"),
    [
        ("53100", "the disk of the server of the database .* is full", False),
        ("53300", "the server of the database .* cannot be reached", True),
        ("XX001", "cannot use the database .*: it is broken", False),
    ],
)
def test_error_of_the_server_is_told_by_its_code(
    postgres_url: str, code: str, message: str, away: bool
) -> None:
    storage = open_storage(postgres_url)
    study_id = new_study(storage)

    def fail() -> None:
        with storage.session.writing_to(study_id) as write:
            write.conn.exec_driver_sql(
                f"DO $$ BEGIN RAISE EXCEPTION 'it is broken' USING ERRCODE = '{code}'; END $$"
            )

    error = refusal(fail)
    assert re.match(message, error.message)
    assert isinstance(error, StorageUnreachableError) is away
    add(storage, study_id, 0)
    storage.close()


def test_lost_connection_is_told_and_the_storage_works_on_when_the_server_is_back(
    mortal_postgres: Server,
) -> None:
    storage = open_storage(mortal_postgres.url())
    study_id = new_study(storage)
    take_lease(storage, study_id, owner="host:1", seconds=3600)
    first, second = add(storage, study_id, 0), add(storage, study_id, 1)
    assert finish(storage, first, 0)
    before = trial_rows(storage, study_id)

    mortal_postgres.kill()
    for call in (
        lambda: trial_rows(storage, study_id),
        lambda: finish(storage, second, 1),
        lambda: renew_lease(storage, study_id, seconds=3600),
        lambda: open_storage(mortal_postgres.url()),
    ):
        error = refusal(call)
        assert isinstance(error, StorageUnreachableError)
        assert "cannot be reached" in error.message

    mortal_postgres.start()
    after = trial_rows(storage, study_id)
    assert all(x is y for x, y in zip(after, before, strict=True))
    renew_lease(storage, study_id, seconds=3600)
    row = lease_of(storage, study_id)
    assert row is not None
    assert row.owner == "host:1"
    assert finish(storage, second, 1)
    # A new orchestrator finds nothing left to do.
    other = open_storage(mortal_postgres.url())
    assert recover(other, study_id) == []
    assert [t.state for t in trial_rows(other, study_id)] == ["complete", "complete"]
    storage.close()
    other.close()


def test_connection_lost_within_a_transaction_leaves_nothing_of_it(postgres_url: str) -> None:
    storage, other = open_storage(postgres_url), open_storage(postgres_url)
    study_id = new_study(storage)
    evaluation_id = add(storage, study_id, 0)

    def cut() -> None:
        with storage.session.writing_to(study_id) as write:
            write.set_attrs("user_attrs", {"half": "written"})
            pid = write.conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with other.session.reading() as conn:
                conn.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
            write.set_attrs("user_attrs", {"all": "written"})

    assert isinstance(refusal(cut), StorageUnreachableError)
    assert storage.get_study_user_attrs(study_id) == {"seed": 1}
    assert finish(storage, evaluation_id, 0)
    storage.close()
    other.close()


def test_lock_on_a_study_is_waited_for_and_then_told(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)
    storage, other = open_storage(postgres_url), open_storage(postgres_url)
    study_id, free = new_study(storage), new_study(storage, "free")
    with storage.session.writing_to(study_id):
        error = refusal(lambda: add(other, study_id, 0))
        assert "has been locked by another process" in error.message
        assert isinstance(error, StorageUnreachableError)
        refusal(lambda: take_lease(other, study_id, owner="host:2", seconds=60))
        add(other, free, 1)
        assert trial_rows(other, study_id) == []
    add(other, study_id, 0)
    storage.close()
    other.close()


def test_transaction_that_sleeps_is_ended_and_gives_its_locks_free(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_storage(postgres_url)
    monkeypatch.setattr(database, "_IDLE_TIMEOUT_S", 0.1)
    storage = open_storage(postgres_url)
    study_id = new_study(storage)
    evaluation_id = add(storage, study_id, 0)

    def sleep() -> None:
        with storage.session.writing_to(study_id) as write:
            write.set_attrs("user_attrs", {"half": "written"})
            # The other waits for the lock until the server ends the sleeper.
            take_lease(other, study_id, owner="host:2", seconds=60)
            write.set_attrs("user_attrs", {"all": "written"})

    assert isinstance(refusal(sleep), StorageUnreachableError)
    assert storage.get_study_user_attrs(study_id) == {"seed": 1}
    row = lease_of(storage, study_id)
    assert row is not None
    assert row.owner == "host:2"
    assert finish(storage, evaluation_id, 0)
    storage.close()
    other.close()
