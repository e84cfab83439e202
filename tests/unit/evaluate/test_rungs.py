"""Candidates trained rung after rung: the same bits whatever was kept of the rungs below."""

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from cimsearch.evaluate import Job, train
from cimsearch.evaluate.keys import candidate_key
from cimsearch.evaluate.report import Report
from cimsearch.evaluate.run import evaluate
from cimsearch.spec.study import Recipe, Rung
from tests.unit.evaluate.robust import uniform_job
from tests.unit.evaluate.test_cache import LEARNED, PARENT, run
from tests.unit.evaluate.test_run import job, without_times

PTQ = Rung(epochs=0, train_level="L1", score_level="L1", chips=1, images=100)
SHORT = Rung(epochs=1, train_level="L1", score_level="L1", chips=1, images=100)
FULL = Rung(epochs=2, train_level="L1", score_level="L1", chips=2, images=100)
RUNGS = (PTQ, SHORT, FULL)
REPORTS = {
    0: [("chips", 1, 1)],
    1: [("candidate", 1, 1), ("chips", 1, 1)],
    2: [("candidate", 1, 2), ("candidate", 2, 2), ("chips", 1, 2), ("chips", 2, 2)],
}
CALIBRATED = Recipe(batch=256, parent_epochs=3, parent_lr=0.2, qat_lr=0.05)
RECIPES = {"learned": LEARNED, "calibrated": CALIBRATED}


def at(rung: int, recipe: str = "learned", **changes: Any) -> Job:
    """Return the job of a rung, with those below."""
    below, own = RUNGS[:rung], RUNGS[rung]
    return replace(job(recipe=RECIPES[recipe], rung=own, **changes), earlier=below)


@lru_cache
def undisturbed(rung: int, recipe: str) -> dict[str, Any]:
    """The score of a rung's job where nothing is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE_GB", "0")
        train.forget_parents()
        return without_times(evaluate(at(rung, recipe)).to_json())


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_was_trained_at_the_rung_below_is_not_trained_again(recipe: str) -> None:
    for rung, reports in REPORTS.items():
        before = [] if rung else PARENT
        assert run(at(rung, recipe)) == (undisturbed(rung, recipe), before + reports)


@pytest.mark.parametrize("recipe", RECIPES)
def test_rungs_below_that_are_not_kept_are_trained_again(recipe: str, tmp_path: Path) -> None:
    found, reports = run(at(2, recipe))
    assert found == undisturbed(2, recipe)
    assert reports == [*PARENT, REPORTS[1][0], *REPORTS[2]]
    assert len(list(tmp_path.rglob("candidates/*"))) == 3
    assert run(at(1, recipe)) == (undisturbed(1, recipe), REPORTS[1][1:])


class StoppedError(Exception):
    """An evaluation was stopped."""


@pytest.mark.parametrize("stop", [("candidate", 1, 1), ("candidate", 1, 2), ("chips", 1, 2)])
def test_an_evaluation_goes_on_where_it_was(
    stop: tuple[str, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_S", 0.0)

    def hear(found: Report) -> None:
        if (found.stage, found.epoch, found.epochs) == stop:
            raise StoppedError

    train.forget_parents()
    with pytest.raises(StoppedError):
        evaluate(at(2), hear)
    found, reports = run(at(2))
    assert found == undisturbed(2, "learned")
    assert PARENT[0] not in reports


def test_epochs_of_all_rungs_count() -> None:
    assert [at(rung).epochs for rung in range(3)] == [0, 1, 3]
    assert [undisturbed(rung, "calibrated")["epochs"] for rung in range(3)] == [0, 1, 3]


def test_quantised_after_training_the_uniform_4_bit_network_is_near_its_float_parent() -> None:
    score = evaluate(uniform_job(rung=PTQ))
    assert score.float_accuracy > 0.8
    assert score.ideal_accuracy > score.float_accuracy - 0.05


def test_a_later_rung_goes_on_from_the_earlier_one() -> None:
    """One epoch on top of two is another network than one epoch alone, and not a worse start."""
    first: list[float] = []
    alone: list[float] = []
    for found, below in ((alone, ()), (first, (FULL,))):
        some = replace(at(1, "calibrated"), earlier=below)
        train.forget_parents()

        def hear(report: Report, found: list[float] = found) -> None:
            if (report.stage, report.epochs) == ("candidate", 1) and report.accuracy is not None:
                found.append(report.accuracy)

        evaluate(some, hear)
    assert first > alone


def test_keys_do_not_cover_what_only_scores_the_rungs_below() -> None:
    one = at(2)
    other = replace(one, earlier=(PTQ, SHORT.model_copy(update={"chips": 9, "images": "all"})))
    assert one.key == other.key
    assert candidate_key(one, "m") == candidate_key(other, "m")
    longer = replace(one, earlier=(PTQ, SHORT.model_copy(update={"epochs": 2})))
    assert len({one.key, longer.key, replace(one, earlier=()).key}) == 3


def test_the_job_of_the_rung_below_is_that_of_its_trial() -> None:
    assert at(2).before == at(1)
    assert at(1).before == at(0)
    assert at(0).before is None
    assert Job.from_json(at(2).to_json()) == at(2)
    assert [rung["epochs"] for rung in json.loads(at(2).to_json())["earlier"]] == [0, 1]
