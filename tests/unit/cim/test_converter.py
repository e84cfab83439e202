"""The converter: error of one conversion, ranges, what L0 and L1 make of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.cim.converter import (
    conversion_of,
    conversion_variance,
    fit_ranges,
    full_scale_ranges,
)
from tests.reference.crossbar_oracle import adc
from tests.unit.cim.builders import analog


@pytest.mark.parametrize("lsb", [2.0, 4.0, 6.0, 16.0])
def test_variance_of_even_steps(lsb: float) -> None:
    assert conversion_variance(lsb) == pytest.approx((lsb**2 + 2) / 12)


@pytest.mark.parametrize("lsb", [1.0, 3.0, 5.0, 9.0])
def test_variance_of_odd_steps(lsb: float) -> None:
    assert conversion_variance(lsb) == pytest.approx((lsb**2 - 1) / 12)


@pytest.mark.parametrize("lsb", [1.0, 0.5, 0.125])
def test_a_step_that_every_integer_is_a_multiple_of_is_lossless(lsb: float) -> None:
    assert conversion_variance(lsb) == 0.0


@pytest.mark.parametrize(
    ("lsb", "sigma"), [(1.0, 0.3), (2.0, 0.4), (2.0, 2.0), (3.0, 0.7), (0.5, 0.4)]
)
def test_variance_with_noise_is_what_a_converter_does(lsb: float, sigma: float) -> None:
    rng = np.random.default_rng(0)
    p = rng.integers(0, 240, 400_000).astype(np.float64)
    code = adc(p + sigma * rng.standard_normal(p.shape), 12, np.array(-100.0), np.array(lsb))
    assert conversion_variance(lsb, sigma) == pytest.approx(np.mean((code - p) ** 2), rel=0.02)


@given(st.integers(1, 40), st.floats(0.05, 3))
def test_noise_never_helps(lsb: int, sigma: float) -> None:
    assert conversion_variance(float(lsb), sigma) >= conversion_variance(float(lsb)) * (1 - 1e-9)


def test_full_scale_is_a_power_of_two_that_spans_all_active_rows() -> None:
    ranges = full_scale_ranges(analog(active_rows=64, adc_bits=5))
    assert (ranges.lo.item(), ranges.lsb.item()) == (0.0, 2.0)
    ranges = full_scale_ranges(analog(active_rows=100, adc_bits=5))
    assert (ranges.lo.item(), ranges.lsb.item()) == (0.0, 4.0)
    ranges = full_scale_ranges(analog("differential", active_rows=100, adc_bits=5))
    assert (ranges.lo.item(), ranges.lsb.item()) == (-104.0, 8.0)
    ranges = full_scale_ranges(analog(active_rows=64, adc_bits=8))
    assert ranges.lsb.item() == 0.25


def test_a_range_that_holds_all_sums_is_lossless() -> None:
    values = np.arange(65, dtype=np.float64)
    counts = np.zeros((1, 65))
    counts[0, 10:41] = 1
    lo, lsb, clip = fit_ranges(counts, values, 5)
    assert (lo.item(), lsb.item(), clip.item()) == (10.0, 1.0, 0.0)


def test_rare_large_sums_are_clipped() -> None:
    values = np.arange(257, dtype=np.float64)
    counts = np.exp(-0.5 * ((values - 30) / 5) ** 2)[None]
    counts[0, 256] = 1e-6
    lo, lsb, clip = fit_ranges(counts, values, 4)
    assert lo.item() + 15 * lsb.item() < 100
    assert clip.item() > 0


@given(st.integers(0, 2**32), st.integers(2, 6))
def test_a_fitted_range_is_no_worse_than_all_that_was_seen(seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.arange(-64, 65, dtype=np.float64)
    counts = rng.gamma(0.3, size=(3, 129)) + 1e-12
    lo, lsb, clip = (v[:, None] for v in fit_ranges(counts, values, bits))
    whole = max(1.0, np.ceil(128 / (2**bits - 1) * 8) / 8)
    start = np.floor(-64 / whole) * whole
    fitted = np.sum(counts * (adc(values, bits, lo, lsb) - values) ** 2, axis=1)
    wide = np.sum(
        counts * (adc(values, bits, np.array(start), np.array(whole)) - values) ** 2, axis=1
    )
    assert np.all(fitted <= wide * (1 + 1e-9))
    assert np.all(clip >= 0)


def test_levels_follow_the_closed_form() -> None:
    numerics = analog("offset", w_bits=4, x_bits=4, adc_bits=5)
    ranges = full_scale_ranges(numerics)
    power = (1 + 4 + 16 + 64) ** 2
    variance = (2.0**2 + 2) / 12 * power
    found = conversion_of(numerics, ranges, groups=3)
    assert found.step == pytest.approx(np.full((3, 1), np.sqrt(12 * variance)))
    assert found.sigma == pytest.approx(0)
    assert found.l0_sigma == pytest.approx(np.sqrt(3 * variance))
    assert found.lo == pytest.approx(0)
    assert found.hi == pytest.approx(62 * 15 * 15)


def test_two_conversions_have_twice_the_variance() -> None:
    one, two = (
        conversion_of(n, full_scale_ranges(n), 1)
        for n in (analog("differential", active_rows=32), analog("differential_digital"))
    )
    assert two.l0_sigma**2 == pytest.approx(2 * one.l0_sigma**2)
    assert two.lo == pytest.approx(-two.hi)


def test_one_conversion_of_the_whole_sum_is_the_converter_itself() -> None:
    numerics = analog("differential", cell_bits=3, dac_bits=4, adc_sigma_frac=0.001)
    found = conversion_of(numerics, full_scale_ranges(numerics), 2)
    assert found.step == pytest.approx(numerics.full_scale / 2**5, rel=1)
    assert np.all(np.log2(found.step) % 1 == 0)
    assert found.sigma == pytest.approx(numerics.adc_sigma)
