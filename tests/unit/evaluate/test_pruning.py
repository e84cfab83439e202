"""Pruning as a worker does it: cheaper networks with weights of their own, the same every time."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from cimsearch.api import estimate
from cimsearch.evaluate.pruning import PrunedNetwork, PruneJob
from cimsearch.evaluate.run import evaluate, evaluate_json
from cimsearch.evaluate.train import forget_parents
from cimsearch.space.widths import widths_of
from cimsearch.spec.adaptation import Order, Pruning
from cimsearch.spec.study import Rung, Statistics
from cimsearch.training.keep import Keep
from tests.unit.evaluate.test_run import SPACE, job

WORK = PruneJob(
    job(rung=Rung(epochs=1, train_level="L0", score_level="L1", chips=1, images=100)),
    Pruning(cost_frac=0.9, tune_epochs=0.25, images=128),
    Statistics(),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _kept_there(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("CIMSEARCH_CACHE", str(cache))


def pruned(work: PruneJob = WORK) -> PrunedNetwork:
    return PrunedNetwork.from_json(evaluate_json(work.to_json()))


def test_a_job_goes_out_and_comes_back() -> None:
    assert PruneJob.from_json(WORK.to_json()) == WORK
    other = replace(WORK, pruning=Pruning(cost_frac=0.8))
    assert WORK.key != other.key
    assert WORK.key == replace(WORK, job=replace(WORK.job, data_path="elsewhere")).key


@pytest.mark.parametrize("order", get_args(Order))
def test_the_network_gets_cheaper_and_is_trained_as_any_other(order: Order) -> None:
    work = replace(WORK, pruning=WORK.pruning.model_copy(update={"order": order}))
    found = pruned(work)
    before = estimate(WORK.job.blueprint, WORK.job.hardware).energy_pj
    after = estimate(found.candidate, WORK.job.hardware).energy_pj
    assert after == pytest.approx(found.history[-1].energy_pj)
    assert found.history[0].energy_pj == pytest.approx(before)
    assert after <= 0.9 * before or found.stopped == "widths"
    assert found.history[-1].cost_frac == pytest.approx(after / before)
    gone = {group: n for step in found.history for group, n in step.removed}
    assert gone
    assert widths_of(found.candidate.parent) == widths_of(found.candidate.blueprint)
    following = replace(
        WORK.job,
        candidate_hash=found.candidate.hash,
        blueprint=found.candidate.blueprint,
        parent=found.candidate.parent,
        parent_weights=found.weights,
    )
    score = evaluate(following)
    assert score.parent_epochs == 0
    assert score.float_accuracy > 0.6


def test_it_is_a_function_of_the_job(cache: Path) -> None:
    first = pruned()
    Keep.at(str(cache)).drop("parents", first.weights)
    forget_parents()
    again = pruned()
    assert untimed(again) == untimed(first)


def untimed(found: PrunedNetwork) -> Any:
    return replace(found, seconds=0.0, cpu_seconds=0.0)


def test_unpruned_networks_of_a_space_may_be_given_too() -> None:
    whole = SPACE.uniform(weight_bits=4, activation_bits=4)
    changes: dict[str, Any] = {
        "candidate_hash": whole.hash,
        "blueprint": whole.blueprint,
        "parent": whole.parent,
    }
    found = pruned(replace(WORK, job=replace(WORK.job, **changes)))
    assert found.history[-1].bitlines < found.history[0].bitlines
