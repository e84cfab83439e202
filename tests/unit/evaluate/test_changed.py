"""Networks that another one was changed into: its weights, not trained again, fitted anew."""

from dataclasses import replace

import pytest
import torch

from cimsearch.evaluate import Job
from cimsearch.evaluate.images import images_of, source_of
from cimsearch.evaluate.keys import candidate_key
from cimsearch.evaluate.machine import fingerprint
from cimsearch.evaluate.report import unheard
from cimsearch.evaluate.run import evaluate
from cimsearch.evaluate.train import forget_parents, trained_candidate, trained_parent
from cimsearch.networks import Network
from cimsearch.space import Candidate
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec.study import Recipe, Rung
from cimsearch.training.keep import Keep
from cimsearch.training.prune import kept_channels
from cimsearch.training.recipe import TrainingData
from tests.unit.evaluate.test_run import job, without_times

TRAINED = job(
    recipe=Recipe(batch=256, parent_epochs=2, parent_lr=0.2, qat_lr=0.05),
    rung=Rung(epochs=1, train_level="L0", score_level="L1", chips=2, images=100),
)


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIMSEARCH_CACHE_GB", "0")


def changed(candidate: Candidate) -> Job:
    return replace(
        TRAINED,
        candidate_hash=candidate.hash,
        blueprint=candidate.blueprint,
        rung=TRAINED.rung.model_copy(update={"epochs": 0}),
        weights_of=TRAINED,
    )


def with_weight_bits(name: str, bits: int) -> Candidate:
    nodes = tuple(
        replace(node, w_bits=bits) if node.name == name else node
        for node in TRAINED.blueprint.nodes
    )
    return Candidate(replace(TRAINED.blueprint, nodes=nodes), TRAINED.parent)


def narrower() -> Candidate:
    widths = widths_of(TRAINED.blueprint)
    group = max(widths, key=lambda name: widths[name])
    fewer = with_widths(TRAINED.blueprint, {group: widths[group] - 2})
    return Candidate(fewer, TRAINED.parent)


SAME = Candidate(TRAINED.blueprint, TRAINED.parent)
LAYER = next(node.name for node in TRAINED.blueprint.nodes if node.placement == "cim")


def network_of(which: Job) -> Network:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE_GB", "0")
        keep = Keep.at(None)
        training = TrainingData(images_of(source_of(which), "train"), which.data)
        parent = trained_parent(which, training, keep, unheard)
        return trained_candidate(which, parent, training, keep, unheard)[0]


@pytest.fixture(scope="module")
def trained() -> Network:
    return network_of(TRAINED)


def test_weights_are_those_that_were_trained(trained: Network) -> None:
    found = network_of(changed(with_weight_bits(LAYER, 2)))
    assert found.blueprint.node(LAYER).w_bits == 2
    for node in TRAINED.blueprint.nodes:
        if node.has_weights:
            own, of = (n.module(node.name).get_parameter("weight") for n in (found, trained))
            assert torch.equal(own, of)


def test_a_narrower_network_keeps_what_matters_most_of_the_trained_one(trained: Network) -> None:
    found = network_of(changed(narrower()))
    kept = kept_channels(trained, found.blueprint)
    (node,) = [
        node
        for node in found.blueprint.nodes
        if node.op == "conv" and node.out_shape != trained.blueprint.node(node.name).out_shape
    ]
    own, of = (n.module(node.name).get_parameter("weight") for n in (found, trained))
    assert torch.equal(own, of[kept[node.name]][:, kept[node.inputs[0]]])


def test_it_scores_as_well_as_what_it_was_where_nothing_is_changed() -> None:
    forget_parents()
    before, after = evaluate(TRAINED), evaluate(changed(SAME))
    assert after.epochs == 0
    assert after.float_accuracy == before.float_accuracy
    assert after.accuracy == pytest.approx(before.accuracy, abs=0.1)
    again = evaluate(changed(SAME))
    assert without_times(again.to_json()) == without_times(after.to_json())


def test_what_is_kept_of_the_trained_one_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = changed(with_weight_bits(LAYER, 2))
    alone = evaluate(wanted)
    monkeypatch.setenv("CIMSEARCH_CACHE_GB", "1")
    monkeypatch.setenv("CIMSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    forget_parents()
    evaluate(TRAINED)
    reports: list[str] = []
    found = evaluate(wanted, lambda report: reports.append(report.stage))
    assert reports == ["chips", "chips"]
    assert without_times(found.to_json()) == without_times(alone.to_json())


def test_its_keys_are_of_the_weights_too() -> None:
    wanted = changed(with_weight_bits(LAYER, 2))
    others = (
        replace(wanted, weights_of=None),
        replace(wanted, weights_of=replace(TRAINED, replicate=1)),
    )
    machine = fingerprint()
    for other in others:
        assert other.key != wanted.key
        assert candidate_key(other, machine) != candidate_key(wanted, machine)
    elsewhere = replace(wanted, weights_of=replace(TRAINED, data_path="/elsewhere", cache="c"))
    assert elsewhere.key == wanted.key


def test_its_json_reads_back() -> None:
    wanted = changed(narrower())
    assert Job.from_json(wanted.to_json()) == wanted
    assert "weights_of" not in TRAINED.to_json()
