"""A study of one's own trained network: it starts from the weights, and is told by them."""

import json
import shutil
import zipfile
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch

from cimsearch.errors import DataError, StudyError
from cimsearch.evaluate.joint import members_of
from cimsearch.orchestrate.derive.share import export_study, import_study
from cimsearch.orchestrate.imported.bring import import_network
from cimsearch.orchestrate.launch import launch, resume
from cimsearch.orchestrate.run.parents import keep_parents
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.sources import find_sources
from cimsearch.spec import load_study
from cimsearch.spec.network import NetworkSpec
from cimsearch.training.data import load_part
from cimsearch.training.keep import Keep
from cimsearch.training.parents import kept_parent
from cimsearch.workers import InlineExecutor
from tests.commands import cimsearch
from tests.unit.importing.onnx_models import node, write_onnx
from tests.unit.importing.own import DIGITS, STUDY, Net, scores, storage


def test_a_study_takes_the_network_as_it_came(there: Path, trained: Net) -> None:
    images = load_part(DIGITS, None, "validation")
    chosen = np.linspace(0, len(images.y) - 1, 100).astype(np.int64)
    x = torch.from_numpy(images.x[chosen]).float() / 255
    right = (trained(x).argmax(1) == torch.from_numpy(images.y[chosen])).tolist()
    accuracy, found = sum(right) / len(right), scores(there)
    validation = [score for score in found if score.split == "validation"]
    assert {score.parent_epochs for score in found} == {0}
    assert {score.float_accuracy for score in validation} == {accuracy}
    assert accuracy > 0.8
    # The uniform baselines quantise it after training.
    assert max(score.ideal_accuracy for score in validation) > accuracy - 0.1


def test_front_and_trial_read_as_ever(there: Path) -> None:
    front = json.loads(
        cimsearch("front", "own", "--json", "--storage", storage(there), cwd=there).stdout
    )
    assert {each["name"] for each in front["baselines"]} >= {"uniform 8 bit"}
    shown = cimsearch("trial", "own", "0", "--storage", storage(there), cwd=there).stdout
    assert "conv2" in shown
    assert "conv1.prune_ratio" in shown


def test_it_goes_on_from_the_database_with_what_is_kept(there: Path) -> None:
    (there / "mine.safetensors").unlink()
    resume("own", storage=storage(there), trials=2, executor=InlineExecutor())
    shutil.rmtree(there / "cache")
    with pytest.raises(DataError, match="are not in the cache"):
        resume("own", storage=storage(there), trials=3, executor=InlineExecutor())


def test_other_weights_are_refused_and_the_file_s_own_are_put_into_the_cache(there: Path) -> None:
    study = load_study("own.yaml")
    shutil.rmtree(there / "cache")
    launch(study, storage=storage(there), executor=InlineExecutor())
    assert isinstance(study.space, NetworkSpec)
    kept = there / "cache" / "networks" / "parents" / f"{study.space.weights_sha256}.safetensors"
    assert kept.read_bytes() == (there / "mine.safetensors").read_bytes()
    weights = (there / "mine.safetensors").read_bytes()
    (there / "mine.safetensors").write_bytes(weights[:-4] + b"abcd")
    with pytest.raises(DataError, match="not the weights that the space's file names") as error:
        launch(study, storage=storage(there), executor=InlineExecutor())
    assert "other weights are another study" in error.value.hint


def test_another_network_is_another_study(there: Path) -> None:
    import_network("own_net:Net", Path("mine.yaml"), input_shape=(1, 8, 8), force=True)
    with pytest.raises(StudyError, match="exists with another spec") as error:
        launch(load_study("own.yaml"), storage=storage(there), executor=InlineExecutor())
    assert "weights_sha256" in error.value.message


def test_a_shared_study_names_or_carries_the_weights(there: Path) -> None:
    weights = (there / "mine.safetensors").read_bytes()
    space = load_study("own.yaml").space
    assert isinstance(space, NetworkSpec)
    export_study("own", "bare.cimstudy", storage=storage(there))
    export_study("own", "whole.cimstudy", storage=storage(there), weights=True)
    with zipfile.ZipFile("bare.cimstudy") as bare, zipfile.ZipFile("whole.cimstudy") as whole:
        assert json.loads(bare.read("spec/space.json"))["weights_sha256"] == space.weights_sha256
        assert whole.read(f"weights/parent-{space.weights_sha256[:16]}.safetensors") == weights
        assert not any(name.startswith("weights/parent") for name in bare.namelist())
    assert import_study("whole.cimstudy", name="theirs", storage=storage(there)).trials == 1
    (there / "mine.safetensors").unlink()
    shutil.rmtree(there / "cache" / "networks" / "parents")
    with pytest.raises(DataError, match="are not in the cache"):
        export_study("own", "none.cimstudy", storage=storage(there), weights=True)


def test_an_onnx_file_is_searched_as_a_module_is(there: Path, trained: Net) -> None:
    arrays = {name: values.numpy() for name, values in trained.state_dict().items()}
    conv = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", "x conv1.weight conv1.bias", "c1", **conv),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 conv2.weight conv2.bias", "c2", strides=[2, 2], **conv),
        node("Relu", "c2", "r2"),
        node("MaxPool", "r2", "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "p1", "f1"),
        node("Gemm", "f1 fc.weight fc.bias", "y", transB=1),
    ]
    write_onnx(there / "own.onnx", nodes, arrays, shape=("n", 1, 8, 8))
    found = import_network("own.onnx", Path("fromonnx.yaml"))
    assert found.spec.layer_names == ("conv1", "conv2", "fc")
    text = dedent(STUDY).replace("mine.yaml", "fromonnx.yaml").replace("name: own", "name: onnx")
    (there / "onnx.yaml").write_text(text, encoding="utf-8")
    result = launch(load_study("onnx.yaml"), storage=storage(there), executor=InlineExecutor())
    assert len(result.front) == 1
    of_module = {score.float_accuracy for score in scores(there) if score.split == "validation"}
    assert {t.score.float_accuracy for t in result.front if t.score} == of_module


def test_one_of_several_workloads_may_come_with_its_weights(there: Path) -> None:
    also = """
also:
  - name: mine
    space: ./mine.yaml
    data: {kind: digits, shape: [1, 8, 8], classes: 10, split_seed: 3}
"""
    text = (
        dedent(STUDY).replace("./mine.yaml", "vgg_tiny").replace("name: own", "name: two") + also
    )
    (there / "two.yaml").write_text(text, encoding="utf-8")
    study = load_study("two.yaml")
    shutil.rmtree(there / "cache")
    keep_parents(study)
    digest = study.workloads[1].parent_weights
    assert kept_parent(Keep.at(None), digest) == (there / "mine.safetensors").read_bytes()
    plan = Plan.of(study, find_sources(study, None), 1)
    jobs = members_of(plan.job(plan.space.sample(0), test=False))
    assert [(job.workload, job.parent_weights) for job in jobs] == [
        ("vgg_tiny", ""),
        ("mine", digest),
    ]
