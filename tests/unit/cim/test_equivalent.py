"""L0's equivalent of conversions: the closed form where it holds, else a fit to L2."""

from typing import Any

import pytest
import torch

from cimsearch.cim import CimLayer, Mode
from cimsearch.cim.equivalent import closed_form_holds
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.spec import load_hardware
from cimsearch.spec.column_noise import AdcNoise, Saturation
from cimsearch.spec.study import Level
from tests.unit.cim.builders import analog, calibrate, conv_node, generator, layer

LEVELS: tuple[Level, ...] = ("L0", "L2")
CHIPS = 20
COARSE: dict[str, dict[str, Any]] = {
    "pairs over a full scale": {"encoding": "differential", "adc_bits": 5},
    "offset over a full scale": {"encoding": "offset", "adc_bits": 4},
    "very coarse": {"encoding": "offset", "adc_bits": 3},
    "pairs, several bits": {"encoding": "differential", "adc_bits": 4, "cell_bits": 3},
}


def ready(numerics: LayerNumerics) -> tuple[CimLayer, torch.Tensor]:
    built = layer(conv_node(16, 8, 8), numerics)
    x = torch.rand(64, 16, 8, 8, generator=generator(3)) ** 3
    calibrate(built, x)
    return built, x


def holds(built: CimLayer, x: torch.Tensor) -> bool:
    product, _, _ = built.quantised(x, built.weight.detach())
    assert built._ranges is not None
    return closed_form_holds(product, built.numerics, built._ranges)


@torch.no_grad()
def check_alike(built: CimLayer, x: torch.Tensor) -> None:
    """Over chips the levels err by as much, and follow the ideal product with the same slope."""
    built.mode = Mode(ideal=True)
    ideal = built(x)
    power, slope = {}, {}
    for level in LEVELS:
        built.mode = Mode(level)
        found = torch.stack([built(x) for _ in range(CHIPS)])
        power[level] = float((found - ideal).square().mean())
        slope[level] = float((found * (ideal - ideal.mean())).mean() / ideal.var(correction=0))
    assert power["L0"] == pytest.approx(power["L2"], rel=0.15)
    assert slope["L0"] == pytest.approx(slope["L2"], abs=0.06)


@pytest.mark.parametrize("name", COARSE)
def test_a_coarse_converter_is_fitted(name: str) -> None:
    numerics = analog(rows=256, active_rows=256, cell_sigma_frac=0.02, **COARSE[name])
    built, x = ready(numerics)
    assert not holds(built, x)
    assert built._equivalent.gain is not None
    assert float(built._equivalent.gain.mean()) < 0.95
    check_alike(built, x)


def test_a_fine_converter_needs_no_fit() -> None:
    numerics = analog("differential", rows=64, active_rows=64, adc_bits=4, range_policy="layer")
    built, x = ready(numerics)
    assert holds(built, x)
    assert built._equivalent.gain is None
    check_alike(built, x)


@pytest.mark.parametrize(
    "effects",
    [
        {"saturation": Saturation(shape="tanh", at_frac=0.2)},
        {"adc": AdcNoise(offset_sigma_frac=0.02, inl_sigma_frac=0.01, gain_sigma_frac=0.05)},
    ],
)
def test_what_no_closed_form_knows_is_fitted(effects: dict[str, Any]) -> None:
    macro = load_hardware("macros/yu_cicc_2020").macro
    macro = macro.model_copy(update={"noise": macro.noise.model_copy(update=effects)})
    built, x = ready(
        analog("offset", adc_bits=7, rows=128, active_rows=128, cols=128, macro=macro)
    )
    assert not holds(built, x)
    check_alike(built, x)
