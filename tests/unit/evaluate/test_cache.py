"""What evaluations keep: a score has the same bits whatever was found in the cache."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import fsspec
import pytest
import torch
from safetensors.torch import load

from cimsearch.errors import CimsearchError
from cimsearch.evaluate import Job, Score, train
from cimsearch.evaluate.keys import FLOAT_FIELDS, candidate_key, parent_key
from cimsearch.evaluate.machine import fingerprint, one_thread
from cimsearch.evaluate.report import Report, unheard
from cimsearch.evaluate.run import evaluate
from cimsearch.evaluate.weights import kept_weights
from cimsearch.spec.losses import Losses
from cimsearch.spec.recipe import Distillation, NoiseEntry
from cimsearch.spec.study import Recipe, Rung
from cimsearch.training.data import load_part
from cimsearch.training.keep import Keep
from cimsearch.training.recipe import TrainingData
from cimsearch.training.seal import metadata_of
from tests.unit.evaluate.robust import uniform_job
from tests.unit.evaluate.test_run import job, without_times

LEARNED = Recipe(
    batch=256,
    parent_epochs=3,
    parent_lr=0.2,
    qat_lr=0.05,
    steps="learned",
    partial_sum_steps="learned",
    distillation=Distillation(weight=0.5, temperature=2.0),
)
RUNG = Rung(epochs=2, train_level="L1", score_level="L1", chips=2, images=100)
PARENT = [("parent", epoch, 3) for epoch in (1, 2, 3)]
CANDIDATE = [("candidate", epoch, 2) for epoch in (1, 2)]
CHIPS = [("chips", chip, 2) for chip in (1, 2)]


def a_job(**changes: Any) -> Job:
    return job(**({"recipe": LEARNED, "rung": RUNG} | changes))


def run(some: Job) -> tuple[dict[str, Any], list[tuple[str, int, int]]]:
    """Evaluate in a process that remembers nothing; return the score and what was reported."""
    train.forget_parents()
    reports: list[Report] = []
    score = evaluate(some, reports.append)
    assert all(r.accuracy is not None and 0 <= r.accuracy <= 1 for r in reports)
    return without_times(score.to_json()), [(r.stage, r.epoch, r.epochs) for r in reports]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    train.forget_parents()


@lru_cache
def undisturbed() -> dict[str, Any]:
    """The score of ``a_job`` where nothing is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE_GB", "0")
        score, reports = run(a_job())
    assert reports == PARENT + CANDIDATE + CHIPS
    return score


def kept(place: Path) -> list[str]:
    return sorted(file.parent.name for file in place.rglob("*.safetensors"))


def test_what_was_trained_is_not_trained_again(tmp_path: Path) -> None:
    assert run(a_job()) == (undisturbed(), PARENT + CANDIDATE + CHIPS)
    assert kept(tmp_path) == ["candidates", "parents"]
    assert run(a_job()) == (undisturbed(), CHIPS)


def test_a_kept_parent_and_a_fresh_one_are_the_same_bits(tmp_path: Path) -> None:
    run(a_job(rung=RUNG.model_copy(update={"epochs": 1})))
    assert run(a_job()) == (undisturbed(), CANDIDATE + CHIPS)


def test_a_parent_is_remembered_where_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIMSEARCH_CACHE_GB", "0")
    evaluate(a_job())
    reports: list[Report] = []
    score = evaluate(a_job(), reports.append)
    assert [r.stage for r in reports] == ["candidate"] * 2 + ["chips"] * 2
    assert without_times(score.to_json()) == undisturbed()


def test_other_chips_and_images_take_the_trained_candidate() -> None:
    run(a_job())
    more = RUNG.model_copy(update={"chips": 3, "images": "all"})
    found, reports = run(a_job(rung=more, first_chip=50))
    assert reports == [("chips", chip, 3) for chip in (1, 2, 3)]
    assert found["images"] == 287


@pytest.mark.parametrize("place", ["folder", "memory"])
def test_the_cache_of_a_job_may_be_elsewhere(place: str, tmp_path: Path) -> None:
    cache = str(tmp_path / "shared") if place == "folder" else f"memory://{uuid4()}"
    assert run(a_job(cache=cache)) == (undisturbed(), PARENT + CANDIDATE + CHIPS)
    assert run(a_job(cache=cache)) == (undisturbed(), CHIPS)
    assert not (tmp_path / "cache").exists()
    files, root = fsspec.core.url_to_fs(cache)
    assert len(files.find(f"{root}/networks")) == 2
    assert not files.find(f"{root}/locks")


