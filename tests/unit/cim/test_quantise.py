"""Quantizers: idempotent, monotone, never further off than half a step."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.cim.quantise import (
    activation_codes,
    fit_steps,
    ones_share,
    weight_codes,
    weight_scale,
)
from tests.unit.cim.builders import analog, generator

LIMITS = st.sampled_from([(0, 1), (0, 15), (0, 255), (-2, 1), (-128, 127)])
VALUES = st.lists(st.floats(-300, 300, width=32), min_size=1, max_size=30)
STEPS = st.sampled_from([0.03125, 0.5, 1.0, 1.5])


@given(VALUES, LIMITS, STEPS)
@settings(deadline=None)
def test_codes_are_whole_and_idempotent(
    values: list[float], limits: tuple[int, int], step: float
) -> None:
    codes = activation_codes(torch.tensor(values), step, limits)
    assert torch.equal(codes, codes.round())
    assert float(codes.min()) >= limits[0]
    assert float(codes.max()) <= limits[1]
    assert torch.equal(activation_codes(codes * step, step, limits), codes)


@given(VALUES, LIMITS, STEPS)
@settings(deadline=None)
def test_codes_are_monotone(values: list[float], limits: tuple[int, int], step: float) -> None:
    codes = activation_codes(torch.tensor(sorted(values)), step, limits)
    assert torch.all(codes.diff() >= 0)


@given(VALUES, LIMITS, STEPS)
@settings(deadline=None)
def test_the_error_inside_the_range_is_at_most_half_a_step(
    values: list[float], limits: tuple[int, int], step: float
) -> None:
    x = torch.tensor(values)
    inside = x.clamp(limits[0] * step, limits[1] * step)
    error = activation_codes(x, step, limits) * step - inside
    assert float(error.abs().max()) <= step / 2 * (1 + 1e-6)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_weights_have_a_step_for_each_output(bits: int) -> None:
    limit = 2 ** (bits - 1) - 1
    weight = torch.randn(6, 4, 3, 3, generator=generator())
    weight *= torch.arange(1, 7).view(-1, 1, 1, 1)
    scale = weight_scale(weight, limit, 1.0)
    codes, inside = weight_codes(weight, scale, limit)
    assert torch.equal(codes.abs().amax(dim=(1, 2, 3)), torch.full((6,), float(limit)))
    assert bool(inside.all())
    assert float(((codes * scale - weight) / scale).abs().max()) <= 0.5 + 1e-5


def test_a_smaller_share_clips_and_says_where() -> None:
    weight = torch.tensor([-1.0, -0.4, 0.1, 0.45, 1.0]).view(1, 5, 1, 1)
    codes, inside = weight_codes(weight, weight_scale(weight, 7, 0.5), 7)
    assert codes.flatten().tolist() == [-7, -6, 1, 6, 7]
    assert inside.flatten().tolist() == [False, True, True, True, False]


def test_weights_that_are_all_zero_have_codes_of_zero() -> None:
    weight = torch.zeros(2, 3, 1, 1)
    codes, _ = weight_codes(weight, weight_scale(weight, 7, 1.0), 7)
    assert torch.equal(codes, torch.zeros(2, 3, 1, 1))


def _error(x_step: float, share: float, x: torch.Tensor, weight: torch.Tensor) -> float:
    numerics = analog(w_bits=4, x_bits=4)
    scale = weight_scale(weight, numerics.w_limit, share)
    w = weight_codes(weight, scale, numerics.w_limit)[0] * scale
    x_hat = activation_codes(x, x_step, numerics.x_limits) * x_step
    wanted = x @ weight.flatten(1).T
    return float((x_hat @ w.flatten(1).T - wanted).square().mean())


def test_steps_are_near_the_best_for_the_output() -> None:
    x = torch.randn(2000, 64, generator=generator()).relu()
    weight = torch.randn(8, 64, 1, 1, generator=generator(1))
    x_step, share = fit_steps(x, weight, analog(w_bits=4, x_bits=4), 0.0)
    found = _error(x_step, share, x, weight)
    tried = [
        _error(float(x.max()) / 15 * a / 10, b / 10, x, weight)
        for a in range(2, 11)
        for b in range(2, 11)
    ]
    assert found <= min(tried) * 1.1


def test_noisy_converters_get_smaller_steps() -> None:
    x = torch.randn(2000, 64, generator=generator()).relu()
    weight = torch.randn(8, 64, 1, 1, generator=generator(1))
    numerics = analog(w_bits=8, x_bits=8)
    quiet = fit_steps(x, weight, numerics, 0.0)
    noisy = fit_steps(x, weight, numerics, 30_000.0**2)
    assert noisy[0] < quiet[0]
    assert noisy[1] < quiet[1]


def test_inputs_that_are_all_zero_have_a_step() -> None:
    weight = torch.randn(2, 3, 1, 1, generator=generator())
    assert fit_steps(torch.zeros(5, 3), weight, analog(), 0.0)[0] == 1.0


def test_share_of_ones() -> None:
    assert ones_share(torch.tensor([0.0, 1.0, 3.0, 15.0]), 4) == pytest.approx(7 / 16)
    # -1 is all ones in two's complement.
    assert ones_share(torch.tensor([-1.0, 0.0]), 8) == pytest.approx(0.5)
    rng = np.random.default_rng(0)
    uniform = torch.from_numpy(rng.integers(0, 256, 100_000)).float()
    assert ones_share(uniform, 8) == pytest.approx(0.5, abs=0.01)
