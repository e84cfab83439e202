"""Pruning and quantisation in three orders: each keeps its target, its widths and its budget."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from cimsearch.spec import load_hardware
from cimsearch.training.gain import Target
from cimsearch.training.gain.orders import (
    Joined,
    Joint,
    alternating,
    prune_then_quantise,
    quantise_then_prune,
)
from tests.unit.training.gain_networks import residual, stream, trained_parent, tuning

HARDWARE = load_hardware("macros/yu_cicc_2020")
JOINT = Joint(residual(), HARDWARE, Target(0.7, exchange=False), tuning(), epochs=2, level="L0")


ORDERS: dict[str, Callable[..., Joined]] = {
    "prune_then_quantise": prune_then_quantise,
    "quantise_then_prune": quantise_then_prune,
    "alternating": alternating,
}


@pytest.fixture(scope="module", params=ORDERS)
def joined(request: pytest.FixtureRequest) -> Joined:
    return ORDERS[request.param](trained_parent(), JOINT, generator=stream(1))


def test_an_order_gives_a_trained_quantised_network_within_the_target(joined: Joined) -> None:
    first, last = joined.pruned[0].history[0], joined.pruned[-1].history[-1]
    assert joined.energy_pj == last.energy_pj <= 0.7 * first.energy_pj * (1 + 1e-9)
    assert joined.network.blueprint == joined.pruned[-1].candidate.blueprint
    assert {layer.mode.level for layer in joined.network.cim_layers()} == {"L0"}
    assert joined.accuracy > 0.5


def test_turns_go_on_from_one_another(joined: Joined) -> None:
    assert len(joined.pruned) == (2 if joined.order == "alternating" else 1)
    for before, after in pairwise(joined.pruned):
        assert after.history[0].energy_pj == pytest.approx(before.history[-1].energy_pj)
        assert after.history[-1].energy_pj <= before.history[-1].energy_pj


def test_quantising_first_measures_through_the_hardware(joined: Joined) -> None:
    through = bool(list(joined.pruned[0].tuned.cim_layers()))
    assert through == (joined.order == "quantise_then_prune")