@pytest.mark.parametrize("seed", range(2))
def test_damaged_files_are_made_again(seed: int, tmp_path: Path) -> None:
    run(a_job())
    random = Random(seed)
    for file in tmp_path.rglob("*.safetensors"):
        content = bytearray(file.read_bytes())
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        file.write_bytes(content)
    assert run(a_job()) == (undisturbed(), PARENT + CANDIDATE + CHIPS)
    assert run(a_job()) == (undisturbed(), CHIPS)


def test_an_unusable_cache_fails_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    assert run(a_job(cache=str(tmp_path / "file")))[0] == undisturbed()
    (record,) = caplog.records
    assert "cannot be used" in record.getMessage()


class StoppedError(Exception):
    """An evaluation was stopped."""


def stopped_after(some: Job, report: tuple[str, int, int]) -> None:
    """Evaluate up to a report."""

    def stop(found: Report) -> None:
        if (found.stage, found.epoch, found.epochs) == report:
            raise StoppedError

    train.forget_parents()
    with pytest.raises(StoppedError):
        evaluate(some, stop)


@pytest.mark.parametrize("place", range(len(PARENT + CANDIDATE + CHIPS)))
def test_an_evaluation_goes_on_where_it_was(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_S", 0.0)
    order = PARENT + CANDIDATE + CHIPS
    stopped_after(a_job(), order[place])
    # The last epoch is not written down: what follows it is.
    again = place if order[place] in (PARENT[-1], CANDIDATE[-1]) else place + 1
    assert run(a_job()) == (undisturbed(), order[again:] if place < 5 else CHIPS)
    assert kept(tmp_path) == ["candidates", "parents"]


def test_checkpoints_are_seldom_written(tmp_path: Path) -> None:
    stopped_after(a_job(), PARENT[1])
    assert kept(tmp_path) == []


def test_a_damaged_checkpoint_is_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_S", 0.0)
    stopped_after(a_job(), PARENT[1])
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    assert run(a_job()) == (undisturbed(), PARENT + CANDIDATE + CHIPS)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_training_that_diverges_is_not_kept(tmp_path: Path) -> None:
    wild = LEARNED.model_copy(update={"parent_lr": 1e30})
    for _ in range(2):
        with pytest.raises(CimsearchError, match="loss is nan after epoch 1 of 3"):
            evaluate(a_job(recipe=wild))
    assert kept(tmp_path) == []
    assert list((tmp_path / "cache" / "locks").iterdir()) == []


def test_chips_that_are_calibrated_are_reported_when_they_are_scored() -> None:
    reports: list[Report] = []
    score = evaluate(uniform_job(calibration="per_chip", rung=RUNG), reports.append)
    found = [(r.epoch, r.accuracy) for r in reports if r.stage == "chips"]
    assert found == list(enumerate(score.accuracy_per_chip, 1))


def test_weights_are_kept_after_scoring() -> None:
    some = a_job()
    assert kept_weights(some, fingerprint()) is None
    score = evaluate(some)
    content = kept_weights(some, score.fingerprint)
    assert content is not None
    training = TrainingData(load_part(some.data, None, "train"), some.data)
    keep = Keep.at(None)
    with one_thread():
        parent = train.trained_parent(some, training, keep, unheard)
        network, _ = train.trained_candidate(some, parent, training, keep, unheard)
    wanted, found = network.state_dict(), load(content)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], values) for name, values in wanted.items())
    assert kept_weights(some, "another machine") is None
    about = metadata_of(content)
    assert about["candidate"] == some.candidate_hash
    steps = {layer.name: layer.x_scale for layer in network.cim_layers()}
    assert {n: of["x_scale"] for n, of in json.loads(about["layers"]).items()} == steps


