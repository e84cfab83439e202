"""Which row groups hold no weights in a network that inherits its weights."""

from dataclasses import replace

import pytest
import torch

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cim import CimLayer
from cimsearch.cim.skipping import least_row_groups
from cimsearch.cost import estimate
from cimsearch.errors import HardwareError
from cimsearch.evaluate.prune_run import prune_network
from cimsearch.evaluate.pruning import PruneJob
from cimsearch.networks import Network, build
from cimsearch.space.widths import with_widths
from cimsearch.spec.adaptation import Order, Pruning
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics
from cimsearch.training.channel_groups import put_together
from cimsearch.training.checkpoint import State, from_bytes, to_bytes
from cimsearch.training.prune import inherit
from tests.unit.export.networks import hardware, job
from tests.unit.space.activations import with_hard_sigmoids
from tests.unit.space.grouped import SMALL_RESNET, parts_of, with_share
from tests.unit.training.gain_networks import residual

ARRAY = {"rows": 32, "cols": 32, "active_rows": 12, "row_group_skipping": True}
WHOLE = residual()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def skipping() -> Hardware:
    return hardware(array=ARRAY)


def sparse(blueprint: Blueprint, share: float = 0.5) -> Blueprint:
    nodes = [
        replace(node, row_sparsity=share) if node.placement == "cim" else node
        for node in blueprint.nodes
    ]
    return replace(blueprint, nodes=tuple(nodes))


def parent_of(blueprint: Blueprint) -> Network:
    return build(blueprint, None, generator=generator(1)).eval()


def inherited(blueprint: Blueprint, parent: Network) -> Network:
    network = build(blueprint, skipping().macro, generator=generator(2))
    inherit(network, parent)
    return network


def layers(network: Network) -> dict[str, CimLayer]:
    found = {layer.name: layer for layer in network.cim_layers()}
    return {name: layer for name, layer in found.items() if layer.skipped is not None}


def test_what_is_skipped_are_the_least_weights_of_the_parent() -> None:
    parent = parent_of(WHOLE.parent)
    network = inherited(sparse(WHOLE.blueprint), parent)
    assert set(layers(network)) == {"first", "second", "last"}
    for name, layer in layers(network).items():
        weight = parent.module(name).get_parameter("weight").detach()
        chosen = least_row_groups(weight, layer.geometry, 500_000)
        assert layer.skipped is not None
        assert torch.equal(layer.skipped, chosen)
        wanted = weight.flatten(1).clone()
        for start, stop in layer.geometry.skipped:
            wanted[:, start:stop] = 0
        assert torch.equal(layer.weight.detach().flatten(1), wanted)


def test_a_pruned_network_chooses_among_the_weights_that_are_left() -> None:
    parent = parent_of(WHOLE.parent)
    narrow = sparse(with_widths(WHOLE.blueprint, {"wide": 6, "inner": 7}))
    dense, network = (inherited(sparse(narrow, share), parent) for share in (0.0, 0.5))
    for name, layer in layers(network).items():
        full = dense.module(name).get_parameter("weight").detach()
        assert layer.skipped is not None
        assert torch.equal(layer.skipped, least_row_groups(full, layer.geometry, 500_000))


def test_a_network_that_goes_on_from_another_has_its_row_groups() -> None:
    """A checkpoint has them; what inherits from the trained network chooses the zeros again."""
    network = inherited(sparse(WHOLE.blueprint), parent_of(WHOLE.parent))
    state = State(0, network.state_dict(), {}, generator().get_state())
    weights = from_bytes(to_bytes(state, "key")).weights
    resumed = build(network.blueprint, skipping().macro, generator=generator(7))
    resumed.load_state_dict(weights)
    changed = inherited(network.blueprint, network)
    for name, layer in layers(network).items():
        for other in (resumed, changed):
            again = layers(other)[name]
            assert again.geometry == layer.geometry
            assert torch.equal(again.weight, layer.weight)


