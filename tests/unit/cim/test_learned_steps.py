"""Steps of inputs and weights that are trained: their gradient, their limits, what they gain."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.cim import CimLayer, LayerNumerics, Mode
from cimsearch.cim.learned import LEAST_SHARE, LearnedSteps
from tests.unit.cim.builders import analog, calibrate, conv_node, generator, layer


def x_of(steps: LearnedSteps) -> nn.Parameter:
    """Return the step of the inputs, which a layer that is not part of another has."""
    assert steps.x is not None
    return steps.x


def learning(numerics: LayerNumerics, x: Tensor, **changes: Any) -> CimLayer:
    built = layer(conv_node(**changes), numerics)
    calibrate(built, x)
    built.learn_steps()
    return built


def images(seed: int = 5, *, signed: bool = False) -> Tensor:
    x = torch.rand(8, 12, 6, 6, generator=generator(seed)) - (0.5 if signed else 0.0)
    return x.contiguous(memory_format=torch.channels_last)


def scaled(step: Tensor, highest: int, count: int) -> Tensor:
    """The step with its gradient scaled as Esser et al. do it in torch."""
    scale = float(count * highest) ** -0.5
    same: Tensor = step * scale + (step * (1 - scale)).detach()
    return same


def quantised(values: Tensor, step: Tensor, limits: tuple[int, int]) -> Tensor:
    """Their quantizer."""
    v = values / step
    codes = v.detach().round().clamp(*limits)
    inside = (v.detach() > limits[0] - 0.5) & (v.detach() < limits[1] + 0.5)
    return torch.where(inside, v + (codes - v.detach()), codes) * step


@settings(max_examples=30, deadline=None)
@given(
    bits=st.integers(2, 6),
    signed=st.booleans(),
    level=st.sampled_from(["L0", "L1", "L2"]),
    stride=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    clip=st.floats(0.3, 2.0),
)
def test_gradients_are_those_of_the_published_quantizer(
    bits: int, signed: bool, level: Any, stride: int, groups: int, clip: float
) -> None:
    x = images(signed=signed)
    numerics = analog("twos_complement", w_bits=bits, x_bits=bits, x_signed=signed)
    built = learning(numerics, x, stride=(stride, stride), groups=groups, outputs=4)
    built.mode = Mode(level)
    assert built.learned_steps is not None
    steps = built.learned_steps
    with torch.no_grad():
        x_of(steps).mul_(clip)
        steps.w.mul_(clip)
    x.requires_grad_()
    y = built(x)
    grad = torch.randn(y.shape, generator=generator(1))
    torch.autograd.backward(y, grad)

    x_ref, w_ref = x.detach().clone().requires_grad_(), built.weight.detach().clone()
    x_step, w_step = (p.detach().clone().requires_grad_() for p in (x_of(steps), steps.w))
    w_ref.requires_grad_()
    limit = numerics.w_limit
    x_scaled = scaled(x_step, numerics.x_limits[1], x.numel())
    w_scaled = scaled(w_step, limit, w_ref[0].numel())
    wanted = functional.conv2d(
        quantised(x_ref, x_scaled, numerics.x_limits),
        quantised(w_ref, w_scaled, (-limit, limit)),
        stride=stride,
        padding=1,
        groups=groups,
    )
    # What the converters did, which is fixed in units of codes.
    unit = x_scaled * w_scaled.view(1, -1, 1, 1)
    wanted = wanted + ((y - wanted) / unit).detach() * unit
    torch.autograd.backward(wanted, grad)
    for found, expected in (
        (x.grad, x_ref.grad),
        (built.weight.grad, w_ref.grad),
        (x_of(steps).grad, x_step.grad),
        (steps.w.grad, w_step.grad),
    ):
        assert found is not None
        assert expected is not None
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_where_all_is_clipped_the_gradient_is_the_slope_of_the_output() -> None:
    x = images() + 1.0
    built = learning(LayerNumerics(4, 2), x)
    assert built.learned_steps is not None
    step = x_of(built.learned_steps)
    with torch.no_grad():
        step.fill_(0.05)
    total = built(x).sum()
    torch.autograd.backward(total)
    with torch.no_grad():
        step.fill_(0.06)
        slope = float(built(x).sum() - total) / 0.01
    assert step.grad is not None
    assert float(step.grad) * (x.numel() * 3) ** 0.5 == pytest.approx(slope, rel=1e-3)


def test_an_input_that_needs_no_gradient_still_moves_its_step() -> None:
    x = images()
    built = learning(analog(), x)
    torch.autograd.backward(built(x).square().sum())
    assert built.learned_steps is not None
    slope = x_of(built.learned_steps).grad
    assert slope is not None
    assert float(slope) != 0.0


def test_bfloat16_has_the_same_gradients() -> None:
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        x = images().to(torch.bfloat16)
        built = learning(LayerNumerics(3, 3), x.float())
        x = x.to(dtype)
        grad = torch.randn(8, 5, 6, 6, generator=generator(1)).to(torch.bfloat16).to(dtype)
        torch.autograd.backward(built(x), grad.contiguous(memory_format=torch.channels_last))
        gradients = [parameter.grad for parameter in built.learned_parameters()]
        found.append(torch.cat([part.flatten() for part in gradients if part is not None]))
    exact, rough = found
    assert len(exact) == 6
    assert torch.allclose(exact, rough, atol=0.02 * float(exact.abs().max()))


def test_nothing_changes_when_steps_begin_to_be_learned() -> None:
    x = images()
    built = layer(conv_node(), analog())
    calibrate(built, x)
    before = built(x)
    built.learn_steps()
    assert torch.equal(before, built(x))


def test_steps_stay_positive() -> None:
    built = learning(analog(), images())
    assert built.learned_steps is not None
    steps = built.learned_steps
    start_x, start_w = float(x_of(steps).detach()), steps.w.detach().clone()
    with torch.no_grad():
        x_of(steps).fill_(-1.0)
        steps.w[0] = -1.0
    built.settle()
    assert built.x_scale == pytest.approx(LEAST_SHARE * start_x)
    assert torch.allclose(steps.w[0], LEAST_SHARE * start_w[0])
    assert torch.equal(steps.w[1:], start_w[1:])


def test_calibrating_again_leaves_learned_steps() -> None:
    x = images()
    built = learning(analog(range_policy="layer", adc_bits=3), x)
    assert built.learned_steps is not None
    with torch.no_grad():
        x_of(built.learned_steps).mul_(1.5)
        built.learned_steps.w.mul_(0.5)
    wanted = [p.detach().clone() for p in built.learned_steps.parameters()]
    before = built._ranges
    calibrate(built, 0.3 * x)
    assert all(map(torch.equal, built.learned_steps.parameters(), wanted))
    assert built.x_scale == float(wanted[0])
    assert before is not None
    assert built._ranges is not None
    assert built._ranges.lsb.item() < before.lsb.item()


def test_a_chip_follows_steps_that_changed() -> None:
    x = images()
    built = learning(analog(cell_sigma_frac=0.05), x)
    assert built.learned_steps is not None
    built.set_chip(1)
    for level in ("L1", "L2"):
        built.mode = Mode(level)
        before = built(x)
        with torch.no_grad():
            built.learned_steps.w.mul_(0.8)
        assert not torch.equal(before, built(x))
        assert torch.equal(built(x), built(x))


@pytest.mark.parametrize("wrong", [0.3, 2.0])
def test_from_bad_steps_the_learned_ones_find_back(wrong: float) -> None:
    x = images()
    built = learning(LayerNumerics(3, 3), x, outputs=8)
    assert built.learned_steps is not None
    with torch.no_grad():
        wanted = functional.conv2d(x, built.weight, padding=1)
        good = float((built(x) - wanted).square().mean())
        for step in built.learned_parameters():
            step.mul_(wrong)
        bad = float((built(x) - wanted).square().mean())
    optimizer = torch.optim.SGD(built.learned_parameters(), lr=0.3, momentum=0.9)
    for _ in range(200):
        optimizer.zero_grad()
        loss = (built(x) - wanted).square().mean()
        torch.autograd.backward(loss)
        optimizer.step()
        built.settle()
    assert float(loss.detach()) < 1.5 * good < bad


@pytest.mark.parametrize("seed", range(4))
def test_at_two_bits_learned_steps_follow_inputs_that_grew_since_calibration(seed: int) -> None:
    losses = {}
    for learned in (False, True):
        x = images(seed)
        built = layer(conv_node(outputs=8), LayerNumerics(2, 2), seed=seed)
        wanted = functional.conv2d(2 * x, built.weight.detach(), padding=1)
        calibrate(built, x)
        if learned:
            built.learn_steps()
        optimizer = torch.optim.SGD(built.parameters(), lr=0.01, momentum=0.9)
        found = []
        for _ in range(150):
            optimizer.zero_grad()
            loss = (built(2 * x) - wanted).square().mean()
            torch.autograd.backward(loss)
            optimizer.step()
            built.settle()
            found.append(float(loss.detach()))
        losses[learned] = min(found)
    assert losses[True] < 0.85 * losses[False]
