"""Pruning of networks of hard sigmoids: a channel that is gone was 1 / 2 at rest, not 0."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.blueprint import Blueprint
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.space import Candidate
from cimsearch.space.resting import resting
from cimsearch.space.widths import depthwise, multiples_of, widths_of, with_widths
from cimsearch.spec import load_hardware
from cimsearch.spec.data import DigitsData
from cimsearch.spec.recipe import Recipe
from cimsearch.training.data import normalise
from cimsearch.training.gain import Target, prune, taylor
from cimsearch.training.gain.channels import Channels
from cimsearch.training.gain.whole import Maker
from cimsearch.training.morph.widen import widen
from cimsearch.training.prune import importance, inherit, kept_channels
from cimsearch.training.recipe import train_float
from tests.unit.space.activations import hard
from tests.unit.training.gain_networks import (
    residual,
    separable,
    stream,
    tuning,
)

DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
RECIPE = Recipe(batch=32, parent_epochs=8, parent_lr=1.0, qat_lr=0.3)
HARDWARE = load_hardware("macros/yu_cicc_2020")
CANDIDATES = {"residual": hard(residual()), "separable": hard(separable())}
named = pytest.mark.parametrize("name", CANDIDATES)


def drawn(candidate: Candidate) -> Network:
    """A float network with gains, biases and statistics as different as after training."""
    network = build(candidate.parent, None, generator=stream(3))
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if "norm" in name and values.dtype == torch.float32:
                values.copy_(torch.rand(values.shape, generator=stream(len(name))) + 0.2)
    return network.eval()


def images(candidate: Candidate, count: int = 5) -> Tensor:
    return torch.randn(count, *candidate.parent.input_shape, generator=stream(4))


def halved(candidate: Candidate) -> dict[str, int]:
    parts = multiples_of(candidate.parent)
    widths = widths_of(candidate.parent).items()
    return {group: width // 2 // parts[group] * parts[group] for group, width in widths}


@torch.no_grad()
def silenced(network: Network, kept: dict[str, Tensor]) -> None:
    """Set to zero all that makes the channels that are not kept."""
    for node in network.blueprint.nodes:
        if node.op == "batchnorm":
            dropped = torch.ones(node.out_shape[0], dtype=torch.bool)
            dropped[kept[node.name]] = False
            for name in ("weight", "bias"):
                network.module(node.name).get_parameter(name)[dropped] = 0


@named
@torch.no_grad()
def test_a_classifier_takes_what_channels_at_rest_give_into_its_bias(name: str) -> None:
    """With statistics measured again, a pruned network is the parent with silenced filters.

    A 1 x 1 convolution reads nothing of the padding, where no channel is at rest.
    """
    candidate = hard(pointwise()) if name == "residual" else CANDIDATES[name]
    parent = drawn(candidate)
    narrow = build(with_widths(candidate.parent, halved(candidate)), None, generator=stream())
    inherit(narrow, parent)
    kept = kept_channels(parent, narrow.blueprint)
    x = images(candidate, 64)
    silenced(parent, kept)
    weight = parent.module("classifier").get_parameter("weight").flatten(1)
    gone = torch.ones(weight.shape[1], dtype=torch.bool)
    gone[kept[narrow.blueprint.node("classifier").inputs[0]]] = False
    assert bool(gone.any())
    rest = parent.module("classifier").get_parameter("bias") + 0.5 * weight[:, gone].sum(dim=1)
    assert torch.allclose(narrow.module("classifier").get_parameter("bias"), rest, atol=1e-6)
    if name == "residual":
        for network in (parent, narrow):
            recalibrate_norms(network, [x])
        assert torch.allclose(narrow.eval()(x), parent.eval()(x), atol=1e-4)


def pointwise() -> Candidate:
    """The residual network with windows of 1 x 1."""

    def narrowed(blueprint: Blueprint) -> Blueprint:
        nodes = (replace(n, kernel=(1, 1)) if n.op == "conv" else n for n in blueprint.nodes)
        return replace(blueprint, nodes=tuple(nodes))

    found = residual()
    return replace(found, blueprint=narrowed(found.blueprint), parent=narrowed(found.parent))


@named
def test_importance_is_the_slope_of_what_goes_beyond_rest(name: str) -> None:
    """Against autograd: filters, gains and biases, and what is read of a channel beyond rest."""
    candidate = CANDIDATES[name]
    network, x = drawn(candidate), images(candidate)
    classes = torch.arange(len(x)) % candidate.parent.classes
    wanted = {group: torch.zeros(width) for group, width in widths_of(candidate.parent).items()}
    for image, label in zip(x, classes, strict=True):
        for group, slopes in slopes_of(network, image[None], label[None]).items():
            wanted[group] += slopes.square() / len(x)
    found = taylor(network, [(x, classes)])
    for group, values in wanted.items():
        assert torch.allclose(found[group].float(), values, rtol=1e-3, atol=1e-9), group
        assert float(values.min()) > 0


def slopes_of(network: Network, image: Tensor, label: Tensor) -> dict[str, Tensor]:
    """Return the slope of the loss of an image as channels go to rest: {group: (channels,)}."""
    blueprint, rest, reads = network.blueprint, resting(network.blueprint), dict[str, Tensor]()
    given, handles = {"input": ""}, []

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
            # A copy for each reader: its gradient is of what goes through this one.
            reads[name] = inputs[0].clone()
            reads[name].retain_grad()
            return reads[name]

        return hook

    for node in blueprint.nodes:
        read = given[node.inputs[0]]
        given[node.name] = node.prune_group if node.has_weights else read
        if node.has_weights and read and node.name not in depthwise(blueprint):
            module = network.module(node.name)
            handles.append(module.register_forward_pre_hook(keep(node.name)))
    network.zero_grad()
    torch.autograd.backward(functional.cross_entropy(network(image), label))
    for handle in handles:
        handle.remove()
    found = {group: torch.zeros(width) for group, width in widths_of(blueprint).items()}
    for node in blueprint.nodes:
        if node.name in reads:
            group, value = given[node.inputs[0]], reads[node.name]
            assert value.grad is not None
            slopes = value.grad * (value.detach() - rest[node.inputs[0]])
            found[group] += slopes.view(len(found[group]), -1).sum(dim=1)
        if given[node.name] and (node.has_weights or node.op == "batchnorm"):
            for _, parameter in network.module(node.name).named_parameters():
                assert parameter.grad is not None
                slopes = (parameter.grad * parameter.detach()).flatten(1 - (parameter.dim() == 1))
                found[given[node.name]] += slopes if slopes.dim() == 1 else slopes.sum(dim=1)
    return found


def test_a_silent_channel_does_not_matter() -> None:
    candidate = CANDIDATES["residual"]
    network, x = drawn(candidate), images(candidate)
    with torch.no_grad():
        for name in ("weight", "bias"):
            network.module("first.norm").get_parameter(name)[5] = 0.0
    found = taylor(network, [(x, torch.arange(len(x)))])["inner"]
    assert float(found[5]) == 0.0
    assert int((found > 0).sum()) == len(found) - 1


def test_put_back_and_taken_again_the_bias_is_as_it_was_learned() -> None:
    candidate = CANDIDATES["separable"]
    whole = drawn(candidate)
    maker = Maker(whole, candidate, HARDWARE.macro, tuning().training, stream())
    channels = Channels.all_of(candidate.parent).changed({"wide": 4, "last": 2})
    narrow = maker.floating(channels)
    with torch.no_grad():
        for parameter in narrow.parameters():
            parameter.add_(0.125)
    learned = {name: values.clone() for name, values in narrow.state_dict().items()}
    for _ in range(3):
        maker.put_back(narrow, channels)
        narrow = maker.floating(channels)
        for name, values in narrow.state_dict().items():
            assert torch.allclose(values, learned[name], atol=1e-6), name
    # What comes back is what the bias stood for: at rest nothing changes.
    fewer, more = learned, maker.floating(Channels.all_of(candidate.parent)).state_dict()
    name = "operations.classifier.bias"
    assert not torch.equal(fewer[name], more[name])


def test_widened_it_computes_the_same() -> None:
    candidate = CANDIDATES["residual"]
    narrow = build(with_widths(candidate.parent, halved(candidate)), None, generator=stream(3))
    wide = build(candidate.parent, None, generator=stream(4))
    widen(wide, narrow.eval(), importance(narrow), noise_frac=0.0, generator=stream())
    x = images(candidate)
    assert torch.allclose(wide.eval()(x), narrow(x), atol=1e-4)


@pytest.fixture(scope="module")
def parent() -> Network:
    """The residual network, trained: slopes of 1 / 6 need a higher rate than ReLUs do."""
    network, data = build(CANDIDATES["residual"].parent, None, generator=stream()), tuning()
    train_float(network, data.training, RECIPE, generator=stream())
    return network.eval()


def test_it_is_pruned_to_a_target(parent: Network) -> None:
    candidate, tuned = CANDIDATES["residual"], replace(tuning(), recipe=RECIPE)
    found = prune(parent, candidate, HARDWARE, Target(0.7), tuned, generator=stream(1))
    assert found.history[-1].cost_frac <= 0.7
    assert found.accuracy > 0.6


def test_a_pruned_network_knows_more_with_what_was_at_rest(parent: Network) -> None:
    candidate = CANDIDATES["residual"]
    widths = {group: width * 3 // 4 for group, width in widths_of(candidate.parent).items()}
    narrow = build(with_widths(candidate.parent, widths), None, generator=stream())
    inherit(narrow, parent)
    recalibrate_norms(narrow, [tuning().training.sample(512, stream())])
    with_rest = accuracy_of(narrow)
    bias = narrow.module("classifier").get_parameter("bias")
    with torch.no_grad():
        bias.copy_(parent.module("classifier").get_parameter("bias"))
    assert with_rest > accuracy_of(narrow) + 0.1


@torch.no_grad()
def accuracy_of(network: Network) -> float:
    held = tuning().held_out
    said = network(normalise(held.x, DIGITS)).argmax(dim=1)
    return float((said == torch.as_tensor(held.y)).float().mean())
