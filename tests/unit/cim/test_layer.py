"""A layer: gradients, chips, modes."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional

from cimsearch.cim import CimLayer, LayerNumerics, Mode
from cimsearch.errors import UsageError
from tests.unit.cim.builders import analog, calibrate, conv_node, generator, layer, linear_node

NUMERICS = analog("twos_complement", cell_sigma_frac=0.05, adc_sigma_frac=0.01)


def ready(numerics: LayerNumerics = NUMERICS, **changes: Any) -> tuple[CimLayer, torch.Tensor]:
    """A calibrated convolution and its input."""
    x = torch.rand(8, 12, 6, 6, generator=generator(5)).contiguous(
        memory_format=torch.channels_last
    )
    built = layer(conv_node(**changes), numerics)
    calibrate(built, x)
    return built, x


@pytest.mark.parametrize("level", ["L0", "L1"])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_gradient_is_that_of_a_plain_convolution_of_what_was_quantised(
    level: Any, stride: int
) -> None:
    built, x = ready(stride=(stride, stride))
    built.mode = Mode(level)
    x = (1.5 * x - 0.2).requires_grad_()
    grad = torch.randn_like(built(x))
    torch.autograd.backward(built(x), grad)

    product, w, inside = built.quantised(x.detach(), built.weight.detach())
    x_hat = (product.x * built.x_scale).requires_grad_()
    w_hat = w.clone().requires_grad_()
    torch.autograd.backward(functional.conv2d(x_hat, w_hat, stride=stride, padding=1), grad)
    _, highest = built.numerics.x_limits
    kept = (x.detach() > -0.5 * built.x_scale) & (x.detach() < (highest + 0.5) * built.x_scale)
    assert 0 < int(kept.sum()) < kept.numel()
    assert x.grad is not None
    assert x_hat.grad is not None
    assert w_hat.grad is not None
    assert built.weight.grad is not None
    assert torch.allclose(x.grad, x_hat.grad * kept, atol=1e-5)
    assert torch.allclose(built.weight.grad, w_hat.grad * inside, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("level", ["L0", "L1"])
def test_without_noise_and_with_an_ideal_converter_quantisation_alone_is_left(level: Any) -> None:
    built, x = ready()
    built.mode = Mode(level, ideal=True)
    product, w, _ = built.quantised(x, built.weight)
    wanted = functional.conv2d(product.x * built.x_scale, w, padding=1)
    assert torch.allclose(built(x), wanted, atol=1e-4)


def test_l0_without_noise_is_ideal() -> None:
    built, x = ready()
    built.mode = Mode("L0", noise_scale=0.0)
    quiet = built(x)
    built.mode = Mode("L0", ideal=True)
    assert torch.equal(quiet, built(x))


def test_l1_without_noise_repeats_and_converts() -> None:
    built, x = ready(analog("twos_complement"))
    first = built(x)
    assert torch.equal(first, built(x))
    built.mode = Mode(ideal=True)
    assert not torch.equal(first, built(x))


def test_a_chip_is_the_same_for_every_batch_and_batch_size() -> None:
    built, x = ready(replace(NUMERICS, adc_sigma_frac=0.0))
    built.set_chip(3)
    whole = built(x)
    assert torch.equal(whole, built(x))
    parts = torch.cat([built(part) for part in (x[:1], x[1:5], x[5:])])
    assert torch.allclose(whole, parts, atol=1e-5)


def test_chips_differ_and_are_common_to_all_layers_of_a_name() -> None:
    built, x = ready(replace(NUMERICS, adc_sigma_frac=0.0))
    other, _ = ready(replace(NUMERICS, adc_sigma_frac=0.0))
    outputs = []
    for one, chip in ((built, 0), (built, 1), (other, 0)):
        one.set_chip(chip)
        outputs.append(one(x))
    assert torch.equal(outputs[0], outputs[2])
    assert not torch.equal(outputs[0], outputs[1])


def test_without_a_chip_every_call_is_a_new_one() -> None:
    built, x = ready(replace(NUMERICS, adc_sigma_frac=0.0))
    assert not torch.equal(built(x), built(x))


def test_cells_err_by_their_spread() -> None:
    numerics = replace(NUMERICS, adc_sigma_frac=0.0, adc_bits=16)
    built, x = ready(numerics)
    ideal, errors = [], []
    for chip in range(200):
        built.set_chip(chip)
        built.mode = Mode()
        errors.append(built(x[:1]))
        built.mode = Mode(ideal=True)
        ideal.append(built(x[:1]))
    spread = (torch.stack(errors) - torch.stack(ideal))[:, 0, :, 3, 3].std(dim=0)
    product, _, _ = built.quantised(x[:1], built.weight)
    window = product.x[0, :, 2:5, 2:5].square().sum().sqrt()
    wanted = numerics.cell_sigma * window * product.scale.flatten()
    assert torch.allclose(spread, wanted, rtol=0.2)


@torch.no_grad()
def test_noise_scales() -> None:
    built, x = ready()
    built.mode = Mode(ideal=True)
    ideal = built(x)
    spread = []
    for scale in (0.5, 1.0, 2.0):
        built.mode = Mode("L0", noise_scale=scale)
        spread.append(float((built(x) - ideal).std()))
    assert spread[1] == pytest.approx(2 * spread[0], rel=0.15)
    assert spread[2] == pytest.approx(2 * spread[1], rel=0.15)


def test_a_digital_layer_is_exact_at_every_level() -> None:
    built, x = ready(LayerNumerics(4, 4))
    outputs = []
    for mode in (Mode("L0"), Mode("L1"), Mode(ideal=True)):
        built.mode = mode
        outputs.append(built(x))
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


def test_a_linear_layer_adds_its_bias() -> None:
    built = layer(linear_node(20, 3), LayerNumerics(8, 8))
    x = torch.rand(5, 20, 1, 1, generator=generator())
    calibrate(built, x)
    assert built.bias is not None
    without = built(x)
    with torch.no_grad():
        built.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert torch.allclose(built(x) - without, torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1))


@torch.no_grad()
def test_quantisation_gets_better_with_bits() -> None:
    errors = []
    for bits in (2, 3, 4, 6, 8):
        built, x = ready(LayerNumerics(bits, bits))
        wanted = functional.conv2d(x, built.weight, padding=1)
        errors.append(float((built(x) - wanted).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3 * errors[0]


def test_measured_activity_is_that_of_the_codes() -> None:
    built, x = ready(LayerNumerics(8, 4))
    product, _, _ = built.quantised(x, built.weight)
    ones = sum(((product.x.int() >> bit) & 1).float().mean() for bit in range(4)) / 4
    assert built.activity_frac == pytest.approx(float(ones))
    assert 0.3 < built.density_frac() < 0.7


def test_an_uncalibrated_layer_says_so() -> None:
    with pytest.raises(UsageError, match="conv: not calibrated"):
        layer(conv_node(), NUMERICS)(torch.rand(1, 12, 6, 6))
