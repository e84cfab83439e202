"""Each effect changes the output of each level, by about as much as at L2."""

from typing import Any

import pytest
import torch

from cimsearch.cim import CimLayer, Mode, numerics_of
from cimsearch.cim.noise import NoiseStream
from cimsearch.spec import load_hardware
from cimsearch.spec.cell_noise import (
    CellReadNoise,
    DeviceToDevice,
    IrDrop,
    PowerLawDrift,
    ProportionalProgramming,
    SramNoise,
    StuckCells,
)
from cimsearch.spec.column_noise import AdcNoise, Impulse, Pvt, Saturation, Transfer
from cimsearch.spec.hardware import Macro
from cimsearch.spec.study import Level
from tests.unit.cim.builders import calibrate, conv_node, generator, layer

SRAM = load_hardware("macros/yu_cicc_2020").macro
RRAM = load_hardware("macros/spetalnick_vlsi_2023").macro
LEVELS: tuple[Level, ...] = ("L0", "L1", "L2")
EFFECTS: dict[str, tuple[Macro, Any]] = {
    "programming": (RRAM, ProportionalProgramming(model="proportional", sigma_frac=0.2)),
    "device_to_device": (SRAM, DeviceToDevice(column_sigma_frac=0.1, chip_sigma_frac=0.1)),
    "stuck": (SRAM, StuckCells(off_frac=0.05, on_frac=0.05)),
    "drift": (RRAM, PowerLawDrift(model="power_law", nu_mean=0.05, nu_sigma=0.02, age_s=1e5)),
    "read": (RRAM, CellReadNoise(model="proportional", sigma_frac=0.3)),
    "ir_drop": (RRAM, IrDrop(bitline_ohm=20.0, wordline_ohm=20.0)),
    "saturation": (SRAM, Saturation(shape="tanh", at_frac=0.3)),
    "sram": (SRAM, SramNoise(vt_sigma_mv=30.0, overdrive_mv=200.0, pulse_jitter_frac=0.1)),
    "adc": (SRAM, AdcNoise(offset_sigma_frac=0.02, gain_sigma_frac=0.1, inl_sigma_frac=0.01)),
    "impulse": (SRAM, Impulse(probability=0.02)),
    "pvt": (SRAM, Pvt(process_sigma_frac=0.2)),
    "transfer": (
        SRAM,
        Transfer(
            ideal_frac=(0.0, 0.5, 1.0), mean_frac=(0.0, 0.4, 0.7), sigma_frac=(0.01, 0.02, 0.03)
        ),
    ),
}
NONE = {"cell_sigma_frac": 0.0, "adc_sigma_frac": 0.0}
CHIPS = 12


def on(macro: Macro, **effects: Any) -> tuple[CimLayer, torch.Tensor]:
    noise = macro.noise.model_copy(update=NONE | effects)
    node = conv_node(16, 8, 8, w_bits=4, x_bits=4, adc_bits=8, range_policy="layer")
    numerics = numerics_of(node, macro.model_copy(update={"noise": noise}))
    assert numerics is not None
    built = layer(node, numerics)
    x = torch.rand(32, 16, 8, 8, generator=generator(3)) ** 2
    calibrate(built, x)
    return built, x


@torch.no_grad()
def errors(built: CimLayer, x: torch.Tensor) -> dict[str, float]:
    """The root mean square error of each level's output, over chips."""
    built.mode = Mode(ideal=True)
    ideal = built(x)
    found: dict[str, float] = {}
    for level in LEVELS:
        built.mode = Mode(level)
        power = []
        for chip in range(CHIPS):
            built.set_chip(chip)
            power.append((built(x) - ideal).square().mean())
        found[level] = float(torch.stack(power).mean().sqrt() / ideal.std())
        built.set_chip(None)
    return found


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_is_seen_at_every_level(name: str) -> None:
    macro, effect = EFFECTS[name]
    found, quiet = errors(*on(macro, **{name: effect})), errors(*on(macro))
    for level in LEVELS:
        assert found[level] > 1.2 * quiet[level], level
    assert found["L0"] == pytest.approx(found["L2"], rel=0.35)
    assert found["L1"] == pytest.approx(found["L2"], rel=0.35)


def test_the_table_of_normal_numbers_is_as_good_as_fresh_draws() -> None:
    """Variances of sums of many reads, and their correlations, are those of independent draws."""
    stream = NoiseStream((3, "layer"))
    noise = stream.next(400)
    drawn = torch.stack(
        [noise.normal(noise.seeds, part, 1000) for part in range(2)]
    )  # parts, images, numbers
    assert float(drawn.mean(dim=2).var()) == pytest.approx(1 / 1000, rel=0.2)
    between = torch.corrcoef(drawn.mean(dim=2))[0, 1]
    assert abs(float(between)) < 5 / 400**0.5
