"""Networks of whose row groups some hold no weights, trained rung after rung and changed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cimsearch.blueprint import Blueprint
from cimsearch.cim import CimLayer
from cimsearch.evaluate import Job
from cimsearch.evaluate.images import images_of, source_of
from cimsearch.evaluate.report import unheard
from cimsearch.evaluate.train import trained_candidate, trained_parent
from cimsearch.networks import Network
from cimsearch.spec.study import Rung
from cimsearch.training.keep import Keep
from cimsearch.training.recipe import TrainingData
from tests.unit.export.networks import network
from tests.unit.export.test_row_skipping import job_of, skipping, sparse

FIRST = Rung(epochs=1, train_level="L1", score_level="L1", chips=1, images=50)


def trained(job: Job) -> Network:
    training, keep = TrainingData(images_of(source_of(job), "train"), job.data), Keep.at(job.cache)
    parent = trained_parent(job, training, keep, unheard)
    return trained_candidate(job, parent, training, keep, unheard)[0]


def layers(network: Network) -> list[CimLayer]:
    found = [layer for layer in network.cim_layers() if layer.skipped is not None]
    assert found
    return found


def same(one: Network, other: Network) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(values, states[1][name]) for name, values in states[0].items())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Network]:
    cache = str(tmp_path_factory.mktemp("cache"))
    job = replace(job_of(skipping()), rung=FIRST, cache=cache)
    return job, trained(job)


def test_zeros_stay_through_training_and_rungs(first: tuple[Job, Network], tmp_path: Path) -> None:
    job, network = first
    later = replace(job, rung=replace_epochs(FIRST, 2), earlier=(FIRST,))
    warm = trained(later)
    cold = trained(replace(later, cache=str(tmp_path)))
    assert same(warm, cold)
    assert not same(warm, network)
    for before, after in zip(layers(network), layers(warm), strict=True):
        assert before.geometry == after.geometry
        for start, stop in after.geometry.skipped:
            assert not after.weight.flatten(1)[:, start:stop].any()


def replace_epochs(rung: Rung, epochs: int) -> Rung:
    return rung.model_copy(update={"epochs": epochs})


def test_a_changed_network_goes_on_with_the_row_groups_of_the_trained_one(
    first: tuple[Job, Network],
) -> None:
    job, network = first
    changed = sparse(dense(x_bits=4))
    other = replace(
        job,
        blueprint=changed,
        candidate_hash=changed.hash,
        rung=replace_epochs(FIRST, 0),
        weights_of=job,
    )
    for before, after in zip(layers(network), layers(trained(other)), strict=True):
        assert after.numerics.x_bits == 4
        assert before.geometry == after.geometry
        assert torch.equal(before.weight, after.weight)


def dense(x_bits: int) -> Blueprint:
    made = network()
    nodes = [
        replace(node, x_bits=x_bits) if node.placement == "cim" else node for node in made.nodes
    ]
    return replace(made, nodes=tuple(nodes))
