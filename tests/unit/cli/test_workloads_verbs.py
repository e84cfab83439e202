"""Verbs on a study of several workloads, typed as a user types them."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result

from cimsearch.cli import cli
from cimsearch.cli.status import report_text
from cimsearch.evaluate.report import Report
from cimsearch.orchestrate.launch import launch
from cimsearch.spec import load_study
from tests.studies import TINY_STUDY
from tests.workloads import TWO_WORKLOADS, JointExecutor

Write = Callable[[str, str], Path]


def typed(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("two")
    file = folder / "two.yaml"
    file.write_text(TWO_WORKLOADS.lstrip(), encoding="utf-8")
    found = f"sqlite:///{folder / 'study.db'}"
    launch(load_study(str(file)), storage=found, executor=JointExecutor(1, Random(0)))
    return found


def test_a_layer_is_explained_by_its_workload_s_name(url: str) -> None:
    text = typed("explain", "two/0", "--layer", "other/stage1.layer0", "--storage", url).output
    assert text.startswith("other/stage1.layer0 (conv, cim) of two/0 on yu_cicc_2020")
    named = ["--layer", "other/stage1.layer0", "--storage", url, "--json"]
    explained = json.loads(typed("explain", "two/0", *named).output)
    trial = json.loads(typed("trial", "two", "0", "--storage", url, "--json").output)
    (layer,) = (each for each in trial["cost"]["layers"] if each["name"] == "other/stage1.layer0")
    assert explained["energy_pj"] == pytest.approx(layer["energy_pj"])
    assert explained["latency_ns"] == pytest.approx(layer["latency_ns"])


def test_a_trial_and_the_front_tell_the_accuracy_of_each_workload(url: str) -> None:
    found = json.loads(typed("trial", "two", "0", "--storage", url, "--json").output)
    text = typed("trial", "two", "0", "--storage", url).output
    names = [part["workload"] for part in found["score"]["workloads"]]
    assert names == ["vgg_tiny", "other"]
    assert all(name in text for name in names)
    front = typed("front", "two", "--storage", url).output
    assert "vgg_tiny" in front
    assert "other" in front


def test_the_study_file_is_checked_and_its_data_looked_at(write: Write) -> None:
    path = str(write("two.yaml", TWO_WORKLOADS))
    assert typed("check", path).output == f"{path}: ok\n"
    text = typed("data", "check", path).output
    assert text.startswith("workload vgg_tiny\ndigits data")
    assert "\n\nworkload other\ndigits data" in text
    found = json.loads(typed("data", "check", path, "--json").output)
    assert list(found) == ["vgg_tiny", "other"]
    assert found["vgg_tiny"]["fingerprint"] != found["other"]["fingerprint"]


def test_data_of_one_workload_is_told_as_ever(write: Write) -> None:
    path = str(write("tiny.yaml", TINY_STUDY))
    assert typed("data", "check", path).output.startswith("digits data")
    assert json.loads(typed("data", "check", path, "--json").output)["kind"] == "digits"


def test_what_runs_says_which_workload_it_is_at() -> None:
    assert report_text(Report("candidate", 3, 6, 0.612, "other")) == "other: candidate 3/6, 61.2 %"
    assert report_text(Report("candidate", 3, 6, 0.612)) == "candidate 3/6, 61.2 %"
