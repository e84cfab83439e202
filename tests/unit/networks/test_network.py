"""Networks execute their blueprint: shapes, modes, chips, calibration, statistics."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from cimsearch.blueprint import Blueprint, Node
from cimsearch.errors import HardwareError, UsageError
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec

MACRO = load_hardware("macros/yu_cicc_2020").macro
VGG = Space(load_space_spec("vgg_tiny"))
RESNET = Space(load_space_spec("resnet8"))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(space: Space, n: int = 12) -> torch.Tensor:
    return torch.randn(n, *space.spec.input_shape, generator=generator(7))


def ready(space: Space = VGG, seed: int = 1) -> Network:
    network = build(space.sample(seed).blueprint, MACRO, generator=generator())
    network.calibrate(images(space))
    network.eval()
    return network


@pytest.mark.parametrize("space", [VGG, RESNET], ids=["vgg", "resnet"])
@pytest.mark.parametrize("seed", range(3))
def test_any_candidate_runs_and_learns(space: Space, seed: int) -> None:
    network = build(space.sample(seed).blueprint, MACRO, generator=generator())
    x = images(space)
    network.calibrate(x)
    for level in ("L0", "L1"):
        network.set_mode(level)
        logits = network(x)
        assert logits.shape == (12, 10)
        assert logits.dtype == torch.float32
        logits.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())


def test_a_float_resnet_is_that_of_plain_torch() -> None:
    network = build(RESNET.sample(0).parent, None, generator=generator())
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.1, generator=generator(1))
            nn.init.normal_(module.bias, 0, 0.1, generator=generator(2))

    def conv(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = network.module(name).get_parameter("weight")
        y = functional.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)
        normed: torch.Tensor = network.module(f"{name}.norm")(y)
        return normed

    x = images(RESNET)
    h = conv("stem", x).relu()
    for s, stride in ((0, 1), (1, 2), (2, 2)):
        block = f"stage{s}.block0"
        main = conv(f"{block}.conv2", conv(f"{block}.conv1", h, stride).relu())
        h = (main + (conv(f"{block}.shortcut", h, stride) if s else h)).relu()
    classifier = network.module("classifier")
    weight, bias = (classifier.get_parameter(name) for name in ("weight", "bias"))
    wanted = h.mean(dim=(2, 3)) @ weight.flatten(1).T + bias
    assert torch.allclose(network(x), wanted, atol=1e-4)


def test_flatten_is_in_c_order() -> None:
    nodes = (
        Node("pool", "maxpool", ("input",), (3, 4, 4), (3, 2, 2), (2, 2), (2, 2)),
        Node("flat", "flatten", ("pool",), (3, 2, 2), (12, 1, 1)),
    )
    network = build(Blueprint((3, 4, 4), 12, nodes), None, generator=generator())
    x = torch.arange(96, dtype=torch.float32).view(2, 3, 4, 4)
    assert torch.equal(network(x), functional.max_pool2d(x, 2).reshape(2, 12))


def test_an_input_that_is_read_twice_is_not_overwritten() -> None:
    nodes = (
        Node("relu", "relu", ("input",), (3, 1, 1), (3, 1, 1)),
        Node("add", "add", ("relu", "input"), (3, 1, 1), (3, 1, 1)),
    )
    network = build(Blueprint((3, 1, 1), 3, nodes), None, generator=generator())
    x = torch.tensor([[-1.0, 2.0, -3.0]]).view(1, 3, 1, 1)
    assert network(x).tolist() == [[-1.0, 4.0, -3.0]]
    assert x.flatten().tolist() == [-1.0, 2.0, -3.0]


def test_images_are_never_overwritten() -> None:
    nodes = (Node("relu", "relu", ("input",), (3, 1, 1), (3, 1, 1)),)
    network = build(Blueprint((3, 1, 1), 3, nodes), None, generator=generator())
    x = torch.tensor([[-1.0, 2.0, -3.0]]).view(1, 3, 1, 1)
    x = x.contiguous(memory_format=torch.channels_last)
    network(x)
    assert x.flatten().tolist() == [-1.0, 2.0, -3.0]


def test_equal_seeds_build_equal_networks() -> None:
    blueprint = VGG.sample(0).blueprint
    one, two = (build(blueprint, MACRO, generator=generator(3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    x = images(VGG)
    one.calibrate(x)
    two.calibrate(x)
    assert torch.equal(one(x), two(x))


@torch.no_grad()
def test_a_chip_repeats_and_chips_differ() -> None:
    network, x = ready(), images(VGG)
    logits = []
    for chip in (0, 1, 0):
        network.set_chip(chip)
        logits.append(network(x))
    assert torch.equal(logits[0], logits[2])
    assert not torch.equal(logits[0], logits[1])


@torch.no_grad()
def test_ideal_is_the_same_at_every_level_and_chip() -> None:
    network, x = ready(), images(VGG)
    network.set_mode("L1", ideal=True)
    ideal = network(x)
    network.set_chip(4)
    network.set_mode("L0", ideal=True)
    assert torch.equal(ideal, network(x))


@torch.no_grad()
def test_statistics_name_every_quantised_layer() -> None:
    network = ready()
    activity, density = network.statistics()
    layers = [node.name for node in network.blueprint.nodes if node.has_weights]
    assert list(activity) == list(density) == layers
    assert all(0 < share < 1 for share in (*activity.values(), *density.values()))


@torch.no_grad()
def test_norms_are_measured_again() -> None:
    network, x = ready(), images(VGG, 64)
    network.set_mode("L1", ideal=True)
    first = network.module("stage0.layer0")(x)
    recalibrate_norms(network, torch.split(x, 16))
    norm = network.module("stage0.layer0.norm")
    mean = norm.get_buffer("running_mean")
    assert torch.allclose(mean, first.mean(dim=(0, 2, 3)), atol=1e-4)
    assert norm.momentum == 0.1
    assert not network.training


@torch.no_grad()
def test_bfloat16_is_near_float32() -> None:
    network, x = ready(), images(VGG, 64)
    network.set_mode("L1", ideal=True)
    full = network(x)
    network.dtype = torch.bfloat16
    assert float((network(x) - full).std() / full.std()) < 0.1


def test_a_wrong_image_shape_is_named() -> None:
    with pytest.raises(UsageError, match=r"input: found shape \(2, 3, 8, 8\)"):
        ready()(torch.zeros(2, 3, 8, 8))


def test_a_blueprint_whose_shapes_do_not_fit_is_named() -> None:
    blueprint = VGG.sample(0).blueprint
    name = "stage0.layer0"
    wrong = tuple(
        replace(node, out_shape=(node.out_shape[0], 5, 5)) if node.name == name else node
        for node in blueprint.nodes
    )
    network = build(replace(blueprint, nodes=wrong), MACRO, generator=generator())
    with pytest.raises(UsageError, match=r"stage0\.layer0: found shape"):
        network.calibrate(images(VGG))


def test_a_weight_that_is_not_a_number_is_named() -> None:
    network = ready()
    with torch.no_grad():
        network.module("stage0.layer0").get_parameter("weight")[0, 0, 0, 0] = float("nan")
    with pytest.raises(UsageError, match=r"stage0\.layer0\.weight: found NaN or infinity"):
        network.calibrate(images(VGG))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w_bits": 1}, "w_bits: found 1"),
        ({"x_bits": 33}, "x_bits: found 33"),
        ({"adc_bits": 40}, "adc_bits: found 40"),
    ],
)
def test_bits_out_of_range_are_named(changes: dict[str, Any], message: str) -> None:
    blueprint = VGG.sample(0).blueprint
    index = next(i for i, node in enumerate(blueprint.nodes) if node.placement == "cim")
    nodes = list(blueprint.nodes)
    nodes[index] = replace(nodes[index], **changes)
    with pytest.raises(HardwareError, match=f"{nodes[index].name}: {message}"):
        build(replace(blueprint, nodes=tuple(nodes)), MACRO, generator=generator())
