"""Float parents that come with their weights: kept, checked, and used as they came."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from cimsearch.errors import DataError
from cimsearch.evaluate import Job
from cimsearch.evaluate.keys import candidate_key, parent_key
from cimsearch.evaluate.run import evaluate
from cimsearch.evaluate.train import forget_parents, trained_parent
from cimsearch.networks import build, recalibrate_norms
from cimsearch.networks.anchors import anchor_norms
from cimsearch.networks.importing.assemble import Imported
from cimsearch.networks.weights import load_weights, weights_file
from cimsearch.space import Space
from cimsearch.spec import load_hardware
from cimsearch.spec.study import DigitsData, Recipe, Rung
from cimsearch.training.data import load_part
from cimsearch.training.fingerprint import fingerprint
from cimsearch.training.keep import Keep
from cimsearch.training.parents import digest_of, keep_parent, kept_parent
from cimsearch.training.recipe import TrainingData
from tests.unit.importing.models import Mobile, Plain, Residual, randomised
from tests.unit.importing.test_torch import imported

DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    forget_parents()


@pytest.fixture(scope="module")
def found() -> Imported:
    return imported(randomised(Plain()), (1, 8, 8))


def a_job(found: Imported, parent_weights: str) -> Job:
    candidate = Space(found.spec).uniform(weight_bits=8, activation_bits=8)
    return Job(
        candidate_hash=candidate.hash,
        blueprint=candidate.blueprint,
        parent=candidate.parent,
        hardware=load_hardware("macros/chih_isscc_2021"),
        data=DIGITS,
        data_path=None,
        data_fingerprint=fingerprint(DIGITS, None),
        recipe=Recipe(batch=64, parent_epochs=2, parent_lr=0.2, qat_lr=0.05),
        rung=Rung(epochs=0, train_level="L0", score_level="L0", chips=1),
        study_seed=7,
        parent_weights=parent_weights,
    )


def test_equal_weights_are_equal_bytes_and_come_back(found: Imported) -> None:
    assert weights_file(found.network) == found.weights
    assert digest_of(found.weights) == found.spec.weights_sha256
    generator = torch.Generator().manual_seed(9)
    other = build(found.network.blueprint, None, generator=generator)
    load_weights(other, found.weights)
    own = found.network.state_dict()
    assert all(torch.equal(v, own[name]) for name, v in other.state_dict().items())


def test_weights_of_another_network_are_refused(found: Imported) -> None:
    other = imported(randomised(Residual()), (1, 8, 8)).network
    with pytest.raises(DataError, match="a file that is not of this network") as error:
        load_weights(other, found.weights)
    lines = error.value.message.splitlines()
    assert lines[1].strip() == "operations.stem.weight: missing"
    assert lines[-1].strip().endswith("more")
    with pytest.raises(DataError, match="no safetensors file"):
        load_weights(other, b"nothing of the kind")


def test_a_file_is_kept_under_its_digest_and_a_changed_one_is_gone(
    found: Imported, tmp_path: Path
) -> None:
    keep = Keep.at(str(tmp_path))
    digest = keep_parent(keep, found.weights)
    assert digest == found.spec.weights_sha256
    assert kept_parent(keep, digest) == found.weights
    (file,) = (tmp_path / "networks" / "parents").iterdir()
    file.write_bytes(found.weights[:-1] + b"!")
    with pytest.raises(DataError, match=f"{digest[:12]}.* are not in the cache") as error:
        kept_parent(keep, digest)
    assert "launch the study's file again" in error.value.hint
    assert "cluster.cache" in error.value.hint


def test_a_cache_that_keeps_nothing_is_told(
    found: Imported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIMSEARCH_CACHE_GB", "0")
    with pytest.raises(DataError, match="did not take the weights") as error:
        keep_parent(Keep.at(str(tmp_path)), found.weights)
    assert "CIMSEARCH_CACHE_GB" in error.value.hint


def test_parents_stay_when_candidates_fill_the_cache(found: Imported, tmp_path: Path) -> None:
    size = len(found.weights)
    keep = Keep(str(tmp_path), 4.5 * size)
    digest = keep_parent(keep, found.weights)
    for name in "abcdefgh":
        keep.put("candidates", name, bytes(size))
    assert kept_parent(keep, digest) == found.weights
    left = sorted(file.stem for file in (tmp_path / "networks" / "candidates").iterdir())
    assert left == ["f", "g", "h"]


def test_a_job_says_whose_weights_only_where_they_are_given(found: Imported) -> None:
    trained, given = a_job(found, ""), a_job(found, found.spec.weights_sha256)
    assert "parent_weights" not in json.loads(trained.to_json())
    assert json.loads(given.to_json())["parent_weights"] == found.spec.weights_sha256
    assert Job.from_json(given.to_json()) == given
    assert Job.from_json(trained.to_json()) == trained
    others = [trained, given, replace(given, parent_weights="ab" * 32)]
    for keys in (
        {job.key for job in others},
        {parent_key(job, "a machine") for job in others},
        {candidate_key(job, "a machine") for job in others},
    ):
        assert len(keys) == 3


def test_a_parent_from_elsewhere_is_not_trained(found: Imported) -> None:
    job = a_job(found, keep_parent(Keep.at(None), found.weights))
    score = evaluate(job)
    assert (score.parent_epochs, score.epochs) == (0, 0)
    images = load_part(DIGITS, None, "validation")
    x = torch.from_numpy(images.x).float() / 255
    with torch.no_grad():
        right = found.network(x).argmax(1) == torch.from_numpy(images.y)
    assert score.float_accuracy == pytest.approx(float(right.float().mean()))
    # Eight bits without training are nearly the float network, biases in batch norms included.
    assert score.ideal_accuracy == pytest.approx(score.float_accuracy, abs=0.05)


def test_a_parent_that_is_nowhere_fails_the_evaluation(found: Imported) -> None:
    with pytest.raises(DataError, match="are not in the cache"):
        evaluate(a_job(found, "ab" * 32))
    other = imported(randomised(Residual()), (1, 8, 8))
    digest = keep_parent(Keep.at(None), other.weights)
    with pytest.raises(DataError, match="not of this network"):
        evaluate(a_job(found, digest))


def test_the_parent_s_batch_norms_have_the_statistics_of_the_data(found: Imported) -> None:
    job = a_job(found, keep_parent(Keep.at(None), found.weights))
    training = TrainingData(load_part(DIGITS, None, "train"), DIGITS)
    parent = trained_parent(job, training, Keep.at(None), lambda _: None)
    images = training.sample(512, torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = parent(images)
        assert torch.allclose(before, found.network(images), atol=1e-4)
    # To measure them again changes little; without that the biases would be lost.
    recalibrate_norms(parent, [images])
    bare = imported(randomised(Plain()), (1, 8, 8)).network
    recalibrate_norms(bare, [images])
    with torch.no_grad():
        near, far = ((net(images) - before).abs().mean() for net in (parent, bare))
    assert near < 0.1 * far


@pytest.mark.parametrize(
    ("make", "shape"), [(Plain, (1, 8, 8)), (Residual, (1, 8, 8)), (Mobile, (3, 16, 16))]
)
def test_anchoring_batch_norms_changes_no_logit(
    make: Callable[[], nn.Module], shape: tuple[int, int, int]
) -> None:
    network = imported(randomised(make()), shape).network
    images = torch.randn(32, *shape, generator=torch.Generator().manual_seed(4)) + 0.5
    with torch.no_grad():
        before = network(images)
        anchor_norms(network, torch.split(images, 8))
        assert torch.allclose(network(images), before, atol=1e-4)
    again = network.state_dict()
    first = next(n for n in network.blueprint.nodes if n.op == "batchnorm")
    read = network.blueprint.node(first.inputs[0])
    with torch.no_grad():
        x = network.module(read.name)(network.cast(images))
    name = f"operations.{first.name.replace('.', '/')}"
    assert torch.allclose(again[f"{name}.running_mean"], x.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(
        again[f"{name}.running_var"], x.var((0, 2, 3), correction=0), rtol=1e-4, atol=1e-6
    )
