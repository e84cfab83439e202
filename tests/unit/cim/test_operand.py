"""What waits for an addition in few bits: its codes, its step, its gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cimsearch.blueprint import Node
from cimsearch.cim import QuantisedOperand
from cimsearch.cim.learned import LEAST_SHARE
from cimsearch.cim.quantise import SCALE_SHARES
from cimsearch.errors import HardwareError, UsageError
from tests.unit.cim.builders import generator
from tests.unit.cim.test_learned_steps import quantised, scaled

SHAPE = (3, 4, 4)


def operand(bits: int, *, signed: bool = False) -> QuantisedOperand:
    node = Node("b.add", "add", ("a", "b"), SHAPE, SHAPE, x_bits=bits, x_signed=signed)
    return QuantisedOperand(node)


def values(*, signed: bool = False, seed: int = 3) -> Tensor:
    x = torch.rand(16, *SHAPE, generator=generator(seed)) - (0.5 if signed else 0.0)
    return x.contiguous(memory_format=torch.channels_last)


def calibrated(bits: int, x: Tensor, *, signed: bool = False) -> QuantisedOperand:
    built = operand(bits, signed=signed)
    built.calibrating = True
    built(x)
    built.calibrating = False
    return built


def test_codes_by_hand() -> None:
    # 0.25 a code, 0 to 7: ties go to the even side, what is beyond is clipped.
    plain = operand(3)
    plain.x_scale = 0.25
    x = torch.tensor([0.0, 0.125, 0.375, 0.3, 1.74, 9.0, -1.0]).view(1, 7, 1, 1)
    assert plain(x).flatten().tolist() == [0.0, 0.0, 0.5, 0.25, 1.75, 1.75, 0.0]
    signed = operand(2, signed=True)
    signed.x_scale = 0.5
    assert signed(x).flatten().tolist() == [0.0, 0.0, 0.5, 0.5, 0.5, 0.5, -1.0]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_calibrated_step_has_the_least_error_of_those_that_are_tried(
    bits: int, signed: bool
) -> None:
    x = values(signed=signed)
    found = calibrated(bits, x, signed=signed)
    lowest, highest = found.limits
    top = max(float(x.max()) / highest, float(x.min()) / min(lowest, -1))
    errors = {}
    for step in (top * share for share in SCALE_SHARES):
        read = (x / step).round().clamp(lowest, highest) * step
        errors[step] = float((read - x).square().mean())
    assert found.x_scale == pytest.approx(min(errors, key=lambda step: errors[step]))
    assert float((found(x) - x).square().mean()) == pytest.approx(min(errors.values()))


@given(st.integers(2, 15), st.booleans())
@settings(max_examples=20, deadline=None)
def test_one_bit_more_never_errs_more(bits: int, signed: bool) -> None:
    x = values(signed=signed)
    few, more = (
        float((calibrated(b, x, signed=signed)(x) - x).square().mean()) for b in (bits, bits + 1)
    )
    assert more <= few


@given(st.integers(2, 6), st.booleans(), st.floats(0.3, 2.0))
@settings(max_examples=20, deadline=None)
def test_gradients_are_those_of_the_published_quantizer(
    bits: int, signed: bool, clip: float
) -> None:
    x = values(signed=signed)
    found = calibrated(bits, x, signed=signed)
    found.learn_steps()
    (step,) = found.learned_parameters()
    with torch.no_grad():
        step.mul_(clip)
    x.requires_grad_()
    y = found(x)
    grad = torch.randn(y.shape, generator=generator(1))
    torch.autograd.backward(y, grad)

    x_ref, step_ref = x.detach().clone().requires_grad_(), step.detach().clone().requires_grad_()
    wanted = quantised(x_ref, scaled(step_ref, found.limits[1], x.numel()), found.limits)
    torch.autograd.backward(wanted, grad)
    torch.testing.assert_close(y, wanted)
    torch.testing.assert_close(x.grad, x_ref.grad)
    torch.testing.assert_close(step.grad, step_ref.grad, rtol=1e-4, atol=1e-4)


def test_a_fixed_step_passes_gradients_where_nothing_is_clipped() -> None:
    found = operand(2)
    found.x_scale = 1.0
    x = torch.tensor([-0.6, -0.4, 0.6, 3.4, 3.6]).view(1, 5, 1, 1).requires_grad_()
    found(x).sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert not found.learned_parameters()


def test_a_learned_step_stays_and_does_not_vanish() -> None:
    x = values()
    found = calibrated(4, x)
    before = found.x_scale
    found.learn_steps()
    (step,) = found.learned_parameters()
    with torch.no_grad():
        step.mul_(0.5)
    found.settle()
    found.calibrating = True
    found(x)
    assert found.x_scale == pytest.approx(before / 2)
    with torch.no_grad():
        step.fill_(-1.0)
    found.settle()
    assert found.x_scale == pytest.approx(LEAST_SHARE * before)


def test_what_is_all_zero_stays_so() -> None:
    zeros = torch.zeros(2, *SHAPE)
    assert torch.equal(calibrated(4, zeros)(zeros), zeros)


def test_bfloat16_stays_bfloat16() -> None:
    x = values()
    found = calibrated(8, x)
    read = found(x.to(torch.bfloat16))
    assert read.dtype == torch.bfloat16
    assert float((read.float() - x).abs().max()) < 0.01


def test_one_that_is_not_calibrated_is_refused() -> None:
    with pytest.raises(UsageError, match=r"b\.add: not calibrated"):
        operand(4)(values())


@pytest.mark.parametrize(("bits", "signed", "least"), [(17, False, 1), (1, True, 2)])
def test_bits_out_of_range_are_refused(bits: int, signed: bool, least: int) -> None:
    said = rf"b\.add: x_bits: found {bits}; allowed is {least} to 16"
    with pytest.raises(HardwareError, match=said):
        operand(bits, signed=signed)