def test_both_parts_of_a_layer_skip_the_same_row_groups() -> None:
    candidate = with_share(SMALL_RESNET, 0.25, weight_bits=2, high_bits=6)
    parent = parent_of(candidate.parent)
    network = inherited(sparse(candidate.blueprint), parent)
    whole = put_together(network)
    assert len(layers(network)) > len(parts_of(network.blueprint))
    for low, high, joined in parts_of(network.blueprint):
        first, second = network.module(low), network.module(high)
        assert isinstance(first, CimLayer)
        assert isinstance(second, CimLayer)
        assert first.geometry.skipped == second.geometry.skipped
        order = network.module(joined).get_buffer("order")
        both = torch.cat((first.weight, second.weight)).detach()[order]
        assert torch.equal(whole.module(low).get_parameter("weight"), both)


def test_hardware_that_cannot_skip_is_refused_by_the_layers_name() -> None:
    with pytest.raises(HardwareError, match=r"first: row sparsity: found 0\.5; allowed is 0 but"):
        build(sparse(WHOLE.blueprint), hardware().macro, generator=generator())
    nodes = [
        replace(node, row_sparsity=0.5) if node.name == "stem" else node
        for node in WHOLE.blueprint.nodes
    ]
    digital = replace(WHOLE.blueprint, nodes=tuple(nodes))
    with pytest.raises(HardwareError, match=r"stem: row sparsity: found 0\.5; allowed is 0 but"):
        build(digital, skipping().macro, generator=generator())


@pytest.mark.parametrize("order", ["prune_then_quantise", "quantise_then_prune", "alternating"])
def test_networks_with_empty_row_groups_are_pruned_at_their_price(order: Order) -> None:
    blueprint = sparse(WHOLE.blueprint)
    of = job(skipping(), blueprint=blueprint, parent=WHOLE.parent, level="L0")
    how = Pruning(order=order, cost_frac=0.8, tune_epochs=0, images=32)
    found = prune_network(PruneJob(of, how, Statistics()))
    pruned = found.candidate.blueprint
    assert found.history[-1].cost_frac <= 0.8
    cost, whole = (estimate(each, skipping()).energy_pj for each in (pruned, blueprint))
    assert cost / whole == pytest.approx(found.history[-1].cost_frac)
    assert {n.row_sparsity for n in pruned.nodes if n.placement == "cim"} == {0.5}
    assert pruned.weights < blueprint.weights


@torch.no_grad()
def test_a_linear_layer_keeps_in_its_bias_what_rows_gave_at_rest() -> None:
    """Behind hard sigmoids, which are 1 / 2 at rest; behind ReLUs nothing is lost."""
    shape, hidden = (8, 4, 4), (16, 1, 1)
    nodes = (
        Node("stem", "conv", ("input",), (1, 4, 4), shape, kernel=(3, 3), placement="digital"),
        Node("norm", "batchnorm", ("stem",), shape, shape),
        Node("act", "relu", ("norm",), shape, shape),
        Node("flat", "flatten", ("act",), shape, (128, 1, 1)),
        Node(
            "wide", "linear", ("flat",), (128, 1, 1), hidden, placement="cim", w_bits=4, x_bits=4
        ),
        Node("last", "linear", ("wide",), hidden, (10, 1, 1), placement="digital"),
    )
    relus = Blueprint((1, 4, 4), 10, nodes)
    for blueprint, rest in ((relus, 0.0), (with_hard_sigmoids(relus), 0.5)):
        floating = tuple(
            replace(node, placement="digital", w_bits=0, x_bits=0) if node.has_weights else node
            for node in blueprint.nodes
        )
        parent = parent_of(replace(blueprint, nodes=floating))
        network = inherited(sparse(blueprint), parent)
        whole, left = (n.module("wide").get_parameter("weight") for n in (parent, network))
        assert 0 < int((left != 0).sum()) < whole.numel()
        gone = (whole - left).flatten(1).sum(dim=1)
        bias = parent.module("wide").get_parameter("bias") + rest * gone
        assert torch.allclose(network.module("wide").get_parameter("bias"), bias, atol=1e-6)
        # Of a network that has skipped them already nothing goes again.
        again = inherited(sparse(blueprint), network)
        assert torch.equal(
            again.module("wide").get_parameter("bias"),
            network.module("wide").get_parameter("bias"),
        )
