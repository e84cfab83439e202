"""Specs, studies, trials and evaluations: what is written is read back, whole or not at all."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError

from cimsearch.errors import StorageError, StudyError
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.records import (
    FrontChange,
    FrontEvent,
    NewEvaluation,
    NewTrial,
    Tell,
    add_evaluation,
    add_trial,
    attempts,
    create_study,
    evaluations,
    find_score,
    find_study,
    finish_evaluation,
    front_events,
    layer_costs,
    list_studies,
    load_spec,
    save_spec,
    start_attempt,
    trial_rows,
)
from tests.unit.store.builders import (
    DISTRIBUTIONS,
    LAYERS,
    complete,
    failed,
    new_evaluation,
    new_study,
    new_trial,
)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[CimStorage]:
    opened = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    yield opened
    opened.close()


def test_spec_is_addressed_by_its_canonical_content(storage: CimStorage) -> None:
    first = save_spec(storage, "hardware", '{"b": [1, 2.5],\n "a": "µ"}')
    second = save_spec(storage, "hardware", '{"a":"\\u00b5","b":[1,2.5]}')
    assert first == second
    text = load_spec(storage, first)
    assert json.loads(text) == {"a": "µ", "b": [1, 2.5]}
    assert hashlib.sha256(text.encode()).hexdigest() == first
    assert save_spec(storage, "hardware", text) == first


def test_unknown_spec_is_told(storage: CimStorage) -> None:
    with pytest.raises(StorageError, match="no spec with the hash 0badcafe"):
        load_spec(storage, "0badcafe")


def test_study_is_found_with_what_it_was_created_with(storage: CimStorage) -> None:
    digest = save_spec(storage, "study", "{}")
    study_id = create_study(
        storage,
        name="a",
        directions=["maximize", "minimize"],
        spec_hash=digest,
        user_attrs={"reference_point": [0.1, float("inf")]},
    )
    found = find_study(storage, "a")
    assert found is not None
    assert (found.id, found.name, found.spec_hash) == (study_id, "a", digest)
    assert found.directions == ("maximize", "minimize")
    assert found.user_attrs == {"reference_point": [0.1, float("inf")]}
    assert timedelta(0) <= datetime.now(UTC) - found.created < timedelta(minutes=1)
    assert find_study(storage, "b") is None
    other = new_study(storage, "b")
    assert [s.id for s in list_studies(storage)] == [study_id, other]


def test_study_name_can_be_taken_once(storage: CimStorage) -> None:
    new_study(storage, "a")
    with pytest.raises(StudyError, match="'a' exists already"):
        new_study(storage, "a")
    assert len(list_studies(storage)) == 1


def test_study_needs_a_spec_that_is_stored(storage: CimStorage) -> None:
    with pytest.raises(IntegrityError):
        create_study(
            storage, name="a", directions=["maximize"], spec_hash="unknown", user_attrs={}
        )
    assert find_study(storage, "a") is None


def test_running_trial_has_a_pending_evaluation_with_its_layers(storage: CimStorage) -> None:
    study_id = new_study(storage)
    first = add_trial(storage, study_id, new_trial(0), evaluation=None, finished=None)
    ids = add_trial(
        storage,
        study_id,
        new_trial(1, rung=1, promoted_from=first.trial_id),
        evaluation=new_evaluation(),
        finished=None,
    )
    assert (first.number, first.evaluation_id, ids.number) == (0, None, 1)
    row = trial_rows(storage, study_id)[1]
    assert row.trial_id == ids.trial_id
    assert row.state == "running"
    assert row.params == {"width": 1, "bits": 1, "act": "relu"}
    assert (row.values, row.constraints, row.ended, row.fail_reason) == (None, (), None, None)
    assert (row.candidate_hash, row.rung, row.promoted_from) == ("candidate-1", 1, first.trial_id)
    assert row.user_attrs == {"energy_measured_pj": 1.5}
    assert row.evaluation_id == ids.evaluation_id
    (evaluation,) = evaluations(storage, study_id)
    assert evaluation.id == ids.evaluation_id
    assert (evaluation.role, evaluation.label, evaluation.key) == ("trial", "label of key", "key")
    assert (evaluation.study_id, evaluation.trial_id) == (study_id, ids.trial_id)
    assert (evaluation.candidate, evaluation.cost) == ('{"c": 1}', '{"energy_pj": 3.75}')
    assert (evaluation.job, evaluation.state, evaluation.score) == (
        '{"seed": 1}',
        "pending",
        None,
    )
    assert tuple(layer_costs(storage, evaluation.id)) == LAYERS


def test_optuna_sees_an_added_trial_at_once(storage: CimStorage) -> None:
    study_id = new_study(storage)
    study = optuna.load_study(study_name="study", storage=storage)
    assert study.trials == []
    ids = add_trial(storage, study_id, new_trial(3), evaluation=None, finished=None)
    (frozen,) = study.trials
    assert (frozen.number, frozen._trial_id) == (0, ids.trial_id)
    assert frozen.state == TrialState.RUNNING
    assert frozen.params == {"width": 3, "bits": 3, "act": "relu"}
    assert frozen.distributions == DISTRIBUTIONS
    assert frozen.system_attrs == {"NSGAIISampler:generation": 0}


def test_infeasible_trial_is_complete_from_the_start_and_no_score(storage: CimStorage) -> None:
    study_id = new_study(storage)
    tell = complete(0.0, 99.0, constraints=(1.5, -2.0), front=(), hypervolume=None)
    add_trial(storage, study_id, new_trial(), evaluation=new_evaluation(), finished=tell)
    (row,) = trial_rows(storage, study_id)
    assert (row.state, row.values, row.constraints) == ("complete", (0.0, 99.0), (1.5, -2.0))
    assert row.ended is not None
    (evaluation,) = evaluations(storage, study_id)
    assert (evaluation.state, evaluation.score) == ("done", None)
    assert find_score(storage, "key") is None
    assert front_events(storage, study_id) == []


def test_reused_score_goes_in_with_the_trial_and_can_enter_the_front(storage: CimStorage) -> None:
    study_id = new_study(storage)
    ids = add_trial(
        storage,
        study_id,
        new_trial(),
        evaluation=new_evaluation(score='{"accuracy": 0.9}'),
        finished=complete(),
    )
    (evaluation,) = evaluations(storage, study_id)
    assert (evaluation.state, evaluation.score) == ("done", '{"accuracy": 0.9}')
    assert evaluation.ended is not None
    assert front_events(storage, study_id) == [FrontEvent(1, 0, ids.trial_id, "add", 2.5)]


def test_trial_can_fail_from_the_start(storage: CimStorage) -> None:
    study_id = new_study(storage)
    add_trial(
        storage, study_id, new_trial(), evaluation=new_evaluation(), finished=failed("no price")
    )
    (row,) = trial_rows(storage, study_id)
    assert (row.state, row.values, row.fail_reason) == ("fail", None, "no price")
    (evaluation,) = evaluations(storage, study_id)
    assert (evaluation.state, evaluation.fail_reason) == ("failed", "no price")


def test_baselines_and_test_scorings_belong_to_no_trial(storage: CimStorage) -> None:
    study_id = new_study(storage)
    baseline = add_evaluation(storage, study_id, new_evaluation("b", "baseline"))
    test = add_evaluation(storage, study_id, new_evaluation("t", "test", score="{}"))
    assert [e.id for e in evaluations(storage, study_id)] == [baseline, test]
    (row,) = evaluations(storage, study_id, role="baseline")
    assert (row.id, row.trial_id, row.state) == (baseline, None, "pending")
    (row,) = evaluations(storage, study_id, role="test")
    assert (row.id, row.state, row.score) == (test, "done", "{}")
    assert evaluations(storage, study_id, role="trial") == []
    assert trial_rows(storage, study_id) == []


def test_score_is_found_by_key_in_any_study_and_the_first_counts(storage: CimStorage) -> None:
    first, second = new_study(storage, "first"), new_study(storage, "second")
    assert find_score(storage, "k") is None
    failing = add_evaluation(storage, first, new_evaluation("k", "baseline"))
    start_attempt(storage, failing, token="t", worker="w")
    assert find_score(storage, "k") is None
    finish_evaluation(storage, failing, token="t", score=None, fail_reason="x", tell=None)
    assert find_score(storage, "k") is None
    for score in ('{"n": 1}', '{"n": 2}'):
        add_evaluation(storage, second, new_evaluation("k", "baseline", score=score))
    assert find_score(storage, "k") == '{"n": 1}'


@pytest.mark.parametrize(
    ("trial", "evaluation", "finished", "match"),
    [
        (new_trial(params={"width": 1}), None, None, "same names"),
        (new_trial(), new_evaluation(score="{}"), None, "must be finished"),
        (new_trial(), new_evaluation(role="baseline"), None, "does not fit"),
        (new_trial(), None, complete(values=(1.0,)), "2 values"),
        (new_trial(), None, complete(values=None), "2 values"),
        (new_trial(), None, complete(energy_pj=float("nan")), "2 values"),
        (new_trial(), None, complete(constraints=(float("nan"),)), "NaN"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    storage: CimStorage,
    trial: NewTrial,
    evaluation: NewEvaluation | None,
    finished: Tell | None,
    match: str,
) -> None:
    study_id = new_study(storage)
    with pytest.raises(ValueError, match=match):
        add_trial(storage, study_id, trial, evaluation=evaluation, finished=finished)
    assert trial_rows(storage, study_id) == []
    assert evaluations(storage, study_id) == []


def test_evaluation_of_role_trial_needs_a_trial(storage: CimStorage) -> None:
    study_id = new_study(storage)
    with pytest.raises(ValueError, match="does not fit"):
        add_evaluation(storage, study_id, new_evaluation(role="trial"))


def test_distribution_that_contradicts_the_study_is_refused(storage: CimStorage) -> None:
    study_id = new_study(storage)
    add_trial(storage, study_id, new_trial(), evaluation=None, finished=None)
    other = {**DISTRIBUTIONS, "act": CategoricalDistribution(("none", "gelu"))}
    with pytest.raises(ValueError, match="dynamic value space"):
        add_trial(
            storage, study_id, new_trial(distributions=other), evaluation=None, finished=None
        )
    assert len(trial_rows(storage, study_id)) == 1


def test_unknown_study_is_a_key_error(storage: CimStorage) -> None:
    with pytest.raises(KeyError):
        add_trial(storage, 7, new_trial(), evaluation=None, finished=None)
    with pytest.raises(KeyError):
        trial_rows(storage, 7)


def test_trial_is_not_added_if_its_layers_cannot_be(storage: CimStorage) -> None:
    study_id = new_study(storage)
    before = storage.get_study_user_attrs(study_id)
    twice = new_evaluation()
    twice = type(twice)(**{**vars(twice), "layers": (LAYERS[0], LAYERS[0])})
    with pytest.raises(IntegrityError):
        add_trial(storage, study_id, new_trial(), evaluation=twice, finished=None)
    assert trial_rows(storage, study_id) == []
    assert evaluations(storage, study_id) == []
    assert storage.get_study_user_attrs(study_id) == before
    ids = add_trial(storage, study_id, new_trial(), evaluation=new_evaluation(), finished=None)
    assert ids.number == 0


def test_deleting_a_study_leaves_no_rows_of_it(storage: CimStorage) -> None:
    study_id, other = new_study(storage), new_study(storage, "other")
    for owner in (study_id, other):
        ids = add_trial(storage, owner, new_trial(), evaluation=new_evaluation(), finished=None)
        assert ids.evaluation_id is not None
        start_attempt(storage, ids.evaluation_id, token=f"t{owner}", worker="w")
        add_trial(
            storage,
            owner,
            new_trial(promoted_from=ids.trial_id),
            evaluation=None,
            finished=complete(front=(FrontChange(ids.trial_id, "remove"),)),
        )
    (evaluation,) = evaluations(storage, study_id)
    storage.delete_study(study_id)
    assert evaluations(storage, study_id) == []
    assert attempts(storage, evaluation.id) == []
    assert layer_costs(storage, evaluation.id) == []
    assert front_events(storage, study_id) == []
    with pytest.raises(KeyError):
        storage.get_trial(evaluation.trial_id or 0)
    assert len(trial_rows(storage, other)) == 2
    assert len(front_events(storage, other)) == 1


def test_times_are_utc_for_us_and_local_for_optuna(
    storage: CimStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        study_id = new_study(storage)
        add_trial(storage, study_id, new_trial(), evaluation=None, finished=complete())
        (row,), (frozen,) = trial_rows(storage, study_id), storage.get_all_trials(study_id)
        for at in (row.started, row.ended):
            assert at is not None
            assert at.tzinfo is UTC
            assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
        for naive in (frozen.datetime_start, frozen.datetime_complete):
            assert naive is not None
            assert abs(datetime.now() - naive) < timedelta(minutes=1)
        with storage.session.reading() as conn:
            text = str(conn.exec_driver_sql("SELECT started FROM trial").scalar())
        assert datetime.fromisoformat(text).replace(tzinfo=UTC) == row.started
    finally:
        monkeypatch.undo()
        time.tzset()
    assert os.environ.get("TZ") != "Asia/Tokyo"
