"""Losses of weights alone: by hand, at their least, and downhill."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cimsearch.spec.losses import RANGE_TARGETS, RangeShaping
from cimsearch.training.losses.weights import binarisation, kurtosis, peak, range_shaping

LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "binarisation": binarisation,
    "kurtosis": lambda w: range_shaping(w, "kurtosis", 1.8),
    "peak": lambda w: range_shaping(w, "peak", 1.5),
}


def columns(*rows: list[float]) -> Tensor:
    """Weights of a convolution of 1 x 1: one column a row."""
    return torch.tensor(rows)[:, :, None, None]


def normal(seed: int = 0) -> Tensor:
    return torch.randn(6, 8, 3, 3, generator=torch.Generator().manual_seed(seed))


def test_binarisation_by_hand() -> None:
    # alpha 2: |w| / alpha is 1/2, 3/2, 1, 1; alpha 5: all 1.
    found = binarisation(columns([1.0, -3.0, 2.0, -2.0], [5.0, 5.0, -5.0, 5.0]))
    assert float(found) == pytest.approx((0.25 + 0.25) / 8)


def test_kurtosis_by_hand() -> None:
    # Mean square 1/2 and mean fourth power 1/2: 2; of one size: 1.
    found = kurtosis(columns([1.0, 0.0, -1.0, 0.0], [3.0, 3.0, -3.0, 3.0]))
    assert float(found) == pytest.approx(1.5)


def test_the_kurtosis_of_an_even_spread_is_that_which_is_aimed_at() -> None:
    even = torch.linspace(-1, 1, 10_001)[None, :, None, None]
    assert float(kurtosis(even)) == pytest.approx(RANGE_TARGETS["kurtosis"], rel=1e-3)
    assert float(range_shaping(even, "kurtosis", 1.8)) == pytest.approx(0.0, abs=1e-6)
    assert float(kurtosis(normal())) > 2.4


def test_the_peak_by_hand() -> None:
    weight = columns([1.0, 0.0, -1.0, 0.0], [4.0, 0.0, 0.0, 0.0])
    assert torch.allclose(peak(weight).flatten(), torch.tensor([2**0.5, 2.0]))
    found = range_shaping(weight, "peak", 1.5)
    assert float(found) == pytest.approx(0.5 / 2)
    assert float(range_shaping(weight, "peak", 2.0)) == 0.0


def test_targets_that_are_left_out_are_the_shapes() -> None:
    assert RangeShaping(weight=1.0).aim == 1.8
    assert RangeShaping(weight=1.0, shape="peak").aim == 2.5
    assert RangeShaping(weight=1.0, shape="peak", target=2.0).aim == 2.0


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_downhill_lowers_the_loss(name: str) -> None:
    weight = normal().requires_grad_()
    before = LOSSES[name](weight)
    (grad,) = torch.autograd.grad(before, weight)
    after = LOSSES[name](weight.detach() - 0.05 * grad / grad.norm())
    assert float(after) < float(before.detach())


@pytest.mark.parametrize("name", LOSSES)
def test_descent_comes_near_the_least(name: str) -> None:
    weight = normal(1).requires_grad_()
    optimiser = torch.optim.Adam([weight], lr=0.02)
    first = float(LOSSES[name](weight.detach()))
    for _ in range(200):
        optimiser.zero_grad()
        torch.autograd.backward(LOSSES[name](weight))
        optimiser.step()
    assert float(LOSSES[name](weight.detach())) < 0.05 * first


@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_the_scale_of_weights_does_not_matter(scale: float, seed: int) -> None:
    for loss in LOSSES.values():
        weight = normal(seed)
        assert float(loss(scale * weight)) == pytest.approx(float(loss(weight)), rel=1e-3)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("rows", [1, 4])
def test_a_column_of_zeros_or_of_one_weight_has_a_finite_gradient(name: str, rows: int) -> None:
    weight = torch.zeros(2, rows, 1, 1)
    weight[1] = 0.5
    weight.requires_grad_()
    loss = LOSSES[name](weight)
    (grad,) = torch.autograd.grad(loss, weight)
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(grad).all())
