"""Networks whose layers have groups of channels of different bits, pruned by what is saved."""

import pytest

from cimsearch.cost import estimate
from cimsearch.errors import SpaceError
from cimsearch.evaluate.prune_run import prune_network
from cimsearch.evaluate.pruning import PruneJob
from cimsearch.space.steps import high_channels
from cimsearch.spec.adaptation import Order, Pruning
from cimsearch.spec.study import Statistics
from tests.unit.export.networks import hardware, job
from tests.unit.space.grouped import SMALL_RESNET, parts_of, with_share

CANDIDATE = with_share(SMALL_RESNET, 0.5, weight_bits=2, high_bits=6, activation_bits=4)


def work(order: Order) -> PruneJob:
    of = job(hardware(), blueprint=CANDIDATE.blueprint, parent=CANDIDATE.parent, level="L0")
    how = Pruning(order=order, cost_frac=0.7, tune_epochs=0, images=32)
    return PruneJob(of, how, Statistics())


@pytest.mark.parametrize("order", ["prune_then_quantise", "alternating"])
def test_the_float_network_is_pruned_at_the_price_of_both_groups(order: Order) -> None:
    found = prune_network(work(order))
    pruned, before = found.candidate.blueprint, CANDIDATE.blueprint
    assert found.history[-1].cost_frac <= 0.7
    cost, whole = (estimate(each, hardware()).energy_pj for each in (pruned, before))
    assert cost / whole == pytest.approx(found.history[-1].cost_frac)
    assert parts_of(pruned) == parts_of(before)
    for _, high, joined in parts_of(pruned):
        channels = pruned.node(joined).out_shape[0]
        assert pruned.node(high).out_shape[0] == high_channels(channels, 0.5)
    assert pruned.weights < before.weights
    assert all(node.op != "concat" for node in found.candidate.parent.nodes)


def test_a_quantised_network_in_parts_is_not_pruned() -> None:
    with pytest.raises(SpaceError, match=r"groups of channels with different weight bits"):
        prune_network(work("quantise_then_prune"))
