"""Attempts: a result of the live attempt is applied in one transaction, any other is recorded."""

from collections.abc import Iterator
from typing import Literal

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError

from cimsearch.store import CimStorage, open_storage
from cimsearch.store.records import (
    FrontChange,
    FrontEvent,
    add_evaluation,
    add_trial,
    attempts,
    end_attempt,
    evaluations,
    find_score,
    finish_evaluation,
    front_events,
    start_attempt,
    trial_rows,
)
from tests.unit.store.builders import complete, failed, new_evaluation, new_study, new_trial

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


def test_result_ends_evaluation_attempt_and_trial_and_changes_the_front(
    storage: CimStorage,
) -> None:
    study_id = new_study(storage)
    first, second = pending(storage, study_id, 0), pending(storage, study_id, 1)
    for evaluation_id, token in ((first, "a"), (second, "b")):
        assert start_attempt(storage, evaluation_id, token=token, worker="w1") == 1
        assert evaluations(storage, study_id)[evaluation_id - first].state == "running"
    trial_a, trial_b = (t.trial_id for t in trial_rows(storage, study_id))
    assert finish_evaluation(
        storage, first, token="a", score=SCORE, fail_reason=None, tell=complete()
    )
    better = complete(
        0.95,
        2.0,
        front=(FrontChange(None, "add"), FrontChange(trial_a, "remove")),
        hypervolume=3.0,
    )
    assert finish_evaluation(
        storage, second, token="b", score=SCORE, fail_reason=None, tell=better
    )
    row = evaluations(storage, study_id)[0]
    assert (row.state, row.score, row.fail_reason) == ("done", SCORE, None)
    assert row.ended is not None
    (attempt,) = attempts(storage, first)
    assert (attempt.n, attempt.token, attempt.worker) == (1, "a", "w1")
    assert (attempt.state, attempt.reason) == ("done", None)
    assert attempt.ended is not None
    assert attempt.ended >= attempt.started
    trial = trial_rows(storage, study_id)[0]
    assert (trial.state, trial.values, trial.constraints) == (
        "complete",
        (0.9, 3.75),
        (-1.0, -0.5),
    )
    assert trial.user_attrs == {"energy_measured_pj": 1.5, "hypervolume": 2.5}
    assert trial.ended is not None
    assert front_events(storage, study_id) == [
        FrontEvent(1, 0, trial_a, "add", 2.5),
        FrontEvent(2, 0, trial_b, "add", 3.0),
        FrontEvent(3, 0, trial_a, "remove", 3.0),
    ]
    assert find_score(storage, "key-0") == SCORE
    study = optuna.load_study(study_name="study", storage=storage)
    assert [t.number for t in study.best_trials] == [1]


def test_failure_is_recorded_with_its_reason(storage: CimStorage) -> None:
    study_id = new_study(storage)
    evaluation_id = pending(storage, study_id)
    start_attempt(storage, evaluation_id, token="a", worker="w")
    assert finish_evaluation(
        storage,
        evaluation_id,
        token="a",
        score=None,
        fail_reason="out of memory",
        tell=failed("out of memory"),
    )
    (row,) = evaluations(storage, study_id)
    assert (row.state, row.score, row.fail_reason) == ("failed", None, "out of memory")
    (attempt,) = attempts(storage, evaluation_id)
    assert (attempt.state, attempt.reason) == ("failed", "out of memory")
    (trial,) = trial_rows(storage, study_id)
    assert (trial.state, trial.values, trial.fail_reason) == ("fail", None, "out of memory")
    assert storage.get_trial(trial.trial_id).state == TrialState.FAIL


def test_baseline_ends_without_a_tell(storage: CimStorage) -> None:
    study_id = new_study(storage)
    evaluation_id = add_evaluation(storage, study_id, new_evaluation(role="baseline"))
    start_attempt(storage, evaluation_id, token="a", worker="w")
    with pytest.raises(ValueError, match="without"):
        finish_evaluation(
            storage, evaluation_id, token="a", score=SCORE, fail_reason=None, tell=complete()
        )
    assert finish_evaluation(
        storage, evaluation_id, token="a", score=SCORE, fail_reason=None, tell=None
    )
    assert evaluations(storage, study_id)[0].state == "done"


