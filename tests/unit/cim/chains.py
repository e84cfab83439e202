"""Chains of effects, and partial sums to put through them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cimsearch.cim import LayerNumerics
from cimsearch.cim.chain import Chain, chain_of, codes_of
from cimsearch.cim.columns import ConverterErrors
from cimsearch.cim.epilogue import Settings
from cimsearch.cim.noise import Noise
from cimsearch.spec import load_hardware
from cimsearch.spec.cell_noise import CubicIv, SramNoise
from cimsearch.spec.column_noise import AdcNoise, Impulse, Saturation, Transfer
from cimsearch.spec.hardware import Noise as MacroNoise
from tests.unit.cim.builders import analog, generator

SRAM = load_hardware("macros/yu_cicc_2020").macro
RESISTIVE = load_hardware("macros/wan_nature_2022").macro
FINE = 2.0**-12


def on_macro(
    macro: Any = SRAM, changes: dict[str, Any] | None = None, **noise: Any
) -> LayerNumerics:
    own = macro.model_copy(update={"noise": MacroNoise.model_construct(**noise)})
    return analog(macro=own, **(changes or {}))


def chain(numerics: LayerNumerics, *, scale: float = 1.0, **given: Any) -> Chain | None:
    return chain_of(numerics, given.get("errors"), 0, given.get("read_power"), scale)


def converters(columns: int, *, lo: float = 0.0, step: float = 1.0, top: int = 31) -> Settings:
    whole = torch.ones(columns)
    return Settings(lo * whole, step * whole, None, torch.ones(1, columns), float(top))


def fresh(images: int, base: int = 12345) -> Noise:
    return Noise(np.arange(base, base + images, dtype=np.uint64))


def sums_of(
    planes: Tensor, matrix: Tensor, effects: Chain, *, images: int = 1, lo: float = -2048.0
) -> Tensor:
    """Partial sums as converters of 24 bits see them."""
    settings = converters(matrix.shape[1], lo=lo, step=FINE, top=2**24 - 1)
    return codes_of(planes, matrix, settings, effects, fresh(images), 0) * FINE + lo


def single(values: list[float] | Tensor) -> tuple[Tensor, Tensor]:
    """Planes and a cell that make partial sums of some values: (1, values, 1) and (1, 1)."""
    return torch.as_tensor(values).float().view(1, -1, 1), torch.ones(1, 1)


def assert_spread(errors: Tensor, sigma: float) -> None:
    """Errors are N(0, sigma) in their first two moments, within five standard errors."""
    n = errors.numel()
    assert abs(float(errors.mean())) < 5 * sigma / n**0.5
    assert abs(float(errors.std()) - sigma) < 5 * sigma / (2 * n) ** 0.5


def binary(*shape: int, seed: int = 0, largest: int = 1) -> Tensor:
    return torch.randint(largest + 1, shape, generator=generator(seed)).float()


def everything(dac_bits: int = 2, columns: int = 6) -> tuple[LayerNumerics, dict[str, Any]]:
    """Every effect at once, whether or not one macro can have them all."""
    numerics = on_macro(
        RESISTIVE,
        {"dac_bits": dac_bits, "adc_sigma_frac": 0.01, "active_rows": 40},
        iv=CubicIv(cubic_per_v2=0.3),
        sram=SramNoise(pulse_jitter_frac=0.05),
        saturation=Saturation(shape="tanh", at_frac=0.6),
        transfer=Transfer(
            ideal_frac=(0, 0.5, 1), mean_frac=(0, 0.45, 0.9), sigma_frac=(0, 0.01, 0.02)
        ),
        adc=AdcNoise(offset_sigma_frac=0.01, gain_sigma_frac=0.02, inl_sigma_frac=0.01),
        impulse=Impulse(probability=0.01),
    )
    source = generator(4)
    shape = (1, 1, columns)
    errors = ConverterErrors(
        torch.randn(shape, generator=source),
        torch.randn(shape, generator=source) * 0.02,
        torch.randn(3, 32, generator=source),
        torch.randint(3, shape, generator=source),
    )
    power = torch.rand(40, columns, generator=source) * 0.01
    return numerics, {"errors": errors, "read_power": power}
