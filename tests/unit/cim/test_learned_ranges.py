"""A factor on converter ranges that is trained at level L1."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cimsearch.cim import CimLayer, LayerNumerics, Mode
from cimsearch.cim.calibrate import measure_ranges
from cimsearch.cim.converter import Ranges
from cimsearch.cim.engine import exact
from cimsearch.cim.learned import LearnedRanges, measured_clip
from cimsearch.errors import HardwareError
from cimsearch.spec.hardware import RangePolicy
from tests.unit.cim.builders import ENCODINGS, analog, calibrate, conv_node, generator, layer

POLICIES: tuple[RangePolicy, ...] = ("layer", "column")


def images(seed: int = 5) -> Tensor:
    x = torch.rand(8, 12, 6, 6, generator=generator(seed))
    return x.contiguous(memory_format=torch.channels_last)


def ready(policy: RangePolicy, **changes: Any) -> CimLayer:
    """A calibrated layer of two row groups, without noise, whose converters are coarse."""
    settings: dict[str, Any] = {"encoding": "differential", "adc_bits": 4, "dac_bits": 2}
    built = layer(conv_node(), analog(**(settings | changes), range_policy=policy))
    calibrate(built, images())
    built.mode = Mode(noise_scale=0.0)
    return built


def learning(policy: RangePolicy, **changes: Any) -> tuple[CimLayer, LearnedRanges]:
    built = ready(policy, **changes)
    built.learn_ranges()
    assert built.learned_ranges is not None
    return built, built.learned_ranges


def ranges_of(built: CimLayer) -> Ranges:
    assert built._ranges is not None
    return built._ranges


def middle(ranges: Ranges, bits: int) -> Any:
    return ranges.lo + ranges.lsb * (2**bits - 1) / 2


@pytest.mark.parametrize("policy", POLICIES)
def test_there_is_one_factor_a_layer_or_one_a_row_group_and_output(policy: RangePolicy) -> None:
    built, ranges = learning(policy)
    shape = (1, 1, 1) if policy == "layer" else (len(built.geometry.row_groups), 1, 5)
    assert ranges.factor.shape == shape


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_changes_when_ranges_begin_to_be_learned(policy: RangePolicy) -> None:
    built = ready(policy)
    before = built(images())
    built.learn_ranges()
    built.settle()
    assert torch.equal(before, built(images()))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_range_is_scaled_about_its_middle_and_every_level_follows(policy: RangePolicy) -> None:
    built, learned = learning(policy)
    start, x = ranges_of(built), images()
    with torch.no_grad():
        learned.factor.fill_(2.0)
    built.settle()
    now = ranges_of(built)
    assert np.array_equal(now.lsb, 2 * start.lsb)
    assert (np.abs(middle(now, 4) - middle(start, 4)) <= now.lsb / 2).all()
    other = ready(policy)
    other.set_ranges(now)
    for level in ("L1", "L2"):
        built.mode = other.mode = Mode(level, noise_scale=0.0)
        found = built(x)
        assert torch.equal(found, other(x))
        assert not torch.equal(found, ready(policy)(x))


@settings(max_examples=30, deadline=None)
@given(
    factor=st.floats(-1, 4),
    policy=st.sampled_from(POLICIES),
    encoding=st.sampled_from(ENCODINGS),
    bits=st.integers(1, 8),
)
def test_a_range_has_a_step_of_the_grid_and_one_at_least(
    factor: float, policy: RangePolicy, encoding: Any, bits: int
) -> None:
    built, learned = learning(policy, encoding=encoding, adc_bits=bits)
    start = ranges_of(built)
    with torch.no_grad():
        learned.factor.fill_(factor)
    built.settle()
    now = ranges_of(built)
    assert (now.lsb >= 1).all()
    assert np.array_equal(now.lsb * 8, np.rint(now.lsb * 8))
    assert np.allclose(now.lo / now.lsb, np.rint(now.lo / now.lsb))
    assert (np.abs(now.lsb - np.maximum(1, factor * start.lsb)) <= 1 / 16 + 1e-6).all()
    assert bool((learned.factor > 0).all())


def converted(built: CimLayer, x: Tensor, factor: Tensor) -> Tensor:
    """L1's output as torch would differentiate it, rounding passed straight through."""
    product, _, _ = built.quantised(x, built.weight.detach())
    codes, w = product.x, product.w + built.numerics.offset
    total = torch.zeros(())
    start = 0
    for index, (first, stop) in enumerate(built.geometry.row_groups):
        group = built._converters.row_groups[index]
        rows = torch.zeros_like(w[:1]).flatten(1)
        rows[:, first:stop] = 1
        p = product.convolve(codes, w * rows.view_as(w[:1]))
        lo, hi = (group.zero + group.step * end for end in (group.lo, group.hi))
        own = factor if factor.numel() == 1 else factor[index].view(1, -1, 1, 1)
        change = own / own.detach()
        centre, half, step = (lo + hi) / 2, (hi - lo) / 2 * change, group.step * change
        low = centre - half
        u = (p - low) / step
        top = (hi - lo) / group.step
        k = u + (u.round() - u).detach()
        k = torch.where(k.detach() < 0, 0, torch.where(k.detach() > top, top, k))
        total = total + low + step * k
        start = stop
    assert start == w[0].numel()
    return total * product.by_channel


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("shrunk", [0.5, 1.0, 1.5])
def test_the_gradient_is_that_of_the_scaled_converter(policy: RangePolicy, shrunk: float) -> None:
    built, learned = learning(policy)
    with torch.no_grad():
        learned.factor.fill_(shrunk)
    built.settle()
    x = images()
    y = built(x)
    grad = torch.randn(y.shape, generator=generator(1))
    torch.autograd.backward(y, grad)
    factor = learned.factor.detach().clone().requires_grad_()
    torch.autograd.backward(converted(built, x, factor), grad)
    shared = y.numel() * len(built.geometry.row_groups) // factor.numel()
    assert factor.grad is not None
    assert learned.factor.grad is not None
    wanted = factor.grad * (shared * 15) ** -0.5
    assert float(wanted.abs().min()) > 0
    assert torch.allclose(learned.factor.grad, wanted, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("wrong", [0.4, 3.0])
def test_from_a_bad_range_the_learned_one_ends_nearer(policy: RangePolicy, wrong: float) -> None:
    x = images()
    built = ready(policy)
    good = ranges_of(built)
    lsb = np.maximum(np.rint(8 * wrong * good.lsb) / 8, 1.0)
    lo = np.rint((middle(good, 4) - lsb * 7.5) / lsb) * lsb
    built.set_ranges(replace(good, lo=lo, lsb=lsb))
    product, _, _ = built.quantised(x, built.weight.detach())
    with torch.no_grad():
        wanted = exact(product)
        before = float((built(x) - wanted).square().mean())
    built.learn_ranges()
    assert built.learned_ranges is not None
    optimizer = torch.optim.SGD(built.learned_ranges.parameters(), lr=0.2 / before, momentum=0.9)
    for _ in range(150):
        optimizer.zero_grad()
        torch.autograd.backward((built(x) - wanted).square().mean())
        optimizer.step()
        built.settle()
    after = float((built(x) - wanted).detach().square().mean())
    now = ranges_of(built)
    distance, start = (np.abs(np.log(r / good.lsb)).mean() for r in (now.lsb, lsb))
    assert after < 0.8 * before
    assert distance < 0.9 * start


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_a_range_cuts_off_is_measured_as_calibration_does(
    policy: RangePolicy, encoding: Any
) -> None:
    built = ready(policy, encoding=encoding, dac_bits=1)
    product, _, _ = built.quantised(images(), built.weight)
    found = measure_ranges(product.x, product.w, built.numerics, built.geometry)
    again = measured_clip(product, built.numerics, found)
    assert again.clip_power.shape == found.clip_power.shape
    assert np.allclose(again.clip_power, found.clip_power)
    narrow = measured_clip(product, built.numerics, replace(found, lsb=found.lsb / 2))
    assert (narrow.clip_power >= again.clip_power).all()
    assert narrow.clip_power.sum() > again.clip_power.sum()


def test_calibrating_again_leaves_learned_ranges_and_their_steps() -> None:
    built, learned = learning("layer")
    with torch.no_grad():
        learned.factor.fill_(0.5)
    built.settle()
    before, step, share = ranges_of(built), built.x_scale, built.w_share
    calibrate(built, 0.5 * images())
    after = ranges_of(built)
    assert (after.lo, after.lsb) == (before.lo, before.lsb)
    assert (built.x_scale, built.w_share) == (step, share)
    assert after.clip_power != before.clip_power


def test_the_full_scale_is_not_learned() -> None:
    with pytest.raises(HardwareError, match="conv: range_policy: found full_scale; allowed is la"):
        ready("full_scale").learn_ranges()


def test_a_digital_layer_has_no_range_to_learn() -> None:
    built = layer(conv_node(), LayerNumerics(4, 4))
    calibrate(built, images())
    built.learn_ranges()
    assert built.learned_ranges is None
    assert built.learned_parameters() == []
