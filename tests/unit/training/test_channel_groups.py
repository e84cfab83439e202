"""Which channels get more bits, and that the parts of a layer are the layer."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cim import CimLayer
from cimsearch.networks import Network, build
from cimsearch.networks.operations import Joined
from cimsearch.space import Candidate, Space
from cimsearch.space.steps import high_channels
from cimsearch.spec import load_hardware
from cimsearch.training.channel_groups import (
    channels_of_more_bits,
    layers_in_parts,
    put_together,
    sensitivities,
)
from cimsearch.training.prune import inherit, kept_channels
from tests.unit.space.grouped import SMALL_RESNET, SMALL_VGG, parts_of, with_share
from tests.unit.training.test_prune import generator, trained

MACRO = load_hardware("macros/yu_cicc_2020").macro
SPACES = pytest.mark.parametrize("space", [SMALL_VGG, SMALL_RESNET], ids=["vgg", "resnet"])
LAYER = "stage1.block0.conv2"


def images(candidate: Candidate, count: int = 4) -> Tensor:
    return torch.randn(count, *candidate.parent.input_shape, generator=generator(1))


def floating(blueprint: Blueprint) -> Blueprint:
    """Return the network with the parts of its layers, all of them float."""

    def plain(node: Node) -> Node:
        bare = replace(node, w_bits=0, x_bits=0, adc_bits=0)
        return replace(bare, placement="digital") if node.has_weights else bare

    return replace(blueprint, nodes=tuple(map(plain, blueprint.nodes)))


def quantised(candidate: Candidate, parent: Network) -> Network:
    network = inherited(candidate, parent)
    network.calibrate(images(candidate, 16))
    return network


def inherited(candidate: Candidate, parent: Network) -> Network:
    network = build(candidate.blueprint, MACRO, generator=generator(2))
    inherit(network, parent)
    return network


@SPACES
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_float_network_in_parts_is_its_parent(space: Space, share: float) -> None:
    candidate = with_share(space, share)
    parent = trained(candidate.parent)
    network = build(floating(candidate.blueprint), None, generator=generator(9))
    inherit(network, parent)
    x = images(candidate)
    assert torch.allclose(network.eval()(x), parent(x), rtol=1e-4, atol=1e-5)


def test_channels_of_parts_are_in_the_order_of_the_parent() -> None:
    """With bits, too, so that which channels are in which part is no accident."""
    candidate = with_share(SMALL_RESNET, 0.25, high_bits=8, weight_bits=2)
    parent = trained(candidate.parent)
    network = quantised(candidate, parent)
    kept = kept_channels(parent, candidate.blueprint)
    x = images(candidate)
    for low, high, joined in parts_of(candidate.blueprint):
        both, join = torch.cat((kept[low], kept[high])), network.module(joined)
        assert isinstance(join, Joined)
        assert torch.equal(both[join.order], kept[joined])
        assert kept[joined].tolist() == sorted(kept[joined].tolist())
        assert len(kept[high]) == high_channels(len(kept[joined]), 0.25)
        weights = tuple(network.module(name).get_parameter("weight") for name in (low, high))
        whole = parent.module(low).get_parameter("weight")
        assert torch.equal(torch.cat(weights)[join.order], whole)
    assert bool(network.eval()(x).isfinite().all())
    orders = [
        network.module(name).get_buffer("order") for *_, name in parts_of(candidate.blueprint)
    ]
    assert any(not torch.equal(order, torch.arange(len(order))) for order in orders)


def error(weight: Tensor, bits: int) -> Tensor:
    """Return the squared error of filters at ``bits``, each at the best of 20 shared clips."""
    limit = int(2 ** (bits - 1)) - 1
    found: list[Tensor] = []
    for part in range(20, 0, -1):
        step = weight.abs().flatten(1).amax(1).view(-1, 1, 1, 1) * (part / 20 / limit)
        back = (weight / step).round().clamp(-limit, limit) * step
        found.append((back - weight).double().square().sum((1, 2, 3)))
    return min(found, key=lambda each: float(each.sum()))


def test_the_channels_that_fewer_bits_disturb_most_get_more() -> None:
    candidate = with_share(SMALL_RESNET, 0.25, high_bits=8, weight_bits=2)
    parent = trained(candidate.parent)
    norm = parent.module(f"{LAYER}.norm")
    slope = norm.get_parameter("weight").detach() / (norm.get_buffer("running_var") + 1e-5).sqrt()
    weight = parent.module(LAYER).get_parameter("weight").detach()
    harm = (error(weight, 2) - error(weight, 8)) * slope.double().square()
    kept = kept_channels(parent, candidate.blueprint)
    low, high = kept[LAYER], kept[f"{LAYER}.high"]
    assert float(harm[high].min()) >= float(harm[low].max())
    assert sorted([*low.tolist(), *high.tolist()]) == list(range(len(weight)))
    found = sensitivities(weight, slope, layers_in_parts(candidate.blueprint)[LAYER])
    assert torch.allclose(found, harm, rtol=1e-4)


@SPACES
def test_what_is_pruned_is_the_same_with_groups_and_without(space: Space) -> None:
    halved = {"prune_ratio": max(space.spec.genes.prune_ratio)}
    grouped, whole = (with_share(space, share, **halved) for share in (0.25, 0.0))
    parent = trained(grouped.parent)
    found, wanted = (kept_channels(parent, each.blueprint) for each in (grouped, whole))
    for low, high, joined in parts_of(grouped.blueprint):
        assert torch.equal(found[joined], wanted[low])
        both = torch.cat((found[low], found[high])).sort().values
        assert torch.equal(both, wanted[low])
    assert torch.equal(found["classifier"], wanted["classifier"])


def test_a_share_of_1_computes_what_the_uniform_network_computes() -> None:
    whole = with_share(SMALL_VGG, 1.0, high_bits=8, activation_bits=4)
    uniform = SMALL_VGG.uniform(weight_bits=8, activation_bits=4)
    parent = trained(whole.parent)
    x = images(whole)
    found, wanted = (quantised(each, parent).eval() for each in (whole, uniform))
    for level in ("L0", "L1", "L2"):
        for network in (found, wanted):
            network.set_mode(level)
            network.set_chip(0)
        assert torch.equal(found(x), wanted(x))


def test_more_channels_of_more_bits_are_nearer_to_the_parent() -> None:
    errors = []
    for share in (0.0, 0.25, 0.5, 1.0):
        candidate = with_share(SMALL_VGG, share, high_bits=8, weight_bits=2, activation_bits=8)
        parent = trained(candidate.parent)
        x, network = images(candidate, 64), quantised(candidate, parent)
        network.set_mode("L1", ideal=True)
        with torch.no_grad():
            errors.append(float((network.eval()(x) - parent(x)).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1.5 * errors[-1]


def test_both_parts_have_the_same_inputs_while_steps_are_learned() -> None:
    candidate = with_share(SMALL_VGG, 0.25, high_bits=8, weight_bits=2, activation_bits=4)
    network = quantised(candidate, trained(candidate.parent))
    for layer in network.cim_layers():
        layer.learn_steps()
    low, high = (network.module(f"stage1.layer0{end}") for end in ("", ".high"))
    assert isinstance(low, CimLayer)
    assert isinstance(high, CimLayer)
    assert low.x_scale == high.x_scale > 0
    names = dict(network.named_parameters())
    assert "operations.stage1/layer0.learned_steps.x" in names
    assert "operations.stage1/layer0/high.learned_steps.x" not in names
    network.train()
    x = images(candidate, 8)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    before = low.x_scale
    network(x).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in names.values())
    optimizer.step()
    for layer in (low, high):
        layer.settle()
    assert low.x_scale == high.x_scale != before


def test_the_order_is_kept_with_the_weights() -> None:
    candidate = with_share(SMALL_RESNET, 0.25, high_bits=8, weight_bits=2)
    network = quantised(candidate, trained(candidate.parent))
    again = build(candidate.blueprint, MACRO, generator=generator(5))
    again.load_state_dict(network.state_dict())
    for *_, joined in parts_of(candidate.blueprint):
        orders = [each.module(joined).get_buffer("order") for each in (again, network)]
        assert torch.equal(*orders)


@SPACES
def test_a_trained_network_in_parts_is_inherited_as_one(space: Space) -> None:
    """Of a network that is changed in its bits alone every weight and every group stays."""
    bits = {"high_bits": 8, "weight_bits": 2, "activation_bits": 4}
    candidate, other = (with_share(space, 0.25, **bits | {"activation_bits": n}) for n in (4, 8))
    network = quantised(candidate, trained(candidate.parent))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator(8)))
    again = build(other.blueprint, MACRO, generator=generator(5))
    inherit(again, network)
    wanted = network.state_dict()
    for name, values in again.state_dict().items():
        assert torch.equal(values, wanted[name]), name
    # Halves hold the quarters.
    half = build(with_share(space, 0.5, **bits).blueprint, MACRO, generator=generator(5))
    inherit(half, network)
    before, after = (channels_of_more_bits(each) for each in (network, half))
    for layer, chosen in before.items():
        assert bool((chosen <= after[layer]).all())
        assert int(after[layer].sum()) > int(chosen.sum())


@SPACES
def test_parts_put_together_are_the_float_parent(space: Space) -> None:
    candidate = with_share(space, 0.25, high_bits=8, weight_bits=2)
    parent = trained(candidate.parent)
    whole = put_together(inherited(candidate, parent))
    x = images(candidate)
    assert torch.equal(whole(x), parent(x))
    assert put_together(parent) is parent
