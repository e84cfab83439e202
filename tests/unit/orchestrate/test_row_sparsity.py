"""A study that opens row sparsity, from its file to a verified export."""

import json
from pathlib import Path
from typing import Any

import pytest

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost.layer_integers import row_groups, tile_rows
from cimsearch.errors import SpecError
from cimsearch.orchestrate.launch import launch
from cimsearch.spec import load_study
from cimsearch.workers import InlineExecutor
from tests.commands import cimsearch
from tests.studies import TINY_STUDY

MACRO = """
schema: cimsearch/hardware/1
kind: macro
extends: macros/yu_cicc_2020
name: skipping
summary: the macro with a register of its row groups
source: made for a test
array: {row_group_skipping: true}
"""
OWN = "genes: {adc_bits: [3, 4, 5]}\n"
OPENED = "genes: {row_sparsity: [0.0, 0.25, 0.5], prune_ratio: [0.0, 0.25]}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sparse")
    (folder / "skipping.yaml").write_text(MACRO)
    text = TINY_STUDY.replace("macros/yu_cicc_2020", "./skipping.yaml").replace(OWN, OPENED)
    (folder / "tiny.yaml").write_text(text)
    return folder


def test_a_study_opens_it_where_the_hardware_skips(folder: Path) -> None:
    study = load_study(str(folder / "tiny.yaml"))
    assert study.space.genes.row_sparsity == (0.0, 0.25, 0.5)
    assert study.identity()["study"]["genes"]["row_sparsity"] == [0.0, 0.25, 0.5]


def test_a_study_on_other_hardware_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text(TINY_STUDY.replace(OWN, OPENED))
    said = r"found row_sparsity 0.0, 0.25, 0.5; arrays of yu_cicc_2020 skip no row groups"
    with pytest.raises(SpecError, match=said):
        load_study(str(tmp_path / "plain.yaml"))
    (tmp_path / "off.yaml").write_text(
        TINY_STUDY.replace(OWN, "genes: {row_sparsity: [0.0], adc_bits: [3]}\n")
    )
    assert load_study(str(tmp_path / "off.yaml")).space.genes.row_sparsity == (0.0,)


def test_it_runs_is_exported_and_verified(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIMSEARCH_CACHE", str(folder / "cache"))
    study = load_study(str(folder / "tiny.yaml"))
    launch(study, storage=f"sqlite:///{folder / 'cimsearch.db'}", executor=InlineExecutor())
    shown = [
        json.loads(cimsearch("trial", "tiny", str(trial), "--json", cwd=folder).stdout)
        for trial in range(4)
    ]
    sparse = max(range(4), key=lambda trial: skipped_rows(shown[trial]))
    out = folder / "out"
    cimsearch("export", "tiny", str(sparse), "--to", str(out), cwd=folder)
    plan = json.loads((out / "mapping.json").read_text())
    blueprint = Blueprint.from_json((out / "blueprint.json").read_text())
    asked = {node.name for node in blueprint.nodes if node.row_sparsity == 0.5}
    read = dict.fromkeys(asked, 0)
    for tile in plan["tiles"]:
        if tile["layer"] in asked and tile["outputs"][0] == 0:
            read[tile["layer"]] += len(tile["row_groups"])
    fewer = {name for name in asked if read[name] < row_groups_of(blueprint.node(name))}
    assert fewer
    said = cimsearch("verify", str(out), cwd=folder).stdout
    assert said.endswith("reproduces its accuracy to the last image\n")


def skipped_rows(trial: dict[str, Any]) -> float:
    """Return the sum of the shares of a trial's genes."""
    shares = (v for name, v in trial["genes"].items() if name.endswith("row_sparsity"))
    return float(sum(shares))


def row_groups_of(node: Node) -> int:
    """Return the row groups of a dense layer: arrays of 128 rows, 64 of them at once."""
    kernel = node.kernel[0] * node.kernel[1]
    return len(row_groups(node.in_shape[0] * kernel, tile_rows(128, kernel, "dense"), 64))
