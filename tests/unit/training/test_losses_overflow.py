"""Sums beyond the converters' range: by hand, against the crossbar's rows, and downhill."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from cimsearch.cim import CimLayer
from cimsearch.cim.converter import Ranges
from cimsearch.training.losses.overflow import Inputs, overflow
from tests.unit.cim.builders import ENCODINGS, analog, calibrate, conv_node, layer, linear_node


def ranges(lo: float, lsb: float) -> Ranges:
    one = np.ones((1, 1, 1))
    return Ranges(lo * one, lsb * one, 0 * one)


def one_conversion() -> CimLayer:
    """Rows of 4 weights whose sum is one conversion from -8 to 6, in units of codes."""
    numerics = analog(
        "differential", dac_bits=4, cell_bits=3, adc_bits=3, rows=4, active_rows=4,
        range_policy="layer",
    )  # fmt: skip
    built = layer(linear_node(4, 1), numerics)
    built.x_scale = 0.5
    built.weight.data = torch.tensor([0.7, -0.7, 0.3, 0.0]).view(1, 4, 1, 1)
    built.set_ranges(ranges(-8.0, 2.0))
    return built


def test_one_sum_by_hand() -> None:
    # Codes 3, 1, 1, 0 and 7, -7, 3, 0: the sum is 17, its range has the middle -1 and half 7.
    built = one_conversion()
    x = torch.tensor([1.5, 0.5, 0.5, 0.0]).view(1, 4, 1, 1).requires_grad_()
    found = overflow(built, x, 1.0)
    assert float(found.detach()) == pytest.approx(18 / 7 - 1)
    grad_x, grad_w = torch.autograd.grad(found, (x, built.weight))
    # A step of an input is worth its weight's code, a step of a weight its input's.
    assert torch.allclose(grad_x.flatten(), torch.tensor([7.0, -7.0, 3.0, 0.0]) / 7 / 0.5)
    assert torch.allclose(grad_w.flatten(), torch.tensor([3.0, 1.0, 1.0, 0.0]) / 7 / 0.1)


def test_the_share_of_the_range_that_is_free() -> None:
    built = one_conversion()
    x = torch.tensor([1.5, 0.5, 0.5, 0.0]).view(1, 4, 1, 1)
    for range_frac in (0.5, 1.5, 3.0):
        wanted = max(0.0, 18 / 7 - range_frac)
        assert float(overflow(built, x, range_frac).detach()) == pytest.approx(wanted)


def test_a_clipped_input_gets_no_gradient() -> None:
    built = one_conversion()
    x = torch.tensor([99.0, 0.5, 0.5, 0.0]).view(1, 4, 1, 1).requires_grad_()
    (grad,) = torch.autograd.grad(overflow(built, x, 1.0), x)
    assert grad.flatten().tolist() == pytest.approx([0.0, -2.0, 6 / 7, 0.0])


@settings(max_examples=30)
@given(
    encoding=st.sampled_from(ENCODINGS),
    groups=st.sampled_from([1, 2]),
    policy=st.sampled_from(["layer", "column"]),
    seed=st.integers(0, 99),
)
def test_sums_are_those_of_row_groups(encoding: str, groups: int, policy: str, seed: int) -> None:
    """Of integers as a crossbar adds them: rows that lie in one group, offset and all."""
    generator = torch.Generator().manual_seed(seed)
    numerics = analog(encoding, rows=48, active_rows=24, adc_bits=3, range_policy=policy)  # type: ignore[arg-type]
    built = layer(conv_node(6, 4, 5, out_shape=(4, 5, 5), groups=groups), numerics, seed=seed)
    x = torch.rand(3, 6, 5, 5, generator=generator).contiguous(memory_format=torch.channels_last)
    calibrate(built, x)
    product, _, _ = built.quantised(x, built.weight.detach())
    windows = functional.unfold(product.x, (3, 3), padding=1)
    windows = windows.view(3, groups, windows.shape[1] // groups, 25)
    stored = (product.w + numerics.offset).reshape(groups, 4 // groups, -1)
    beyond = []
    for group, (start, stop) in zip(
        built.converters.row_groups, product.geometry.row_groups, strict=True
    ):
        part = torch.einsum("ngkp,gok->ngop", windows[:, :, start:stop], stored[..., start:stop])
        sums = part.reshape(3, 4, 25)
        lo, hi = ((group.zero + group.step * end).view(1, -1, 1) for end in (group.lo, group.hi))
        beyond.append(((2 * sums - lo - hi).abs() / (hi - lo) - 0.1).relu().mean())
    wanted = float(torch.stack(beyond).mean())
    assert float(overflow(built, x, 0.1).detach()) == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert wanted > 0


def test_a_step_downhill_brings_sums_nearer() -> None:
    built = layer(conv_node(), analog(adc_bits=3, range_policy="layer"))
    x = torch.rand(4, 12, 6, 6, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    calibrate(built, x)
    before = overflow(built, x, 0.3)
    (grad,) = torch.autograd.grad(before, built.weight)
    with torch.no_grad():
        built.weight.sub_(grad, alpha=0.05 * float(built.weight.norm() / grad.norm()))
        assert float(overflow(built, x, 0.3)) < float(before.detach())


def test_only_inputs_of_passes_with_gradients_are_kept_and_only_once() -> None:
    built = one_conversion()
    x = torch.rand(2, 4, 1, 1, generator=torch.Generator().manual_seed(0))
    inputs = Inputs([built])
    with torch.no_grad():
        built(x)
    assert not inputs.take()
    built(x)
    [(kept_of, kept)] = inputs.take().items()
    assert kept_of is built
    assert kept is x
    assert not inputs.take()
    inputs.close()
    built(x)
    assert not inputs.take()
