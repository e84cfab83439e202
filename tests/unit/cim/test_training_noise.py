"""Noise of training: its size at each place, after quantisation, at every level."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cimsearch.cim import CimLayer, LayerNumerics, Mode
from cimsearch.cim.training_noise import TrainingNoise
from tests.unit.cim.builders import ENCODINGS, analog, calibrate, conv_node, generator, layer

LEVELS = ("L0", "L1", "L2")


def images() -> Tensor:
    x = torch.rand(16, 12, 6, 6, generator=generator(5))
    return x.contiguous(memory_format=torch.channels_last)


def ready(numerics: LayerNumerics, **changes: Any) -> CimLayer:
    built = layer(conv_node(**changes), numerics)
    calibrate(built, images())
    return built


@torch.no_grad()
def errors(built: CimLayer, noise: TrainingNoise, draws: int = 40) -> Tensor:
    """What noise adds to the output in units of the product: (draws, n, outputs, h, w)."""
    x = images()
    built.training_noise = None
    quiet = built(x)
    product, _, _ = built.quantised(x, built.weight)
    built.training_noise = noise
    noisy = torch.stack([built(x) for _ in range(draws)])
    added: Tensor = (noisy - quiet) / product.by_channel
    return added


@pytest.mark.parametrize("level", LEVELS)
def test_noise_of_weights_is_a_fraction_of_the_largest_code(level: Any) -> None:
    built = ready(analog(adc_bits=16))
    built.mode = Mode(level, noise_scale=0.0)
    spread = errors(built, TrainingNoise(weights=0.1)).std(dim=0)[:, :, 3, 3].mean(dim=1)
    product, _, _ = built.quantised(images(), built.weight)
    power = product.x[:, :, 2:5, 2:5].square().sum(dim=(1, 2, 3))
    assert torch.allclose(spread, 0.1 * 7 * power.sqrt(), rtol=0.2)


@pytest.mark.parametrize("level", LEVELS)
def test_noise_of_activations_is_a_fraction_of_the_largest_code(level: Any) -> None:
    built = ready(analog(adc_bits=16))
    built.mode = Mode(level, noise_scale=0.0)
    spread = errors(built, TrainingNoise(activations=0.05))[..., 2:4, 2:4].std(dim=(0, 1, 3, 4))
    product, _, _ = built.quantised(images(), built.weight)
    power = product.w.square().sum(dim=(1, 2, 3))
    assert torch.allclose(spread, 0.05 * 15 * power.sqrt(), rtol=0.1)


@settings(max_examples=20, deadline=None)
@given(
    level=st.sampled_from(LEVELS),
    encoding=st.sampled_from(ENCODINGS),
    active_rows=st.integers(20, 108),
)
def test_noise_of_partial_sums_is_that_of_every_conversion(
    level: Any, encoding: Any, active_rows: int
) -> None:
    numerics = analog(encoding, active_rows=active_rows, adc_bits=5)
    built = ready(numerics)
    built.mode = Mode(level, noise_scale=0.0)
    spread = float(errors(built, TrainingNoise(partial_sums=0.02), draws=3).std())
    conversions = len(built.geometry.row_groups) * numerics.conversions
    planes = sum(cb**2 for cb in numerics.plane_weights)
    slices = sum(cs**2 for cs in numerics.slice_weights)
    full_scale = active_rows * (2 if encoding == "differential" else 1)
    wanted = 0.02 * full_scale * (conversions * planes * slices) ** 0.5
    assert spread == pytest.approx(wanted, rel=0.05)


def test_noise_of_partial_sums_is_as_large_as_that_of_conversions() -> None:
    spread = []
    for frac, noise in ((0.02, TrainingNoise()), (0.0, TrainingNoise(partial_sums=0.02))):
        built = ready(analog(adc_sigma_frac=frac, adc_bits=16))
        built.mode = Mode("L2")
        built.training_noise = noise
        product, _, _ = built.quantised(images(), built.weight.detach())
        once, again = (built(images()).detach() for _ in range(2))
        spread.append(float(((once - again) / product.by_channel).std()))
    assert spread[0] == pytest.approx(spread[1], rel=0.05)


def test_noise_is_not_rounded_to_codes() -> None:
    built = ready(LayerNumerics(4, 4))
    error = errors(built, TrainingNoise(weights=1e-4), draws=1).abs()
    assert 0.01 < float(error.mean()) < float(error.max()) < 0.5


def test_an_ideal_layer_and_calibration_have_none() -> None:
    built = ready(analog(range_policy="layer"))
    other = ready(analog(range_policy="layer"))
    built.training_noise = TrainingNoise(0.5, 0.5, 0.5)
    calibrate(built, images())
    assert built._ranges == other._ranges
    assert (built.x_scale, built.w_share) == (other.x_scale, other.w_share)
    built.mode = other.mode = Mode(ideal=True)
    assert torch.equal(built(images()), other(images()))


def test_a_digital_layer_has_no_partial_sums() -> None:
    built = ready(LayerNumerics(4, 4))
    assert not errors(built, TrainingNoise(partial_sums=0.5), draws=1).any()


@pytest.mark.parametrize("level", LEVELS)
def test_gradients_do_not_see_noise(level: Any) -> None:
    gradients = []
    for noise in (None, TrainingNoise(0.1, 0.1, 0.1)):
        built = ready(analog())
        built.mode = Mode(level)
        built.training_noise = noise
        x = images().requires_grad_()
        y = built(x)
        torch.autograd.backward(y, torch.ones_like(y))
        assert built.weight.grad is not None
        assert x.grad is not None
        gradients.append((x.grad, built.weight.grad))
    assert all(map(torch.equal, *gradients))
