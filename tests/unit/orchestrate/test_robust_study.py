"""A whole study whose chips are calibrated one by one and scored at several conditions."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cimsearch.cli import cli
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.read.results import read_result
from cimsearch.orchestrate.read.view import study_view
from cimsearch.spec import load_study
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.workers import InlineExecutor
from tests.studies import TINY_STUDY

pytestmark = pytest.mark.slow

Write = Callable[[str, str], Path]

MACRO = """
schema: cimsearch/hardware/1
kind: macro
extends: macros/yu_cicc_2020
name: mine
summary: a macro that follows its supply
source: made for a test
noise:
  pvt: {gain_per_supply_frac: 1.0, process_sigma_frac: 0.1}
basis:
  noise: assumed
"""
SPACE = """
schema: cimsearch/space/1
name: small
summary: networks that are calibrated in a moment
source: made for a test
family: vgg
input_shape: [1, 8, 8]
classes: 10
stages:
  - {width: [8], depth: [1], downsample: true}
  - {width: [8], depth: [1], downsample: true}
genes: {weight_bits: [3, 4, 6], activation_bits: [3, 4], prune_ratio: [0.0]}
first_layer: {placement: digital, bits: 8}
classifier: {placement: digital, bits: 8}
"""
ROBUST = (
    TINY_STUDY.replace("macros/yu_cicc_2020", "mine.yaml")
    .replace("space: vgg_tiny", "space: ./small.yaml")
    .replace("images: 100}", "images: 100, conditions: [{}, {supply_v: 0.43}]}")
    .replace("trials: 4", "trials: 2")
    .replace("rungs:", "accuracy_statistic: worst\ncalibration: per_chip\nrungs:")
)


def test_robust_accuracy_is_the_objective_and_is_shown(write: Write, tmp_path: Path) -> None:
    write("mine.yaml", MACRO)
    write("small.yaml", SPACE)
    study = load_study(str(write("tiny.yaml", ROBUST)))
    url = f"sqlite:///{tmp_path / 'cimsearch.db'}"
    launch(study, storage=url, executor=InlineExecutor())
    storage = open_storage(url, create=False)
    row = db.find_study(storage, "tiny")
    assert row is not None
    result = read_result(storage, row.id)
    for trial in result.trials:
        assert trial.score is not None
        low = min(min(part.accuracy_per_chip) for part in trial.score.conditions)
        assert trial.objectives["accuracy"] == low == trial.score.accuracy_worst
        assert len(trial.score.shared_accuracy_per_chip) == 2
    for trial in result.front:
        assert trial.test is not None
        assert [part.label for part in trial.test.conditions] == ["as stated", "0.43 V"]
        assert trial.test_accuracy == trial.test.accuracy_worst
    view = study_view(result)
    assert view.conditions == ("as stated", "0.43 V")
    for point in view.front:
        assert [at.label for at in point.conditions] == ["as stated", "0.43 V"]
        assert point.calibration is not None
        assert point.calibration.images == 1024
    call = ["trial", "tiny", "0", "--storage", url]
    text = CliRunner().invoke(cli, call).stdout
    assert "(the worst of 2 chips, each at the worst of 2 conditions)" in text
    assert "at 0.43 V" in text
    assert "calibrating each chip" in text
    facts = json.loads(CliRunner().invoke(cli, [*call, "--json"]).stdout)
    assert [at["condition"] for at in facts["score"]["conditions"]] == ["as stated", "0.43 V"]
