"""What happens between driven rows and partial sums: each effect alone, by its definition."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cimsearch.cim.chain import Chain
from cimsearch.cim.columns import ConverterErrors
from cimsearch.spec.cell_noise import CubicIv, SramNoise
from cimsearch.spec.column_noise import AdcNoise, Impulse, Saturation, Transfer
from cimsearch.spec.hardware import Noise as MacroNoise
from tests.unit.cim.builders import analog
from tests.unit.cim.chains import (
    FINE,
    RESISTIVE,
    SRAM,
    assert_spread,
    binary,
    chain,
    everything,
    on_macro,
    single,
    sums_of,
)

# Which effects are on.


def test_there_is_no_chain_where_nothing_is_on() -> None:
    assert chain(analog()) is None
    assert chain(on_macro(saturation=None, iv=None)) is None
    no_errors = ConverterErrors(
        torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), torch.zeros(1, 1), torch.zeros(1, 1, 1).long()
    )
    assert chain(on_macro(adc=AdcNoise()), errors=no_errors) is None


def test_without_a_macro_there_is_only_the_noise_of_conversions() -> None:
    numerics = analog(adc_sigma_frac=0.01)
    assert chain(numerics, scale=0.5) == Chain(sigma=0.5 * 0.01 * numerics.full_scale)


def test_at_a_noise_scale_of_0_all_is_ideal() -> None:
    numerics, given = everything()
    assert chain(numerics, scale=0.0, **given) is None


def test_the_noise_scale_is_a_factor_on_every_error() -> None:
    numerics, given = everything()
    full, half = chain(numerics, **given), chain(numerics, scale=0.5, **given)
    assert full is not None
    assert half is not None
    tensors: list[tuple[Tensor | None, Tensor | None, float]] = [
        (half.gain, full.gain, 0.5),
        (half.offset, full.offset, 0.5),
        (half.inl, full.inl, 0.5),
        (half.read_power, full.read_power, 0.25),
        (half.levels, full.levels, 1.0),
        (half.index, full.index, 1.0),
    ]
    for some, whole, factor in tensors:
        assert some is not None
        assert whole is not None
        assert torch.allclose(some.double(), factor * whole.double(), atol=1e-8)
    assert half.jitter_frac == 0.5 * full.jitter_frac == 0.025
    assert half.sigma == 0.5 * full.sigma
    assert half.saturation == full.saturation == ("tanh", 0.6 * numerics.largest_sum)
    assert half.impulse == Impulse(probability=0.005)
    assert half.transfer is not None
    assert full.transfer is not None
    (ideal, mean, sigma), (_, whole_mean, whole_sigma) = half.transfer, full.transfer
    assert torch.allclose(mean - ideal, 0.5 * (whole_mean - ideal))
    assert torch.allclose(sigma, 0.5 * whole_sigma)


def test_impulses_are_at_most_certain() -> None:
    effects = chain(on_macro(impulse=Impulse(probability=0.8)), scale=2.0)
    assert effects is not None
    assert effects.impulse == Impulse(probability=1.0)


# Inputs.


def test_a_curve_by_hand() -> None:
    """V = 0.5 V and kappa = 0.4 / V^2: u - 0.1 u^3, over 0.9, at thirds of the full level."""
    assert RESISTIVE.cell.v_read_v == 0.5  # type: ignore[union-attr]  # of a resistive cell
    effects = chain(on_macro(RESISTIVE, {"dac_bits": 2}, iv=CubicIv(cubic_per_v2=0.4)))
    assert effects is not None
    found = sums_of(*single([0, 1, 2, 3]), effects)
    expected = torch.tensor([0, 3 * (1 / 3 - 0.1 / 27) / 0.9, 3 * (2 / 3 - 0.8 / 27) / 0.9, 3])
    assert torch.allclose(found.flatten(), expected, atol=FINE)


def test_jitter_is_one_draw_a_row_and_vector() -> None:
    """An error of sigma sqrt(sum x^2 g^2), and that of a row is the same in all columns."""
    effects = chain(on_macro(sram=SramNoise(pulse_jitter_frac=0.1)))
    assert effects is not None
    planes = torch.ones(2, 3000, 16)
    found = sums_of(planes, torch.ones(16, 3), effects, images=3)
    assert torch.equal(found[..., 0], found[..., 1])
    assert_spread(found[..., 0] - 16, 0.1 * 16**0.5)
    apart = sums_of(planes[:, :, :2], torch.eye(2), effects, images=3) - 1
    assert abs(float((apart[..., 0] * apart[..., 1]).mean())) < 5 * 0.01 / 6000**0.5
    assert not bool(sums_of(planes * 0, torch.ones(16, 3), effects, images=3).any())


# Partial sums.


def test_read_noise_has_the_variance_of_noisy_cells() -> None:
    """As if every cell had noise of its own: sqrt(sum x^2 v), whatever the inputs' levels."""
    numerics = on_macro(changes={"dac_bits": 2})
    planes = torch.tensor([3.0, 0.0, 1.0, 2.0]).expand(2, 9000, 4)
    power = torch.tensor([[0.01, 0.04], [9.0, 9.0], [0.04, 0.09], [0.0, 0.25]])
    effects = chain(numerics, read_power=power)
    assert effects is not None
    found = sums_of(planes, torch.ones(4, 2), effects, images=3) - 6
    assert_spread(found[..., 0], (9 * 0.01 + 0.04) ** 0.5)
    assert_spread(found[..., 1], (9 * 0.04 + 0.09 + 4 * 0.25) ** 0.5)
    assert abs(float(found.prod(dim=-1).mean())) < 5 * 0.36 * 1.3 / 18000**0.5


