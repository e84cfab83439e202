"""Networks of hard sigmoids: what they compute, and that they train."""

import pytest
import torch
from torch.nn import functional

from cimsearch.networks import Network, build
from cimsearch.spec import load_hardware
from cimsearch.spec.activation import Activation
from tests.unit.space.activations import PLAIN, searching

MACRO = load_hardware("macros/yu_cicc_2020").macro


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images() -> torch.Tensor:
    return torch.randn(6, 1, 8, 8, generator=generator(1))


def network(activation: Activation, *, floating: bool) -> Network:
    candidate = searching(PLAIN["vgg"], activation).sample(1)
    if floating:
        return build(candidate.parent, None, generator=generator())
    return build(candidate.blueprint, MACRO, generator=generator())


@pytest.mark.parametrize("activation", ["relu6", "hard_sigmoid"])
def test_every_activation_is_torch_s(activation: Activation) -> None:
    found = network(activation, floating=True).eval()
    theirs = functional.relu6 if activation == "relu6" else functional.hardsigmoid
    x = 8 * images()
    for node in found.blueprint.nodes:
        if node.has_weights:
            layer = found.module(node.name)
            weight, padding = layer.get_parameter("weight"), node.kernel[0] // 2
            x = functional.conv2d(x, weight, padding=padding)
            x = x if node.op == "conv" else x + layer.get_parameter("bias")[:, None, None]
        elif node.op == "batchnorm":
            x = found.module(node.name)(x)
        elif node.op == "maxpool":
            x = functional.max_pool2d(x, node.kernel)
        elif node.op == "avgpool":
            x = functional.avg_pool2d(x, node.kernel)
        else:
            x = theirs(x)
    assert torch.allclose(found(8 * images()), x.flatten(1), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_quantised_network_of_hard_sigmoids_learns(dtype: torch.dtype) -> None:
    found = network("hard_sigmoid", floating=False)
    found.dtype = dtype
    found.calibrate(images())
    for level in ("L0", "L1"):
        found.zero_grad()
        found.set_mode(level)
        torch.autograd.backward(found(images()).square().sum())
        for name, parameter in found.named_parameters():
            assert parameter.grad is not None, name
            assert bool(parameter.grad.isfinite().all()), name
            assert bool(parameter.grad.any()), name


def test_inputs_behind_hard_sigmoids_have_no_sign_and_fill_their_codes() -> None:
    found = network("hard_sigmoid", floating=False)
    found.calibrate(images())
    searched = [layer for layer in found.cim_layers() if not layer.numerics.x_signed]
    assert searched
    for layer in searched:
        low, high = layer.numerics.x_limits
        assert low == 0
        # Values end at 1: codes are not spent on what lies far beyond.
        assert 0.4 < layer.x_scale * high < 1.6