def test_reading_weights_needs_no_torch() -> None:
    code = (
        "import sys, cimsearch.evaluate.weights; "
        "assert not {'torch', 'safetensors'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def recipe(**changes: Any) -> Callable[[Job], Job]:
    return lambda of: replace(of, recipe=of.recipe.model_copy(update=changes))


def rung(**changes: Any) -> Callable[[Job], Job]:
    return lambda of: replace(of, rung=of.rung.model_copy(update=changes))


def earlier(**changes: Any) -> Callable[[Job], Job]:
    return lambda of: replace(of, earlier=(RUNG.model_copy(update=changes),))


OF_BOTH: dict[str, Callable[[Job], Job]] = {
    "parent": lambda of: replace(of, parent=uniform_job().parent),
    "batch": recipe(batch=32),
    "parent_epochs": recipe(parent_epochs=4),
    "parent_lr": recipe(parent_lr=0.1),
    "momentum": recipe(momentum=0.8),
    "weight_decay": recipe(weight_decay=0.0),
    "augmentation": lambda of: replace(
        of,
        data=of.data.model_copy(
            update={"augmentation": of.data.augmentation.model_copy(update={"flip": True})}
        ),
    ),
    "data_fingerprint": lambda of: replace(of, data_fingerprint="0" * 64),
    "study_seed": lambda of: replace(of, study_seed=8),
    "replicate": lambda of: replace(of, replicate=1),
}
OF_CANDIDATE: dict[str, Callable[[Job], Job]] = {
    "candidate_hash": lambda of: replace(of, candidate_hash="other"),
    "blueprint": lambda of: replace(of, blueprint=of.parent),
    "hardware": lambda of: replace(of, hardware=uniform_job().hardware),
    "qat_lr": recipe(qat_lr=0.1),
    "noise_scale": recipe(noise_scale=0.5),
    "ramp_frac": recipe(ramp_frac=0.0),
    "steps": recipe(steps="calibrated"),
    "partial_sum_steps": recipe(partial_sum_steps="calibrated"),
    "noise": recipe(noise=(NoiseEntry(on="weights", sigma_frac=0.1),)),
    "distillation": recipe(distillation=None),
    "losses": recipe(losses=Losses.model_validate({"range_shaping": {"weight": 1.0}})),
    "epochs": rung(epochs=3),
    "train_level": rung(train_level="L0"),
    "score_level": rung(score_level="L2"),
    "earlier": earlier(),
    "earlier epochs": earlier(epochs=3),
    "earlier train_level": earlier(train_level="L0"),
    "earlier score_level": earlier(score_level="L2"),
}
OF_NEITHER: dict[str, Callable[[Job], Job]] = {
    "chips": rung(chips=5),
    "images": rung(images="all"),
    "first_chip": lambda of: replace(of, first_chip=5),
    "calibration": lambda of: replace(of, calibration="per_chip"),
    "split": lambda of: replace(of, split="test"),
    "data_path": lambda of: replace(of, data_path="elsewhere"),
    "cache": lambda of: replace(of, cache="elsewhere"),
    "name": lambda of: replace(of, hardware=of.hardware.model_copy(update={"name": "x"})),
}


@pytest.mark.parametrize("change", OF_BOTH | OF_CANDIDATE | OF_NEITHER)
def test_keys_cover_what_training_depends_on(change: str) -> None:
    before = a_job()
    after = (OF_BOTH | OF_CANDIDATE | OF_NEITHER)[change](before)
    assert after != before
    parents = {parent_key(some, "m") for some in (before, after)}
    candidates = {candidate_key(some, "m") for some in (before, after)}
    assert len(parents) == (2 if change in OF_BOTH else 1)
    assert len(candidates) == (1 if change in OF_NEITHER else 2)


def test_every_field_of_a_recipe_is_covered() -> None:
    covered = OF_BOTH.keys() | OF_CANDIDATE.keys()
    assert set(FLOAT_FIELDS) == set(Recipe.model_fields) & OF_BOTH.keys()
    assert set(Recipe.model_fields) <= covered


def test_keys_are_of_one_kind_of_machine() -> None:
    assert parent_key(a_job(), "m") != parent_key(a_job(), "n")
    assert candidate_key(a_job(), "m") != candidate_key(a_job(), "n")


def test_a_score_says_what_was_trained_whether_now_or_before() -> None:
    first, second = evaluate(a_job()), evaluate(a_job())
    assert isinstance(second, Score)
    assert (second.parent_epochs, second.epochs) == (first.parent_epochs, first.epochs) == (3, 2)
