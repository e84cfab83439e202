"""An evaluation on real images: learns, repeats bit for bit, keeps away from the test images."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch

from cimsearch.errors import DataError, HardwareError
from cimsearch.evaluate import Job, Score
from cimsearch.evaluate.run import evaluate, evaluate_json
from cimsearch.evaluate.train import forget_parents
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.study import DigitsData, ParquetData, Recipe, Rung
from cimsearch.training.fingerprint import fingerprint
from tests.unit.training_data.files import write_parquet

SPACE = Space(load_space_spec("vgg_tiny"))
DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)


def job(**changes: Any) -> Job:
    candidate = SPACE.sample(1)
    settings: dict[str, Any] = {
        "candidate_hash": candidate.hash,
        "blueprint": candidate.blueprint,
        "parent": candidate.parent,
        "hardware": load_hardware("macros/yu_cicc_2020"),
        "data": DIGITS,
        "data_path": None,
        "data_fingerprint": fingerprint(DIGITS, None),
        "recipe": Recipe(batch=64, parent_epochs=3, parent_lr=0.2, qat_lr=0.05),
        "rung": Rung(epochs=2, train_level="L1", score_level="L1", chips=2),
        "study_seed": 7,
    }
    return Job(**(settings | changes))


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates are trained anew in each test; what is kept has tests of its own."""
    monkeypatch.setenv("CIMSEARCH_CACHE_GB", "0")


@lru_cache
def score() -> Score:
    return evaluate(job())


def without_times(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(text)
    return {k: v for k, v in data.items() if k not in ("seconds", "cpu_seconds")}


def test_a_score_is_whole() -> None:
    found = score()
    assert (found.level, found.split, found.images) == ("L1", "validation", 287)
    assert (found.parent_epochs, found.epochs) == (3, 2)
    assert len(found.accuracy_per_chip) == 2
    assert found.float_accuracy > 0.85
    assert found.ideal_accuracy > 0.7
    assert found.accuracy_worst > 0.4
    layers = [node.name for node in job().blueprint.nodes if node.has_weights]
    assert list(found.activity_frac) == list(found.density_frac) == layers
    assert 0 < found.cpu_seconds < 60
    assert f"torch {torch.__version__}" in found.fingerprint


def test_the_uniform_8_bit_network_is_near_its_ideal_after_training_through_noise() -> None:
    uniform = SPACE.uniform(weight_bits=8, activation_bits=8)
    found = evaluate(
        job(
            candidate_hash=uniform.hash,
            blueprint=uniform.blueprint,
            parent=uniform.parent,
            recipe=Recipe(batch=64, parent_epochs=6, parent_lr=0.2, qat_lr=0.05),
            rung=Rung(epochs=4, train_level="L0", score_level="L1", chips=3),
        )
    )
    assert found.float_accuracy > 0.95
    assert found.accuracy > found.ideal_accuracy - 0.05


def test_a_score_repeats_in_this_process() -> None:
    assert without_times(evaluate(job()).to_json()) == without_times(score().to_json())


def test_a_cached_parent_and_a_fresh_one_are_the_same_bits() -> None:
    cached = score()
    forget_parents()
    assert without_times(evaluate(job()).to_json()) == without_times(cached.to_json())


def test_a_score_repeats_in_another_process() -> None:
    code = "import sys, cimsearch.evaluate.run as r; print(r.evaluate_json(sys.stdin.read()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=job().to_json(),
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        check=True,
    )
    assert without_times(done.stdout) == without_times(score().to_json())


@pytest.mark.parametrize(
    "changes",
    [{"study_seed": 8}, {"replicate": 1}, {"first_chip": 100}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_names_a_stream_changes_the_score(changes: dict[str, Any]) -> None:
    assert evaluate(job(**changes)).accuracy_per_chip != score().accuracy_per_chip


def test_chips_are_counted_from_the_first() -> None:
    later = evaluate(job(first_chip=1))
    assert later.accuracy_per_chip[0] == score().accuracy_per_chip[1]


def test_a_rung_limits_the_images() -> None:
    rung = Rung(epochs=1, train_level="L0", score_level="L0", chips=1, images=50)
    found = evaluate(job(rung=rung))
    assert found.images == 50
    assert found.level == "L0"
    assert (found.accuracy * 50) == pytest.approx(round(found.accuracy * 50))


def test_a_rung_may_score_every_conversion() -> None:
    found = {}
    for level in ("L1", "L2"):
        rung = Rung(epochs=2, train_level="L1", score_level=level, chips=2, images=100)
        found[level] = evaluate(job(rung=rung))
    assert found["L2"].level == "L2"
    assert found["L2"].accuracy_per_chip != found["L1"].accuracy_per_chip
    assert found["L2"].accuracy > 0.2
    # Training was the same, and an ideal converter leaves nothing of a level.
    assert found["L2"].density_frac == found["L1"].density_frac


def test_json_goes_in_and_comes_out() -> None:
    found = Score.from_json(evaluate_json(job().to_json()))
    assert found.accuracy_per_chip == score().accuracy_per_chip


def test_other_data_than_the_study_was_started_with_is_refused() -> None:
    with pytest.raises(DataError, match=r"started with: .*not ffffffffffff"):
        evaluate_json(job(data_fingerprint="f" * 64).to_json())


def test_a_search_never_opens_the_test_images(tmp_path: Path) -> None:
    root = write_parquet(tmp_path / "data", train=300, test=60)
    for file in root.glob("test*"):
        file.unlink()
    data = ParquetData(kind="parquet", shape=(1, 8, 8), classes=10)
    search = job(data=data, data_path=str(root), data_fingerprint="parquet")
    assert evaluate(search).split == "validation"
    with pytest.raises(DataError):
        evaluate(replace(search, split="test"))


def test_the_final_front_is_scored_on_test_images() -> None:
    found = evaluate(job(split="test", replicate=1, first_chip=1000))
    assert (found.split, found.images) == ("test", 359)
    assert found.accuracy > 0.4


def test_hardware_that_cannot_run_the_network_is_an_error() -> None:
    wrong = tuple(
        replace(node, encoding="twos_complement") if node.placement == "cim" else node
        for node in job().blueprint.nodes
    )
    with pytest.raises(HardwareError, match="twos_complement needs cells of 1 bit"):
        evaluate(
            job(
                blueprint=replace(job().blueprint, nodes=wrong),
                hardware=load_hardware("macros/wan_nature_2022"),
            )
        )


def test_threads_are_as_they_were() -> None:
    before = torch.get_num_threads()
    evaluate(job())
    assert torch.get_num_threads() == before
