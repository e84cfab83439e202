"""What running attempts leave: their progress, and how the next orchestrator takes over."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cimsearch.store import CimStorage, open_storage
from cimsearch.store.records import (
    add_evaluation,
    add_trial,
    attempts,
    end_attempt,
    finish_evaluation,
    note_progress,
    recover,
    start_attempt,
)
from tests.unit.store.builders import complete, new_evaluation, new_study, new_trial

SCORE = '{"accuracy": 0.9}'


@pytest.fixture
def storage(database_url: str) -> Iterator[CimStorage]:
    opened = open_storage(database_url)
    yield opened
    opened.close()


def pending(storage: CimStorage, study_id: int, k: int = 0) -> int:
    """Add a trial whose evaluation is pending, and return the evaluation's id."""
    added = add_trial(
        storage, study_id, new_trial(k), evaluation=new_evaluation(f"key-{k}"), finished=None
    )
    assert added.evaluation_id is not None
    return added.evaluation_id


def states(storage: CimStorage, evaluation_id: int) -> list[str]:
    """List the states of the attempts at an evaluation."""
    return [a.state for a in attempts(storage, evaluation_id)]


def test_recovery_returns_what_is_not_done_and_fences_what_was_running(
    storage: CimStorage,
) -> None:
    study_id, other = new_study(storage), new_study(storage, "other")
    done, running, waiting = (pending(storage, study_id, k) for k in range(3))
    elsewhere = pending(storage, other)
    for evaluation_id in (done, running, elsewhere):
        start_attempt(storage, evaluation_id, token=f"t{evaluation_id}", worker="w")
    baseline = add_evaluation(storage, study_id, new_evaluation("b", "baseline"))
    finish_evaluation(
        storage, done, token=f"t{done}", score=SCORE, fail_reason=None, tell=complete()
    )
    open_again = open_storage(storage.session.url)
    rows = recover(open_again, study_id)
    assert [r.id for r in rows] == [running, waiting, baseline]
    assert {r.state for r in rows} == {"pending"}
    assert states(open_again, running) == ["interrupted"]
    assert states(open_again, done) == ["done"]
    assert states(open_again, elsewhere) == ["running"]
    assert [r.id for r in recover(open_again, study_id)] == [running, waiting, baseline]
    assert not finish_evaluation(
        storage, running, token=f"t{running}", score=SCORE, fail_reason=None, tell=complete()
    )
    assert states(storage, running) == ["late"]
    open_again.close()


def revision(storage: CimStorage) -> int:
    """Read the revision of the only study."""
    with storage.session.reading() as conn:
        return int(conn.exec_driver_sql("SELECT revision FROM study").scalar_one())


def test_progress_of_running_attempts_is_noted_and_leaves_the_study_as_it_is(
    storage: CimStorage,
) -> None:
    study_id = new_study(storage)
    first, second = pending(storage, study_id, 0), pending(storage, study_id, 1)
    for evaluation_id, token in ((first, "a"), (second, "b")):
        start_attempt(storage, evaluation_id, token=token, worker="")
    end_attempt(storage, "b", state="lost", reason="worker died")
    before = revision(storage)
    note_progress(storage, {"a": ("w1", '{"epoch":1}'), "b": ("w2", "{}"), "c": ("w3", "{}")})
    assert revision(storage) == before
    (attempt,) = attempts(storage, first)
    assert (attempt.worker, attempt.progress) == ("w1", '{"epoch":1}')
    assert attempt.progressed is not None
    assert abs(datetime.now(UTC) - attempt.progressed) < timedelta(seconds=60)
    (dead,) = attempts(storage, second)
    assert (dead.worker, dead.progress, dead.progressed) == ("", None, None)
    note_progress(storage, {"a": ("w1", '{"epoch":2}')})
    note_progress(storage, {})
    assert attempts(storage, first)[0].progress == '{"epoch":2}'
    # The last report stays when the attempt has ended.
    finish_evaluation(storage, first, token="a", score=SCORE, fail_reason=None, tell=complete())
    assert attempts(storage, first)[0].progress == '{"epoch":2}'