def test_cells_that_are_not_driven_have_no_read_noise() -> None:
    effects = chain(on_macro(), read_power=torch.ones(4, 2))
    assert effects is not None
    assert not bool(sums_of(torch.zeros(1, 50, 4), torch.ones(4, 2), effects).any())


@pytest.mark.parametrize(
    ("shape", "compressed"),
    [
        ("clip", lambda p: p.clamp(-16, 16)),
        ("tanh", lambda p: 16 * torch.tanh(p / 16)),
        ("hyperbolic", lambda p: p / (1 + p.abs() / 16)),
    ],
)
@pytest.mark.parametrize(("encoding", "at_frac"), [("offset", 0.25), ("differential", 0.25)])
def test_saturation(
    shape: Any, compressed: Callable[[Tensor], Tensor], encoding: Any, at_frac: float
) -> None:
    """S is a share of the largest magnitude: 64 rows of cells of 1 bit, so 16, in both."""
    noise = MacroNoise(saturation=Saturation(shape=shape, at_frac=at_frac))
    macro = SRAM.model_copy(update={"noise": noise})
    effects = chain(analog(encoding, macro=macro))
    assert effects is not None
    values = torch.tensor([-64.0, -16.0, -3.0, 0.0, 1.0, 15.0, 16.0, 64.0])
    found = sums_of(*single(values), effects)
    assert torch.allclose(found.flatten(), compressed(values), atol=FINE)


def test_a_measured_transfer_by_hand() -> None:
    """Points at 0, 32 and 64 of 64 rows: linear between them, of slope 1 outside."""
    measured = Transfer(
        ideal_frac=(0.0, 0.5, 1.0), mean_frac=(0.0625, 0.5, 0.75), sigma_frac=(0.0, 0.0, 0.0)
    )
    effects = chain(on_macro(transfer=measured))
    assert effects is not None
    found = sums_of(*single([-8, 0, 8, 16, 32, 40, 64, 80]), effects)
    assert found.flatten().tolist() == [-4, 4, 11, 18, 32, 36, 48, 64]


@pytest.mark.parametrize(
    ("ideal", "sigma"), [(-8, 0.64), (0, 0.64), (16, 0.96), (32, 1.28), (64, 1.28), (80, 1.28)]
)
def test_the_spread_of_a_measured_transfer(ideal: float, sigma: float) -> None:
    measured = Transfer(ideal_frac=(0.0, 0.5), mean_frac=(0.0, 0.5), sigma_frac=(0.01, 0.02))
    effects = chain(on_macro(transfer=measured))
    assert effects is not None
    found = sums_of(*single(torch.full((20_000,), float(ideal))), effects, images=4)
    assert_spread(found - ideal, sigma)


def test_fractions_are_of_the_largest_magnitude_where_sums_are_signed() -> None:
    measured = Transfer(ideal_frac=(-1, 1), mean_frac=(-0.5, 0.5), sigma_frac=(0, 0))
    macro = SRAM.model_copy(update={"noise": MacroNoise(transfer=measured)})
    effects = chain(analog("differential", macro=macro))
    assert effects is not None
    assert sums_of(*single([-64, -32, 0, 64]), effects).flatten().tolist() == [-32, -16, 0, 32]


def test_the_noise_of_a_conversion() -> None:
    numerics = analog(adc_sigma_frac=0.01)
    effects = chain(numerics)
    assert effects is not None
    planes, matrix = binary(3, 2000, 20), binary(20, 5, seed=1)
    found = sums_of(planes, matrix, effects, images=4) - planes @ matrix
    assert_spread(found, 0.64)
    apart = found.view(12, -1)[:, :2].tolist()
    assert len(set(map(tuple, apart))) == 12  # 3 planes of 4 images


def test_the_order_of_effects() -> None:
    """Saturation, then transfer, gain, offset: 64, 16, 8, 12, 13."""
    points = (torch.tensor([0.0, 16.0]), torch.tensor([0.0, 8.0]), torch.zeros(2))
    effects = Chain(
        saturation=("clip", 16.0),
        transfer=points,
        gain=torch.tensor([0.5]),
        offset=torch.tensor([1.0]),
    )
    assert sums_of(*single([64.0]), effects).item() == 13
