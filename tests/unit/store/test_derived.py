"""A derived study: written whole or not at all; its scores are replaced one by one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from cimsearch.errors import LeaseLostError, StudyError
from cimsearch.store import CimStorage, open_storage
from cimsearch.store import records as db
from cimsearch.store.check import check_database
from cimsearch.store.derived import DerivedEvaluation, DerivedStudy, DerivedTrial, add_derived
from cimsearch.store.rescored import Rescored, replace_score
from tests.unit.store.archives import counts
from tests.unit.store.builders import complete, new_evaluation, new_trial

WAYS: tuple[db.Direction, ...] = ("maximize", "minimize")
THEN = datetime(2024, 5, 1, 12, tzinfo=UTC)


def source(storage: CimStorage) -> list[db.TrialRow]:
    """Return the trials of a study with one that is promoted and one that runs."""
    study_id = db.create_study(
        storage, name="source", directions=WAYS, spec_hash=None, user_attrs={}
    )
    first = db.add_trial(
        storage, study_id, new_trial(1), evaluation=None, finished=complete(0.5, 2.0)
    )
    promoted = replace(new_trial(1), rung=1, promoted_from=first.trial_id)
    db.add_trial(storage, study_id, promoted, evaluation=None, finished=complete(0.6, 2.0))
    db.add_trial(storage, study_id, new_trial(2), evaluation=None, finished=None)
    return db.trial_rows(storage, study_id)


def derived(trials: list[db.TrialRow], name: str = "derived") -> DerivedStudy:
    """Return a study of those trials at twice the price; the one that runs has failed."""

    def of(row: db.TrialRow) -> DerivedTrial:
        new = replace(new_trial(1), params=row.params, rung=row.rung)
        if row.values is None:
            tell = db.Tell("fail", fail_reason="it had not ended")
        else:
            tell = db.Tell("complete", (row.values[0], 2 * row.values[1]), (-0.5,))
        return DerivedTrial(row, new, tell, promoted_from=0 if row.promoted_from else None)

    evaluations = [
        DerivedEvaluation(
            replace(new_evaluation(f"imported:{row.number}"), score='{"old":1}'),
            THEN,
            THEN + timedelta(minutes=1),
            row.number,
        )
        for row in trials[:2]
    ]
    return DerivedStudy(
        name=name,
        spec_json='{"b":1,"a":2}',
        directions=WAYS,
        user_attrs={"reference": [0.1, 10.0]},
        trials=list(map(of, trials)),
        evaluations=evaluations,
        fronts={0: ((0,), share(0.5, 4.0)), 1: ((1,), share(0.6, 4.0))},
    )


def share(accuracy: float, energy: float) -> float:
    """Return the hypervolume of one point, as a share of the box from (0.1, 10) to (1, 0)."""
    return (accuracy - 0.1) * (10.0 - energy) / (0.9 * 10.0)


def test_a_derived_study_reads_as_any_other(database_url: str) -> None:
    storage = open_storage(database_url)
    trials = source(storage)
    study_id = add_derived(storage, derived(trials))
    first, second, third = db.trial_rows(storage, study_id)
    assert [row.number for row in (first, second, third)] == [0, 1, 2]
    assert [row.state for row in (first, second, third)] == ["complete", "complete", "fail"]
    assert (first.values, first.constraints) == ((0.5, 4.0), (-0.5,))
    assert second.promoted_from == first.trial_id
    assert (first.started, first.ended) == (trials[0].started, trials[0].ended)
    assert (third.fail_reason, third.evaluation_id) == ("it had not ended", None)
    assert third.ended is not None
    row = db.find_study(storage, "derived")
    assert row is not None
    assert db.load_spec(storage, row.spec_hash or "") == '{"a":2,"b":1}'
    found = db.evaluations(storage, study_id)
    assert [each.trial_id for each in found] == [first.trial_id, second.trial_id]
    assert [(each.state, each.created) for each in found] == [("done", THEN)] * 2
    assert db.layer_costs(storage, found[0].id) == list(new_evaluation("any").layers)
    events = db.front_events(storage, study_id)
    assert [(e.seq, e.rung, e.trial_id) for e in events] == [
        (1, 0, first.trial_id),
        (2, 1, second.trial_id),
    ]
    storage.close()
    report = check_database(database_url)
    assert [f.text for f in report.findings if f.study == "derived"] == []


def test_nothing_is_left_of_one_that_cannot_be_written(database_url: str) -> None:
    storage = open_storage(database_url)
    trials = source(storage)
    before = counts(storage)
    bad = derived(trials)
    late = replace(bad.evaluations[1], trial=7)
    with pytest.raises(IndexError):
        add_derived(storage, replace(bad, evaluations=[bad.evaluations[0], late]))
    wrong = replace(bad, fronts={0: ((0, 0), 0.1), None: ((5,), 0.1)})
    with pytest.raises((IndexError, IntegrityError, StudyError)):
        add_derived(storage, wrong)
    assert counts(storage) == before
    add_derived(storage, bad)
    with pytest.raises(StudyError, match="a study named 'derived' exists already"):
        add_derived(storage, bad)
    storage.close()


def rescored(storage: CimStorage, study_id: int) -> Rescored:
    """Return what makes the first trial's accuracy 0.9."""
    row = db.evaluations(storage, study_id)[0]
    return Rescored(
        evaluation=row,
        key="k",
        job='{"new":1}',
        score='{"new":2}',
        values=(0.9, 4.0),
        user_attrs={"reused": False},
        hypervolume=share(0.9, 4.0),
        front=(
            db.FrontChange(row.trial_id, "remove"),
            db.FrontChange(row.trial_id, "add"),
        ),
    )


def test_a_score_is_replaced_for_every_reader(database_url: str) -> None:
    storage, other = open_storage(database_url), open_storage(database_url)
    study_id = add_derived(storage, derived(source(storage)))
    before = db.trial_rows(other, study_id)
    replace_score(storage, rescored(storage, study_id))
    for reader in (storage, other):
        after = db.trial_rows(reader, study_id)
        assert after[0].values == (0.9, 4.0)
        assert after[0].constraints == (-0.5,)
        assert after[0].user_attrs["reused"] is False
        assert after[1:] == before[1:]
        row = db.evaluations(reader, study_id)[0]
        assert (row.key, row.job, row.score, row.state) == ("k", '{"new":1}', '{"new":2}', "done")
        assert row.ended is not None
        assert row.ended > THEN + timedelta(minutes=1)
    assert db.find_score(storage, "k") == '{"new":2}'
    assert len(db.front_events(storage, study_id)) == 4
    storage.close()
    other.close()
    report = check_database(database_url)
    assert [f.text for f in report.findings if f.study == "derived"] == []


def test_whoever_has_lost_the_lease_replaces_nothing(database_url: str) -> None:
    storage, other = open_storage(database_url), open_storage(database_url)
    study_id = add_derived(storage, derived(source(storage)))
    db.take_lease(storage, study_id, owner="one", seconds=60)
    db.take_lease(other, study_id, owner="two", seconds=60, dead="one")
    with pytest.raises(LeaseLostError):
        replace_score(storage, rescored(storage, study_id))
    assert db.trial_rows(other, study_id)[0].values == (0.5, 4.0)
    storage.close()
    other.close()