def test_ended_attempt_makes_the_evaluation_pending_and_it_can_be_tried_again(
    storage: CimStorage,
) -> None:
    study_id = new_study(storage)
    evaluation_id = pending(storage, study_id)
    start_attempt(storage, evaluation_id, token="a", worker="w1")
    end_attempt(storage, "a", state="lost", reason="worker died")
    assert evaluations(storage, study_id)[0].state == "pending"
    assert start_attempt(storage, evaluation_id, token="b", worker="w2") == 2
    end_attempt(storage, "b", state="failed", reason="ValueError: x")
    end_attempt(storage, "b", state="lost", reason="ended before: ignored")
    first, second = attempts(storage, evaluation_id)
    assert (first.state, first.reason, first.n) == ("lost", "worker died", 1)
    assert (second.state, second.reason, second.n) == ("failed", "ValueError: x", 2)
    assert trial_rows(storage, study_id)[0].state == "running"
    # After too many attempts the orchestrator gives up, without a token.
    assert finish_evaluation(
        storage, evaluation_id, token=None, score=None, fail_reason="poison", tell=failed("poison")
    )
    assert evaluations(storage, study_id)[0].state == "failed"
    assert trial_rows(storage, study_id)[0].fail_reason == "poison"


def test_new_attempt_takes_the_place_of_the_running_one(storage: CimStorage) -> None:
    evaluation_id = pending(storage, new_study(storage))
    start_attempt(storage, evaluation_id, token="a", worker="w")
    start_attempt(storage, evaluation_id, token="b", worker="w")
    assert states(storage, evaluation_id) == ["interrupted", "running"]


def test_ending_without_a_token_takes_the_running_attempt_along(storage: CimStorage) -> None:
    evaluation_id = pending(storage, new_study(storage))
    start_attempt(storage, evaluation_id, token="a", worker="w")
    assert finish_evaluation(
        storage, evaluation_id, token=None, score=None, fail_reason="stop", tell=failed("stop")
    )
    assert states(storage, evaluation_id) == ["lost"]


@pytest.mark.parametrize("state", ["lost", "interrupted"])
@pytest.mark.parametrize("retried", [True, False])
def test_result_of_a_dead_attempt_is_recorded_but_not_applied(
    storage: CimStorage, retried: bool, state: Literal["lost", "interrupted"]
) -> None:
    study_id = new_study(storage)
    evaluation_id = pending(storage, study_id)
    start_attempt(storage, evaluation_id, token="old", worker="w1")
    end_attempt(storage, "old", state=state, reason="no heartbeat")
    if retried:
        start_attempt(storage, evaluation_id, token="new", worker="w2")
    assert not finish_evaluation(
        storage, evaluation_id, token="old", score=SCORE, fail_reason=None, tell=complete()
    )
    assert states(storage, evaluation_id) == (["late", "running"] if retried else ["late"])
    (row,) = evaluations(storage, study_id)
    assert (row.state, row.score) == ("running" if retried else "pending", None)
    assert trial_rows(storage, study_id)[0].state == "running"
    assert front_events(storage, study_id) == []
    assert find_score(storage, "key-0") is None


def test_same_result_twice_is_applied_once(storage: CimStorage) -> None:
    study_id = new_study(storage)
    evaluation_id = pending(storage, study_id)
    start_attempt(storage, evaluation_id, token="a", worker="w")
    for applied in (True, False):
        result = finish_evaluation(
            storage, evaluation_id, token="a", score=SCORE, fail_reason=None, tell=complete()
        )
        assert result is applied
    assert states(storage, evaluation_id) == ["done"]
    assert len(front_events(storage, study_id)) == 1


def test_late_result_after_the_end_changes_nothing(storage: CimStorage) -> None:
    study_id = new_study(storage)
    evaluation_id = pending(storage, study_id)
    start_attempt(storage, evaluation_id, token="old", worker="w")
    start_attempt(storage, evaluation_id, token="new", worker="w")

    def finish(token: str | None, score: str) -> bool:
        return finish_evaluation(
            storage, evaluation_id, token=token, score=score, fail_reason=None, tell=complete()
        )

    assert finish("new", SCORE)
    before = evaluations(storage, study_id), trial_rows(storage, study_id)
    assert not finish("old", "{}")
    assert not finish(None, "{}")
    assert not finish("unheard", "{}")
    assert (evaluations(storage, study_id), trial_rows(storage, study_id)) == before
    assert states(storage, evaluation_id) == ["late", "done"]


def test_token_of_another_evaluation_is_not_accepted(storage: CimStorage) -> None:
    study_id = new_study(storage)
    first, second = pending(storage, study_id, 0), pending(storage, study_id, 1)
    start_attempt(storage, first, token="a", worker="w")
    assert not finish_evaluation(
        storage, second, token="a", score=SCORE, fail_reason=None, tell=complete()
    )
    assert states(storage, first) == ["running"]
    assert [e.state for e in evaluations(storage, study_id)] == ["running", "pending"]


