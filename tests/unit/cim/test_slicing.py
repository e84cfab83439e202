"""Planes and slices put together again are the integer product; ranges fit real partial sums."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.cim import LayerNumerics
from cimsearch.cim.calibrate import measure_ranges
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.slicing import input_plane_values, stored_ones_share, weight_slice_values
from cimsearch.spec.hardware import Encoding
from tests.reference.crossbar_oracle import planes, row_groups, slices
from tests.unit.cim.builders import (
    analog,
    codes,
    conv_node,
    linear_node,
    numerics_strategy,
    oracle,
)


@given(numerics_strategy(), st.integers(1, 50))
@settings(deadline=None)
def test_the_oracle_without_a_converter_is_the_integer_product(
    numerics: LayerNumerics, rows: int
) -> None:
    x, w = codes(numerics, rows, 3, 4)
    assert np.array_equal(oracle(x, w, numerics, adc_bits=0), x @ w)


@given(numerics_strategy(), st.integers(1, 50))
@settings(deadline=None)
def test_planes_and_slices_are_those_of_the_oracle(numerics: LayerNumerics, rows: int) -> None:
    x, w = codes(numerics, rows, 3, 4)
    wanted = planes(x, numerics.x_bits, numerics.dac_bits, signed=numerics.x_signed)
    found = input_plane_values(torch.from_numpy(x), numerics).numpy()
    assert tuple(cb for cb, _ in wanted) == numerics.plane_weights
    assert np.array_equal(found, np.stack([values for _, values in wanted]))

    stored = slices(w, numerics.w_bits, numerics.cell_bits, numerics.encoding)
    halves = weight_slice_values(torch.from_numpy(w), numerics).numpy()
    for half in range(len(halves)):
        sign = 1 - 2 * half
        mine = [(cs, values) for _, cs, values in stored[half :: len(halves)]]
        assert tuple(sign * cs for cs, _ in mine) == numerics.slice_weights
        assert np.array_equal(halves[half], np.stack([values for _, values in mine]))


@given(st.integers(1, 200), st.integers(1, 64), st.integers(1, 64))
@settings(deadline=None)
def test_row_groups_are_those_of_the_oracle(rows_used: int, rows: int, active: int) -> None:
    numerics = analog(rows=rows, active_rows=min(active, rows))
    geometry = Geometry.of(linear_node(rows_used, 2), numerics)
    assert list(geometry.row_groups) == list(row_groups(rows_used, rows, numerics.active_rows))


def test_channels_that_a_row_group_reads() -> None:
    geometry = Geometry.of(conv_node(16), analog(rows=128, active_rows=64))
    assert geometry.row_groups == ((0, 64), (64, 128), (128, 144))
    assert geometry.channels == ((0, 8), (7, 15), (14, 16))


def test_share_of_stored_ones() -> None:
    w = torch.tensor([[-3, 0], [3, 1]])
    # Two's complement of 3 bits: 101, 000, 011, 001.
    assert stored_ones_share(w, analog("twos_complement", w_bits=3)) == pytest.approx(5 / 12)
    # Plus 4: 001, 100, 111, 101.
    assert stored_ones_share(w, analog("offset", w_bits=3)) == pytest.approx(7 / 12)
    # Magnitudes 11, 00, 11, 01 in one column of each pair.
    pair = analog("differential", w_bits=3, cell_bits=2)
    assert stored_ones_share(w, pair) == pytest.approx(5 / 16)
    assert stored_ones_share(w, analog("differential_digital", w_bits=3)) == pytest.approx(5 / 16)


@pytest.mark.parametrize("encoding", ["offset", "twos_complement", "differential_digital"])
@pytest.mark.parametrize("policy", ["layer", "column"])
def test_a_wide_enough_fitted_range_is_lossless(encoding: Encoding, policy: str) -> None:
    numerics = analog(
        encoding, adc_bits=7, rows=32, active_rows=32, range_policy=policy, w_bits=5, x_bits=3
    )
    geometry = Geometry.of(linear_node(70, 4), numerics)
    x, w = codes(numerics, 70, 4, 64)
    ranges = measure_ranges(
        torch.from_numpy(x).float()[:, :, None, None],
        torch.from_numpy(np.ascontiguousarray(w.T)).float()[:, :, None, None],
        numerics,
        geometry,
    )
    groups, columns = (3, 4) if policy == "column" else (1, 1)
    assert ranges.lsb.shape == (
        groups,
        len(numerics.slice_weights) if policy == "column" else 1,
        columns,
    )
    assert np.array_equal(oracle(x, w, numerics, adc_lo=ranges.lo, adc_lsb=ranges.lsb), x @ w)


@pytest.mark.parametrize("policy", ["layer", "column"])
def test_fitted_ranges_beat_full_scale(policy: str) -> None:
    fixed, fitted = (
        analog(adc_bits=4, rows=128, active_rows=128, range_policy=policy_)
        for policy_ in ("full_scale", policy)
    )
    geometry = Geometry.of(linear_node(256, 6), fixed)
    x, w = codes(fixed, 256, 6, 200)
    x[np.random.default_rng(1).random(x.shape) < 0.6] = 0
    error = []
    for numerics in (fixed, fitted):
        ranges = measure_ranges(
            torch.from_numpy(x).float()[:, :, None, None],
            torch.from_numpy(np.ascontiguousarray(w.T)).float()[:, :, None, None],
            numerics,
            geometry,
        )
        y = oracle(x, w, numerics, adc_lo=ranges.lo, adc_lsb=ranges.lsb)
        error.append(np.mean((y - x @ w) ** 2))
    assert error[1] < error[0] / 3


@pytest.mark.parametrize("policy", ["layer", "column"])
def test_small_sums_of_a_wide_macro_are_told_apart(policy: str) -> None:
    """Sums up to a few hundred, on a macro whose full scale is 1024 x 127 x 7 steps."""
    numerics = analog(
        "differential",
        adc_bits=6,
        rows=1024,
        active_rows=1024,
        range_policy=policy,
        w_bits=4,
        x_bits=7,
        dac_bits=7,
        cell_bits=3,
    )
    geometry = Geometry.of(linear_node(9, 4), numerics)
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 12, (64, 9)), rng.integers(-2, 3, (4, 9))
    ranges = measure_ranges(
        torch.from_numpy(x).float()[:, :, None, None],
        torch.from_numpy(w).float()[:, :, None, None],
        numerics,
        geometry,
    )
    seen = x @ w.T
    assert float(np.max(ranges.lsb)) <= 2 * (seen.max() - seen.min()) / (2**6 - 1)
