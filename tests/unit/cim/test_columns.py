"""Static errors of a chip's converters: which they are, and their distributions."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cimsearch.cim import LayerNumerics
from cimsearch.cim.columns import ConverterErrors, chip_converters
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.layout import Layout, layout_of
from cimsearch.spec import load_hardware
from cimsearch.spec.column_noise import AdcNoise
from cimsearch.spec.hardware import Encoding, Noise
from tests.unit.cim.builders import analog, conv_node, generator

MACRO = load_hardware("macros/yu_cicc_2020").macro


def numerics_with(
    adc: AdcNoise | None, encoding: Encoding = "offset", **changes: Any
) -> LayerNumerics:
    settings: dict[str, Any] = {
        "cols": 32,
        "macro": MACRO.model_copy(update={"noise": Noise(adc=adc)}),
    }
    return analog(encoding, **(settings | changes))


def laid_out(numerics: LayerNumerics, channels: int = 40, outputs: int = 21) -> Layout:
    node = conv_node(channels, outputs)
    return layout_of(numerics, Geometry.of(node, numerics), channels * 9, outputs)


def drawn(numerics: LayerNumerics, *, seed: int = 0, **size: int) -> ConverterErrors:
    errors = chip_converters(numerics, laid_out(numerics, **size), generator(seed))
    assert errors is not None
    return errors


def one_each(values: Tensor, index: Tensor) -> Tensor:
    """The values of converters, each once."""
    _, places = np.unique(index.flatten().numpy(), return_index=True)
    return values.flatten()[torch.from_numpy(places)]


def assert_spread(values: Tensor, sigma: float) -> None:
    """Mean and standard deviation are those of N(0, sigma), within five standard errors."""
    n = values.numel()
    assert abs(float(values.mean())) < 5 * sigma / n**0.5
    assert abs(float(values.std()) - sigma) < 5 * sigma / (2 * n) ** 0.5


@pytest.mark.parametrize(
    "adc", [None, AdcNoise(), AdcNoise(full_scale_mv=500, thermal_sigma_mv=1)]
)
def test_without_static_errors_there_are_none(adc: AdcNoise | None) -> None:
    numerics = numerics_with(adc)
    assert chip_converters(numerics, laid_out(numerics), generator()) is None


def test_without_a_macro_there_are_none() -> None:
    numerics = analog()
    assert chip_converters(numerics, laid_out(numerics), generator()) is None


@pytest.mark.parametrize("encoding", ["offset", "differential", "differential_digital"])
@pytest.mark.parametrize("shared", [1, 4])
def test_who_shares_a_converter(encoding: Encoding, shared: int) -> None:
    """Lines of one tile, array and converter, and they alone: a check by hand, line by line."""
    numerics = numerics_with(
        AdcNoise(offset_sigma_frac=0.01), encoding, columns_per_adc=shared, active_rows=50
    )
    layout = laid_out(numerics)
    errors = drawn(numerics)
    slices, pair = len(numerics.slice_weights), 1 if encoding == "offset" else 2
    halves = numerics.conversions
    assert errors.index.shape == (len(layout.row_groups), halves * slices, 21)
    at_once = 32 // (slices * pair)
    place: dict[tuple[int, int, int], int] = {}
    for group, (start, _) in enumerate(layout.row_groups):
        for line in range(halves * slices):
            for n in range(21):
                half, part = divmod(line, slices)
                bitline = (n % at_once) * slices * pair + part * pair + half
                found = int(errors.index[group, line, n])
                key = (start // 128, n // at_once, bitline // shared)
                assert place.setdefault(key, found) == found
    assert len(set(place.values())) == len(place)
    assert len(set(one_each(errors.offset, errors.index).tolist())) == len(place)


def test_row_groups_of_a_tile_share_and_tiles_do_not() -> None:
    errors = drawn(numerics_with(AdcNoise(offset_sigma_frac=0.01, gain_sigma_frac=0.01)))
    for values in (errors.offset, errors.gain):
        assert torch.equal(values[0], values[1])  # rows 0 to 63 and 64 to 127 of 128
        assert not bool((values[0] == values[2]).any())


def test_offset_and_gain_have_their_spread() -> None:
    numerics = numerics_with(AdcNoise(offset_sigma_frac=0.02, gain_sigma_frac=0.03))
    errors = drawn(numerics, channels=60, outputs=500)
    assert_spread(one_each(errors.offset, errors.index), 0.02 * numerics.full_scale)
    assert_spread(one_each(errors.gain, errors.index), 0.03)
    assert errors.inl.tolist() == [[0.0]]


def test_volts_are_fractions_of_the_full_scale() -> None:
    volts = AdcNoise(full_scale_mv=400, offset_sigma_mv=8, inl_sigma_mv=2)
    shares = AdcNoise(offset_sigma_frac=0.02, inl_sigma_frac=0.005)
    by_volts, by_shares = drawn(numerics_with(volts)), drawn(numerics_with(shares))
    assert torch.allclose(by_volts.offset, by_shares.offset)
    assert torch.allclose(by_volts.inl, by_shares.inl)


@pytest.mark.parametrize("bits", [2, 3, 6])
def test_nonlinearity_is_a_bridge_with_its_spread_at_mid_scale(bits: int) -> None:
    numerics = numerics_with(AdcNoise(inl_sigma_frac=0.01), adc_bits=bits)
    inl = drawn(numerics, channels=60, outputs=500).inl
    steps = 2**bits - 1
    assert inl.shape[1] == steps + 1
    assert not bool(inl[:, [0, steps]].any())
    for middle in (steps // 2, steps // 2 + 1):
        assert_spread(inl[:, middle], 0.01 * numerics.full_scale)
    i = torch.arange(1, steps)
    middle = 2 ** (bits - 1)
    expected = (i * (steps - i) / (middle * (steps - middle))).sqrt() * 0.01 * numerics.full_scale
    for code, sigma in zip(i.tolist(), expected.tolist(), strict=True):
        assert_spread(inl[:, code], sigma)


def test_code_widths_are_independent() -> None:
    """Two widths of a bridge of N steps correlate by -1/(N - 1), which the end fit makes."""
    inl = drawn(numerics_with(AdcNoise(inl_sigma_frac=0.01)), channels=60, outputs=500).inl
    widths = inl.diff(dim=1)
    correlation = torch.corrcoef(widths.T)
    off = correlation[~torch.eye(len(correlation), dtype=torch.bool)]
    assert abs(float(off.mean()) + 1 / 30) < 0.002
    assert float((off + 1 / 30).abs().max()) < 6 / len(inl) ** 0.5


def test_a_converter_of_one_bit_has_no_nonlinearity() -> None:
    errors = drawn(numerics_with(AdcNoise(inl_sigma_frac=0.01), adc_bits=1))
    assert not bool(errors.inl.any())


def test_an_effect_does_not_change_the_draws_of_others() -> None:
    all_on = AdcNoise(offset_sigma_frac=0.01, gain_sigma_frac=0.02, inl_sigma_frac=0.03)
    every = drawn(numerics_with(all_on))
    for name in ("offset", "gain", "inl"):
        off = {"offset_sigma_frac", "gain_sigma_frac", "inl_sigma_frac"} - {f"{name}_sigma_frac"}
        alone = drawn(numerics_with(all_on.model_copy(update=dict.fromkeys(off, 0.0))))
        assert torch.equal(getattr(alone, name), getattr(every, name))


def test_the_generator_moves_on_whichever_effects_are_on() -> None:
    after = []
    for adc in (None, AdcNoise(offset_sigma_frac=0.1), AdcNoise(inl_sigma_frac=0.1)):
        numerics, source = numerics_with(adc), generator(3)
        chip_converters(numerics, laid_out(numerics), source)
        after.append(torch.rand(1, generator=source).item())
    assert after[0] == after[1] == after[2]


def test_a_chip_is_the_same_each_time_and_chips_differ() -> None:
    numerics = numerics_with(AdcNoise(offset_sigma_frac=0.01))
    first, again, other = (drawn(numerics, seed=seed).offset for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_errors_of_some_outputs() -> None:
    errors = drawn(numerics_with(AdcNoise(offset_sigma_frac=0.01, inl_sigma_frac=0.01)))
    some = errors.of(slice(3, 9))
    assert torch.equal(some.offset, errors.offset[..., 3:9])
    assert torch.equal(some.gain, errors.gain[..., 3:9])
    assert torch.equal(some.index, errors.index[..., 3:9])
    assert some.inl is errors.inl
