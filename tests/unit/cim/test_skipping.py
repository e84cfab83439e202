"""Row groups without weights: every level skips them, and training leaves them alone."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cimsearch.cim import CimLayer, Mode
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.skipping import least_row_groups
from cimsearch.units import millionths
from tests.unit.cim.builders import (
    ENCODINGS,
    analog,
    calibrate,
    conv_node,
    generator,
    layer,
    linear_node,
)
from tests.unit.cim.chips import numerics

HALF = millionths(0.5)
SETTINGS: dict[str, Any] = {"rows": 40, "active_rows": 12, "range_policy": "layer"}
LEVELS: tuple[Any, ...] = ("L0", "L1", "L2")


def images(channels: int = 12) -> Tensor:
    x = torch.rand(8, channels, 6, 6, generator=generator(5))
    return x.contiguous(memory_format=torch.channels_last)


def ready(share: float = 0.5, **changes: Any) -> tuple[CimLayer, Tensor]:
    """A calibrated convolution of 108 rows: tiles of 40, 40, 28 rows, 4 + 4 + 3 row groups."""
    encoding, groups = changes.pop("encoding", "offset"), changes.pop("groups", 1)
    numerics = analog(encoding, **SETTINGS | changes, row_sparsity_ppm=millionths(share))
    built, x = layer(conv_node(12 * groups, 4, groups=groups), numerics), images(12 * groups)
    calibrate(built, x)
    return built, x


def dense_of(built: CimLayer, x: Tensor) -> CimLayer:
    """The same weights in a layer that skips nothing; the steps are those of ``built``."""
    node = conv_node(x.shape[1], 4, groups=built.geometry.groups)
    dense = layer(node, replace(built.numerics, row_sparsity_ppm=0))
    with torch.no_grad():
        dense.weight.copy_(built.weight)
    calibrate(dense, x)
    dense.x_scale, dense.w_share = built.x_scale, built.w_share
    return dense


def test_the_row_groups_of_least_norm_of_each_tile_go_and_short_ones_first() -> None:
    node, numerics = conv_node(12, 4), analog(**SETTINGS)
    geometry = Geometry.of(node, numerics)
    weight = torch.ones(4, 12, 3, 3)
    rows = weight.view(4, -1)
    for group, (start, stop) in enumerate(geometry.row_groups):
        rows[:, start:stop] = 10.0 if stop - start < 12 else (3.0, 1.0, 2.0)[group % 4 % 3]
    chosen = least_row_groups(weight, geometry, HALF)
    # 2, 2 and 1 of 11; each tile ends with a short row group, of 4 rows.
    assert chosen.tolist() == [
        *(False, True, False, True),
        *(False, True, False, True),
        *(False, False, True),
    ]
    built = layer(node, replace(numerics, row_sparsity_ppm=HALF))
    built.skip(chosen)
    spans = Geometry.of(node, numerics).row_groups
    assert built.geometry.row_groups == tuple(
        s for s, gone in zip(spans, chosen, strict=True) if not gone
    )
    assert built.geometry.spans == spans


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("groups", [1, 2])
def test_with_ideal_converters_it_is_the_dense_layer_of_the_same_zeros(
    encoding: Any, groups: int
) -> None:
    """Sums of 12 rows of 1 bit have 13 values: 4 bits lose nothing of them."""
    built, x = ready(encoding=encoding, groups=groups, adc_bits=5, range_policy="full_scale")
    dense = dense_of(built, x)
    assert len(built.geometry.row_groups) == 6 < len(dense.geometry.row_groups) == 11
    for start, stop in built.geometry.skipped:
        assert not built.weight.flatten(1)[:, start:stop].any()
    for level in LEVELS:
        for each in (built, dense):
            each.mode = Mode(level, noise_scale=0.0)
            each.set_chip(0)
        assert torch.equal(built(x), dense(x)), level
    for each in (built, dense):
        each.mode = Mode("L2", ideal=True)
    assert torch.equal(built(x), dense(x))


def unread(built: CimLayer) -> Tensor:
    """Return which of 12 input channels, at least one, are in rows that are not read alone."""
    read = torch.ones(108)
    for start, stop in built.geometry.skipped:
        read[start:stop] = 0
    found = read.view(12, 9).amax(dim=1) == 0
    assert found.any()
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_rows_that_are_not_read_have_no_noise(level: Any) -> None:
    """Inputs of skipped rows alone give exactly nothing, whatever cells and weights noise do."""
    built, _ = ready(cell_sigma_frac=0.2, adc_bits=8, range_policy="full_scale")
    x = torch.rand(4, 12, 6, 6, generator=generator(1)) * unread(built).view(1, 12, 1, 1)
    built.mode = Mode(level)
    built.set_chip(1)
    assert not built(x).any()
    dense = dense_of(built, images())
    dense.mode = Mode(level)
    dense.set_chip(1)
    assert dense(x).any()


DEVICES: dict[str, Any] = {
    "off_current": "digital",
    "programming": {"model": "pcm_joshi"},
    "ir_drop": {"wordline_ohm": 1.0, "bitline_ohm": 1.0},
    "drift": {"model": "pcm", "age_s": 1e3, "compensation": "column"},
    "read": {"model": "pcm_1f"},
    "adc": {"offset_sigma_frac": 0.01, "gain_sigma_frac": 0.01, "inl_sigma_frac": 0.01},
}


@torch.no_grad()
@pytest.mark.parametrize("level", LEVELS)
def test_effects_of_devices_are_those_of_rows_that_are_read(level: Any) -> None:
    array = {"rows": 40, "active_rows": 12}
    made = numerics(DEVICES, device="pcm", w_bits=4, array=array)
    made = replace(made, row_sparsity_ppm=HALF, range_policy="layer", adc_bits=8)
    built, x = layer(conv_node(12, 4), made), images()
    calibrate(built, x)
    built.mode = Mode(level)
    built.set_chip(0)
    noisy = built(x)
    others = x * ~unread(built).view(1, 12, 1, 1)
    built.set_chip(0)
    assert torch.equal(built(others), noisy)
    dense, errors = dense_of(built, x), []
    for each in (built, dense):
        each.set_chip(0)
        each.mode = Mode(level)
        disturbed = each(x)
        each.mode = Mode(level, ideal=True)
        errors.append(float((disturbed - each(x)).std()))
    assert 0 < errors[0] < errors[1]


@torch.no_grad()
def test_noise_of_conversions_is_that_of_the_row_groups_there_are() -> None:
    spread = {}
    for share in (0.0, 0.5):
        built, x = ready(share, adc_sigma_frac=0.1, adc_bits=8, range_policy="full_scale")
        for level in LEVELS:
            built.mode = Mode(level)
            built.set_chip(0)
            noisy = built(x)
            built.mode = Mode(level, ideal=True)
            scale = built.quantised(x, built.weight.detach())[0].by_channel
            spread[share, level] = float(((noisy - built(x)) / scale).var())
    for level in LEVELS:
        assert spread[0.5, level] / spread[0.0, level] == pytest.approx(6 / 11, rel=0.1)


@pytest.mark.parametrize("level", LEVELS)
def test_training_leaves_zeros(level: Any) -> None:
    built, x = ready(cell_sigma_frac=0.05)
    built.learn_steps()
    built.mode = Mode(level)
    optimiser = torch.optim.SGD(built.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    before = built.weight.detach().clone()
    for _ in range(3):
        optimiser.zero_grad()
        # A loss of the weights alone moves zeros too.
        (built(x).square().mean() + (built.weight - 1).square().sum()).backward()
        optimiser.step()
        built.settle()
    rows, old = built.weight.detach().flatten(1), before.flatten(1)
    for start, stop in built.geometry.skipped:
        assert not rows[:, start:stop].any()
    for start, stop in built.geometry.row_groups:
        assert (rows[:, start:stop] != old[:, start:stop]).any()


def test_the_gradient_is_that_of_the_rows_that_are_read() -> None:
    built, x = ready()
    built.mode = Mode("L1")
    grad = torch.randn(built(x).shape, generator=generator(2))
    torch.autograd.backward(built(x), grad)
    product, w, inside = built.quantised(x, built.weight.detach())
    w_hat = w.clone().requires_grad_()
    torch.autograd.backward(functional.conv2d(product.x * built.x_scale, w_hat, padding=1), grad)
    assert built.weight.grad is not None
    assert w_hat.grad is not None
    assert torch.allclose(built.weight.grad, w_hat.grad * inside, rtol=1e-4, atol=1e-4)
    for start, stop in built.geometry.skipped:
        assert not built.weight.grad.flatten(1)[:, start:stop].any()


def test_a_state_has_the_row_groups_and_a_dense_layer_none() -> None:
    built, x = ready()
    other, _ = ready()
    assert "skipped" not in dense_of(built, x).state_dict()
    assert built.skipped is not None
    other.skip(built.skipped.roll(1))
    assert other.geometry.skipped != built.geometry.skipped
    other.load_state_dict(built.state_dict())
    assert other.geometry == built.geometry
    built.mode = other.mode = Mode("L2", noise_scale=0.0)
    built.set_chip(0)
    other.set_chip(0)
    assert torch.equal(built(x), other(x))


def test_a_linear_layer_and_a_digital_macro_skip_too() -> None:
    numerics = analog(**SETTINGS, row_sparsity_ppm=HALF)
    for node in (linear_node(108, 4), conv_node(12, 4)):
        for analog_ in (True, False):
            built = layer(node, replace(numerics, analog=analog_))
            assert len(built.geometry.skipped) == 5
            zero = built.weight.flatten(1) == 0
            assert int(zero.all(dim=0).sum()) == sum(b - a for a, b in built.geometry.skipped)


def test_statistics_are_of_rows_that_are_read() -> None:
    built, _ = ready(encoding="twos_complement")
    dense = dense_of(built, images())
    rows = sum(stop - start for start, stop in built.geometry.row_groups)
    assert built.density_frac() == pytest.approx(dense.density_frac() * 108 / rows)