def test_tell_that_breaks_in_the_middle_leaves_nothing(storage: CimStorage) -> None:
    study_id = new_study(storage)
    evaluation_id = pending(storage, study_id)
    start_attempt(storage, evaluation_id, token="a", worker="w")

    def everything(seen: CimStorage) -> tuple[object, ...]:
        return (
            evaluations(seen, study_id),
            attempts(seen, evaluation_id),
            trial_rows(seen, study_id),
            front_events(seen, study_id),
        )

    before = everything(storage)
    # The front events come last: all else has been written when the database refuses the second,
    # which names no trial.
    broken = complete(front=(FrontChange(None, "add"), FrontChange(-1, "remove")))
    with pytest.raises(IntegrityError):
        finish_evaluation(
            storage, evaluation_id, token="a", score=SCORE, fail_reason=None, tell=broken
        )
    assert everything(storage) == before
    fresh = open_storage(storage.session.url)
    assert everything(fresh) == before
    fresh.close()
    assert finish_evaluation(
        storage, evaluation_id, token="a", score=SCORE, fail_reason=None, tell=complete()
    )


def test_result_needs_a_score_or_a_reason(storage: CimStorage) -> None:
    evaluation_id = pending(storage, new_study(storage))
    for score, reason in ((None, None), (SCORE, "x")):
        with pytest.raises(ValueError, match="score or with a reason"):
            finish_evaluation(
                storage, evaluation_id, token=None, score=score, fail_reason=reason, tell=None
            )
    with pytest.raises(ValueError, match="ends with a tell"):
        finish_evaluation(
            storage, evaluation_id, token=None, score=SCORE, fail_reason=None, tell=None
        )


def test_trial_that_optuna_finished_cannot_be_told_again(storage: CimStorage) -> None:
    study_id = new_study(storage)
    evaluation_id = pending(storage, study_id)
    trial_id = trial_rows(storage, study_id)[0].trial_id
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, (0.5, 1.0))
    with pytest.raises(UpdateFinishedTrialError):
        finish_evaluation(
            storage, evaluation_id, token=None, score=SCORE, fail_reason=None, tell=complete()
        )
    assert evaluations(storage, study_id)[0].state == "pending"


def test_unknown_evaluations_and_tokens_are_key_errors(storage: CimStorage) -> None:
    new_study(storage)
    with pytest.raises(KeyError, match="no evaluation 99"):
        start_attempt(storage, 99, token="a", worker="w")
    with pytest.raises(KeyError, match="no evaluation 99"):
        finish_evaluation(storage, 99, token="a", score=SCORE, fail_reason=None, tell=None)
    with pytest.raises(KeyError, match="no attempt has the token a"):
        end_attempt(storage, "a", state="lost", reason="x")


def test_finished_evaluation_cannot_be_attempted(storage: CimStorage) -> None:
    evaluation_id = pending(storage, new_study(storage))
    finish_evaluation(
        storage, evaluation_id, token=None, score=SCORE, fail_reason=None, tell=complete()
    )
    with pytest.raises(ValueError, match="is done already"):
        start_attempt(storage, evaluation_id, token="a", worker="w")


def test_token_is_unique(storage: CimStorage) -> None:
    study_id = new_study(storage)
    first, second = pending(storage, study_id, 0), pending(storage, study_id, 1)
    start_attempt(storage, first, token="a", worker="w")
    with pytest.raises(IntegrityError):
        start_attempt(storage, second, token="a", worker="w")
    assert evaluations(storage, study_id)[1].state == "pending"


def test_reason_may_be_any_text(storage: CimStorage) -> None:
    study_id = new_study(storage)
    evaluation_id = pending(storage, study_id)
    text, kept = "no \udcff\x00\x1b[31m, \u00e9\n", "no \\udcff\\x00\\x1b[31m, \u00e9\n"
    start_attempt(storage, evaluation_id, token="a", worker="w")
    end_attempt(storage, "a", state="lost", reason=text)
    start_attempt(storage, evaluation_id, token="b", worker="w")
    assert finish_evaluation(
        storage, evaluation_id, token="b", score=None, fail_reason=text, tell=failed(text)
    )
    assert [a.reason for a in attempts(storage, evaluation_id)] == [kept, kept]
    assert evaluations(storage, study_id)[0].fail_reason == kept
    assert trial_rows(storage, study_id)[0].fail_reason == kept
