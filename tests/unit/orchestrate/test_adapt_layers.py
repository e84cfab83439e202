"""Adapted networks that lose residual blocks: the chain goes on, and what follows knows of it."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from cimsearch.cli.adapt import facts, show
from cimsearch.evaluate.pruning import PrunedNetwork, PruneStep
from cimsearch.export.verify import verify_export
from cimsearch.figures.adapted import changes_table
from cimsearch.orchestrate.adapt.adapt import adapt
from cimsearch.orchestrate.adapt.changes import one_gene_changes
from cimsearch.orchestrate.derive.deliver import deliver
from cimsearch.orchestrate.read.adaptation import Adapting
from cimsearch.orchestrate.read.adapted_steps import Step
from cimsearch.orchestrate.read.results import read_result
from cimsearch.orchestrate.read.view import study_view
from cimsearch.space.bypass import bypasses
from cimsearch.spec import load_study
from cimsearch.spec.adaptation import Pruning
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.workers import InlineExecutor
from tests.studies import TINY_STUDY

SPACE = """
schema: cimsearch/space/1
name: blocks
summary: two blocks that add to what they read
source: made for a test
family: resnet
input_shape: [1, 8, 8]
classes: 10
stages:
  - {width: [8], depth: [2], downsample: false}
genes: {weight_bits: [4], activation_bits: [4], prune_ratio: [0.0, 0.25]}
first_layer: {placement: digital, bits: 8}
classifier: {placement: digital, bits: 8}
"""
ADAPT = """
adapt:
  networks: 1
  max_accuracy_drop: 1.0
  training: {epochs: 1, train_level: L0, score_level: L1, chips: 1, images: 100}
  pruning: {cost_frac: 0.4, tune_epochs: 0.2, images: 64, layers: true}
  rounds: 1
  changes: 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blocks")
    (folder / "blocks.yaml").write_text(SPACE, encoding="utf-8")
    study = TINY_STUDY.replace("space: vgg_tiny", "space: ./blocks.yaml")
    study = study.replace("trials: 4", "trials: 1")
    (folder / "tiny.yaml").write_text(study + ADAPT, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _one_cache(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("CIMSEARCH_CACHE", str(folder / "cache"))


def storage_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'a.db'}"


@pytest.fixture(scope="module")
def found(folder: Path) -> Adapting:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE", str(folder / "cache"))
        study = load_study(str(folder / "tiny.yaml"))
        return adapt(study, storage=storage_in(folder), executor=InlineExecutor())


def pruned_step(found: Adapting) -> Step:
    (chain,) = found.chains
    return next(step for step in chain.steps if step.kind == "pruned")


def test_a_network_goes_on_without_its_block(found: Adapting) -> None:
    (chain,) = found.chains
    first, pruned, last = chain.steps
    assert chain.ended_by == "all rounds are done"
    assert pruned.blocks
    assert pruned.pruned is not None
    assert set(pruned.blocks) <= set(bypasses(first.candidate.blueprint))
    for blueprint in (last.candidate.blueprint, last.candidate.parent):
        names = {node.name for node in blueprint.nodes}
        for block in pruned.blocks:
            assert not {name for name in names if name.startswith(block.removesuffix("add"))}
    assert last.cost["energy_pj"] <= 0.4 * first.cost["energy_pj"]
    assert last.cost["energy_pj"] == pytest.approx(pruned.pruned.history[-1].energy_pj)
    assert last.score is not None


def test_changes_are_of_what_is_left(found: Adapting) -> None:
    (chain,) = found.chains
    step = found.delivered()[chain.name]
    assert step == chain.steps[-1]
    genes = found.result.trials[found.numbers[0]].candidate.genes
    changes = one_gene_changes(found.plan.study, genes, step.candidate)
    gone = tuple(block.removesuffix(".add") for block in pruned_step(found).blocks)
    left = {node.name for node in step.candidate.blueprint.nodes if node.placement == "cim"}
    assert not [change for change in changes if change.gene.startswith(gone)]
    assert {f"{name}.adc_bits" for name in left} <= {change.gene for change in changes}
    assert found.changes_of(step)


def test_the_blocks_are_told(found: Adapting, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = pruned_step(found).blocks
    (network,) = (each for each in facts(found)["networks"] if each["name"] == "trial 0")
    assert [step["blocks_removed"] for step in network["steps"]] == [[], list(blocks), []]
    show(found)
    assert f"round 1 took the blocks {', '.join(blocks)}" in capsys.readouterr().out


def test_the_report_has_no_channels_left_of_their_layers(found: Adapting, folder: Path) -> None:
    with closing(open_storage(storage_in(folder))) as database:
        (row,) = db.list_studies(database)
        adapted = study_view(read_result(database, row.id)).adaptation
    assert adapted is not None
    (network,) = (each for each in adapted.networks if not each.baseline)
    gone = tuple(block.removesuffix("add") for block in pruned_step(found).blocks)
    for layer in network.layers:
        assert (layer.channels[1] == 0) == layer.name.startswith(gone)
        assert (layer.energy_pj[1] == 0.0) == layer.name.startswith(gone)
    assert changes_table(network).note == "Layers of 0 channels went with their residual block."


def test_what_is_delivered_is_verified_and_its_card_tells_the_blocks(
    found: Adapting, folder: Path, tmp_path: Path
) -> None:
    (chain,) = found.chains
    out = tmp_path / "out"
    deliver("tiny", chain.steps[-1].label, out, storage=storage_in(folder))
    blocks = ", ".join(pruned_step(found).blocks)
    card = (out / "card.md").read_text(encoding="utf-8")
    assert f"| round 1 of pruning: blocks removed | {blocks} | the study |" in card
    assert verify_export(out).passed


def test_results_of_before_blocks_could_go_are_read_and_written_as_they_were(
    found: Adapting,
) -> None:
    pruned = pruned_step(found).pruned
    assert pruned is not None
    assert PrunedNetwork.from_json(pruned.to_json()) == pruned
    before = PruneStep((("stage0", 1),), 0.5, 1.0, 2.0, 3, 0.9)
    assert "blocks" not in before.plain
    assert PruneStep.of(json.loads(json.dumps(before.plain))) == before
    assert "layers" not in Pruning().model_dump(mode="json")
    assert Pruning(layers=True).model_dump(mode="json")["layers"] is True
