"""Importances: the sum over every parameter of a channel, image by image, against autograd."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cimsearch.networks import Network, build
from cimsearch.space import Candidate
from cimsearch.space.widths import depthwise, widths_of
from cimsearch.spec import load_hardware
from cimsearch.training.gain import taylor
from tests.unit.training.gain_networks import residual, separable

MACRO = load_hardware("macros/yu_cicc_2020").macro


def untrained(candidate: Candidate) -> Network:
    """A float network with gains, biases and statistics as different as after training."""
    generator = torch.Generator().manual_seed(3)
    network = build(candidate.parent, None, generator=generator)
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if "norm" in name and values.dtype == torch.float32:
                values.copy_(torch.rand(values.shape, generator=generator) + 0.2)
    return network.eval()


def batch_for(candidate: Candidate, count: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    images = torch.randn(count, *candidate.parent.input_shape, generator=generator)
    return images, torch.arange(count) % candidate.parent.classes


def summed(network: Network, group: str, channel: int) -> Tensor:
    """Return the sum of gradient times value over the parameters of a channel."""
    blueprint, total = network.blueprint, torch.zeros(())
    given = {"input": ""}
    for node in blueprint.nodes:
        read = given[node.inputs[0]]
        given[node.name] = node.prune_group if node.has_weights else read
        if node.op == "batchnorm" and read == group:
            for name in ("weight", "bias"):
                total = total + product(network, node.name, name)[channel]
        if not node.has_weights:
            continue
        products = product(network, node.name, "weight")
        if node.prune_group == group:
            total = total + products[channel].sum()
        if read == group and node.name not in depthwise(blueprint):
            area = node.in_shape[0] // widths_of(blueprint)[group]
            fan_in, fan_out = products.shape[1], len(products) // node.groups
            of, place = divmod(channel * area, fan_in)
            rows = slice(of * fan_out, (of + 1) * fan_out)
            total = total + products[rows, place : place + area].sum()
    return total


def product(network: Network, layer: str, name: str) -> Tensor:
    parameter = network.module(layer).get_parameter(name)
    assert parameter.grad is not None
    return parameter.grad * parameter.detach()


@pytest.mark.parametrize("candidate", [residual(), separable()], ids=["residual", "separable"])
def test_importance_is_the_mean_square_of_the_sum_over_all_coupled_parameters(
    candidate: Candidate,
) -> None:
    network, (images, classes) = untrained(candidate), batch_for(candidate)
    wanted = {group: torch.zeros(width) for group, width in widths_of(candidate.parent).items()}
    for image, label in zip(images, classes, strict=True):
        network.zero_grad()
        torch.autograd.backward(functional.cross_entropy(network(image[None]), label[None]))
        for group, values in wanted.items():
            for channel in range(len(values)):
                values[channel] += summed(network, group, channel).square() / len(images)
    found = taylor(network, [(images[:3], classes[:3]), (images[3:], classes[3:])])
    assert found.keys() == wanted.keys()
    for group, values in wanted.items():
        assert torch.allclose(found[group].float(), values, rtol=1e-3, atol=1e-9), group
        assert float(values.min()) > 0


def test_a_silent_channel_does_not_matter() -> None:
    network = untrained(residual())
    with torch.no_grad():
        for name in ("weight", "bias"):
            network.module("first.norm").get_parameter(name)[5] = 0.0
    found = taylor(network, [batch_for(residual())])["inner"]
    assert float(found[5]) == 0.0
    assert int((found > 0).sum()) == len(found) - 1


def test_a_network_is_left_as_it_was() -> None:
    network, (images, classes) = untrained(residual()), batch_for(residual())
    before, state = network(images), {k: v.clone() for k, v in network.state_dict().items()}
    taylor(network, [(images, classes)])
    assert torch.equal(network(images), before)
    assert all(torch.equal(v, state[name]) for name, v in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_quantised_network_is_measured_through_its_noise() -> None:
    candidate = residual()
    batch, found = batch_for(candidate, 32), []
    for scale in (0.0, 0.0, 1.0):
        network = build(candidate.blueprint, MACRO, generator=torch.Generator().manual_seed(0))
        network.calibrate(batch[0])
        network.set_mode("L1", noise_scale=scale)
        found.append(taylor(network, [batch]))
    clean, again, noisy = found
    for group, values in clean.items():
        assert torch.equal(values, again[group])
        assert not torch.equal(values, noisy[group])
        assert bool(torch.isfinite(noisy[group]).all())
