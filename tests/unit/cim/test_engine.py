"""The levels against the integer product, the closed form, and the bit-serial oracle."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from cimsearch.cim import LayerNumerics
from cimsearch.cim.converter import Ranges, conversion_of, full_scale_ranges
from cimsearch.cim.engine import Converters, Equivalent, Product, exact, level0, level1, prepare
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.noise import NoiseStream
from tests.reference.crossbar_oracle import Floats, Ints
from tests.unit.cim.builders import (
    ENCODINGS,
    analog,
    codes,
    conv_node,
    generator,
    layer,
    linear_node,
    numerics_strategy,
    oracle,
    product,
)

STREAM = NoiseStream(generator())


def quiet(built: Product, groups: Any, offset: int) -> torch.Tensor:
    converters = Converters(groups, offset, float(offset))
    return level1(built, converters, noise=STREAM.next(len(built.x)), noise_scale=0.0)


def l1(x: Ints, w: Ints, numerics: LayerNumerics, ranges: Ranges | None = None) -> Floats:
    """L1 of a linear layer with a scale of 1, without its random noise."""
    node = linear_node(*w.shape)
    built = product(layer(node, numerics), x, w)
    ranges = ranges or full_scale_ranges(numerics)
    conversion = conversion_of(numerics, ranges, len(built.geometry.row_groups))
    groups = prepare(conversion, built.geometry, built.w.shape)
    y = quiet(built, groups, numerics.offset)
    return y[:, :, 0, 0].double().numpy()


@given(numerics_strategy(), st.integers(1, 60))
@settings(deadline=None)
def test_exact_is_the_integer_product(numerics: LayerNumerics, rows: int) -> None:
    x, w = codes(numerics, rows, 3, 4)
    y = exact(product(layer(linear_node(rows, 3), numerics), x, w))
    assert np.array_equal(y[:, :, 0, 0].numpy(), x @ w)


@given(numerics_strategy(), st.integers(1, 60))
@settings(deadline=None)
def test_l1_with_a_lossless_converter_is_the_integer_product(
    numerics: LayerNumerics, rows: int
) -> None:
    x, w = codes(numerics, rows, 3, 4)
    one = np.ones((1, 1, 1))
    widest = 2.0**15
    ranges = Ranges(np.floor(numerics.lowest_sum / widest) * widest * one, one, 0 * one)
    lossless = analog(**{**vars_of(numerics), "adc_bits": 16})
    assert np.array_equal(l1(x, w, lossless, ranges), x @ w)


def vars_of(numerics: LayerNumerics) -> dict[str, Any]:
    return {f: getattr(numerics, f) for f in numerics.__dataclass_fields__}


@given(st.sampled_from(["offset", "differential"]), st.integers(1, 8), st.integers(1, 90))
@settings(deadline=None)
def test_one_conversion_of_the_whole_sum_is_exact_at_l1(
    encoding: Any, adc_bits: int, rows: int
) -> None:
    numerics = analog(
        encoding, w_bits=3, cell_bits=3, x_bits=2, dac_bits=2, adc_bits=adc_bits, rows=32,
        active_rows=16,
    )  # fmt: skip
    x, w = codes(numerics, rows, 4, 20)
    ranges = full_scale_ranges(numerics)
    wanted = oracle(x, w, numerics, adc_lo=ranges.lo, adc_lsb=ranges.lsb)
    assert np.array_equal(l1(x, w, numerics), wanted)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("adc_bits", "x_signed"), [(5, False), (6, False), (5, True)])
def test_the_variance_of_l1_is_the_formula_and_that_of_the_bit_serial_oracle(
    encoding: Any, adc_bits: int, x_signed: bool
) -> None:
    numerics = analog(
        encoding, w_bits=5, x_bits=5, adc_bits=adc_bits, x_signed=x_signed, rows=128,
        active_rows=64,
    )  # fmt: skip
    x, w = codes(numerics, 576, 24, 400)
    ranges = full_scale_ranges(numerics)
    power = float(conversion_of(numerics, ranges, 9).l0_sigma[0] ** 2)
    serial = oracle(x, w, numerics, adc_lo=ranges.lo, adc_lsb=ranges.lsb) - x @ w
    once = l1(x, w, numerics) - x @ w
    assert np.var(once) == pytest.approx(power, rel=0.05)
    assert np.var(serial) == pytest.approx(power, rel=0.2)


def test_l0_has_the_variance_of_the_formula() -> None:
    numerics = analog("offset", adc_sigma_frac=0.01)
    x, w = codes(numerics, 200, 16, 2000)
    built = product(layer(linear_node(200, 16), numerics), x, w)
    conversion = conversion_of(numerics, full_scale_ranges(numerics), 4)
    error = level0(
        built, Equivalent(torch.from_numpy(conversion.l0_sigma).float()), STREAM.next(len(built.x))
    ) - exact(built)
    assert float(error.std()) == pytest.approx(conversion.l0_sigma.item(), rel=0.03)
    assert abs(float(error.mean())) < 0.05 * conversion.l0_sigma.item()


def test_noise_of_conversions_is_that_of_the_oracle() -> None:
    numerics = analog("twos_complement", adc_bits=6, adc_sigma_frac=0.006)
    x, w = codes(numerics, 320, 16, 400)
    ranges = full_scale_ranges(numerics)
    serial = oracle(
        x, w, numerics, adc_lo=ranges.lo, adc_lsb=ranges.lsb, adc_noise=numerics.adc_sigma,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    sigma = conversion_of(numerics, ranges, 5).l0_sigma.item()
    assert np.std(serial - x @ w) == pytest.approx(sigma, rel=0.05)


def test_l1_saturates_at_the_range() -> None:
    numerics = analog("twos_complement", w_bits=2, x_bits=1, adc_bits=3, rows=64)
    x, w = np.ones((1, 64), dtype=np.int64), np.ones((64, 1), dtype=np.int64)
    one = np.ones((1, 1, 1))
    assert l1(x, w, numerics, Ranges(0 * one, one, 0 * one)).item() == 7


def test_row_groups_convert_on_their_own() -> None:
    # Each half of the rows sums to 1, which a step of 2 rounds to 0; together they are 2.
    apart, together = (
        analog("differential", w_bits=2, x_bits=1, rows=8, active_rows=rows) for rows in (4, 8)
    )
    x = np.array([[1, 0, 0, 0, 0, 0, 0, 1]])
    w = np.ones((8, 1), dtype=np.int64)
    one = np.ones((1, 1, 1))
    ranges = Ranges(0 * one, 2 * one, 0 * one)
    assert l1(x, w, apart, ranges).item() == 0
    assert l1(x, w, together, ranges).item() == 2


def _as_matrix(x: torch.Tensor, kernel: int, stride: int) -> Ints:
    columns = functional.unfold(x, kernel, padding=kernel // 2, stride=stride)
    return columns.transpose(1, 2).flatten(0, 1).long().numpy()


@pytest.mark.parametrize("encoding", ["offset", "twos_complement", "differential"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_the_product_of_its_windows(encoding: Any, stride: int) -> None:
    numerics = analog(encoding, rows=40, active_rows=25, adc_bits=4)
    node = conv_node(7, 5, 6, stride=(stride, stride))
    geometry = Geometry.of(node, numerics)
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(0, 16, (3, 7, 6, 6))).float()
    weight = torch.from_numpy(rng.integers(-7, 8, (5, 7, 3, 3))).float()
    built = Product(
        image.contiguous(memory_format=torch.channels_last),
        weight.contiguous(memory_format=torch.channels_last),
        torch.ones(5, 1, 1, 1),
        geometry,
    )
    ranges = full_scale_ranges(numerics)
    groups = prepare(conversion_of(numerics, ranges, 3), geometry, weight.shape)
    y = quiet(built, groups, numerics.offset)
    matrix = l1(_as_matrix(image, 3, stride), weight.reshape(5, -1).long().numpy().T, numerics)
    assert np.allclose(y.permute(0, 2, 3, 1).reshape(-1, 5).numpy(), matrix, atol=1e-3)


def test_groups_of_a_convolution_are_converted_on_their_own() -> None:
    numerics = analog("offset", rows=18, active_rows=18, adc_bits=4)
    node = conv_node(6, 6, 4, groups=2)
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(0, 16, (2, 6, 4, 4))).float()
    weight = torch.from_numpy(rng.integers(-7, 8, (6, 3, 3, 3))).float()
    ranges = full_scale_ranges(numerics)

    def run(node: Any, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        geometry = Geometry.of(node, numerics)
        groups = prepare(conversion_of(numerics, ranges, 2), geometry, w.shape)
        whole = Product(x, w, torch.ones(len(w), 1, 1, 1), geometry)
        return quiet(whole, groups, numerics.offset)

    together = run(node, image, weight)
    halves = [
        run(conv_node(3, 3, 4), image[:, 3 * g : 3 * g + 3], weight[3 * g : 3 * g + 3])
        for g in range(2)
    ]
    assert torch.allclose(together, torch.cat(halves, dim=1))


def test_bfloat16_agrees_with_float32() -> None:
    numerics = analog("offset")
    x, w = codes(numerics, 144, 8, 50)
    built = product(layer(linear_node(144, 8), numerics), x, w)
    half = Product(built.x.bfloat16(), built.w, built.scale, built.geometry)
    groups = prepare(
        conversion_of(numerics, full_scale_ranges(numerics), 3), built.geometry, built.w.shape
    )
    for full, fast in (
        (exact(built), exact(half)),
        *(
            (quiet(built, groups, 8),
             quiet(half, groups, 8)),
        ),
    ):  # fmt: skip
        assert fast.dtype == torch.bfloat16
        assert torch.allclose(full, fast.float(), rtol=2**-8, atol=0)
