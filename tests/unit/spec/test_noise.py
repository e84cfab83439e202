"""The noise of a macro file: what its device, its compute model and its inputs cannot have."""

from pathlib import Path
from typing import Any

import pytest

from cimsearch.errors import SpecError
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Macro

MACRO = """\
schema: cimsearch/hardware/1
kind: macro
extends: {base}
name: mine
summary: a macro with effects
source: a test
noise:
{noise}
basis: {{noise: assumed}}
"""
SRAM, RRAM = "macros/yu_cicc_2020", "macros/wan_nature_2022"


def load(room: Path, base: str, noise: str) -> Macro:
    path = room / "mine.yaml"
    lines = "\n".join(f"  {line}" for line in noise.splitlines())
    path.write_text(MACRO.format(base=base, noise=lines))
    return load_hardware(str(path)).macro


POSSIBLE = {
    "stuck cells": (SRAM, "stuck: {off_frac: 0.01, on_frac: 0.02}"),
    "devices": (SRAM, "device_to_device: {column_sigma_frac: 0.02, chip_sigma_frac: 0.01}"),
    "saturation": (SRAM, "saturation: {shape: tanh, at_frac: 0.8}"),
    "converters in mV": (SRAM, "adc: {full_scale_mv: 400.0, offset_sigma_mv: 2.0}"),
    "impulses": (SRAM, "impulse: {probability: 0.0001, kind: codes, codes: 2}"),
    "corners": (SRAM, "pvt: {gain_per_supply_frac: 1.0, gain_per_c: 0.001}"),
    "programming": (RRAM, "programming: {model: rram_wan_1d, scale: 1.0}"),
    "drift": (RRAM, "drift: {model: power_law, nu_mean: 0.01, age_s: 3600.0}"),
    "read noise": (RRAM, "read: {model: proportional, sigma_frac: 0.01}"),
    "wires": (RRAM, "ir_drop: {bitline_ohm: 1.0, wordline_ohm: 0.5}"),
    "transfer": (
        SRAM,
        "transfer: {ideal_frac: [0.0, 1.0], mean_frac: [0.0, 0.9], sigma_frac: [0.01, 0.02]}",
    ),
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_an_effect_is_read(name: str, tmp_path: Path) -> None:
    base, noise = POSSIBLE[name]
    macro = load(tmp_path, base, noise)
    assert macro.noise.has_effects
    assert macro.noise.cell_sigma_frac == load_hardware(base).macro.noise.cell_sigma_frac
    assert not load_hardware(base).macro.noise.has_effects


# What the file says, and where and what the fault is.
FAULTS = {
    "sram drifts": (
        SRAM,
        "drift: {model: pcm}",
        "8:3: noise.drift: found one; cells",
    ),
    "sram has wires of ohms": (
        SRAM,
        "ir_drop: {bitline_ohm: 1.0}",
        "8:3: noise.ir_drop: found one",
    ),
    "sram is programmed": (
        SRAM,
        "programming: {model: proportional, sigma_frac: 0.1}",
        "8:3: noise.programming: found one; cells of device sram cannot have it",
    ),
    "rram has capacitors": (
        RRAM,
        "sram: {ktc: true}",
        "8:3: noise.sram: found one; cells",
    ),
    "rram as pcm": (
        RRAM,
        "programming: {model: pcm_joshi}",
        "8:17: noise.programming.model: found pcm_joshi; cells of device rram cannot have it",
    ),
    "pcm drift on rram": (RRAM, "drift: {model: pcm}", "8:11: noise.drift.model: found pcm"),
    "charge injection of currents": (
        SRAM,
        "sram: {charge_injection_frac: 0.1}",
        "8:10: noise.sram.charge_injection_frac: found one; compute_model QS cannot have it",
    ),
    "a curve of pulses": (RRAM, "iv: {cubic_per_v2: 0.25}", "8:3: noise.iv: found one; inputs of"),
    "a pair with leakage": (
        RRAM,
        "off_current: digital",
        "8:3: noise.off_current: found digital; a differential pair takes it off",
    ),
    "more stuck than cells": (
        SRAM,
        "stuck: {off_frac: 0.6, on_frac: 0.6}",
        "8:26: noise.stuck.on_frac: found 0.6; with off_frac allowed is 1 together",
    ),
    "mV of an unknown range": (
        SRAM,
        "adc: {offset_sigma_mv: 2.0}",
        "noise.adc.full_scale_mv: missing; needed where offset_sigma_mv is not 0",
    ),
    "volts for millivolts": (
        SRAM,
        "adc: {full_scale_mv: 0.4, offset_sigma_mv: 2.0}",
        "noise.adc.offset_sigma_mv: found 2; allowed is at most full_scale_mv = 0.4",
    ),
    "an offset twice": (
        SRAM,
        "adc: {full_scale_mv: 400.0, offset_sigma_mv: 2.0, offset_sigma_frac: 0.1}",
        "noise.adc.offset_sigma_mv: found one beside offset_sigma_frac; allowed is one",
    ),
    "LSB": (SRAM, "adc: {offset_sigma_lsb: 0.5}", "noise.adc.offset_sigma_lsb: unknown field"),
    "a probability of 2": (
        SRAM,
        "impulse: {probability: 2.0}",
        "impulse.probability: found 2",
    ),
    "points out of order": (
        SRAM,
        "transfer: {ideal_frac: [0.5, 0.5], mean_frac: [0.0, 1.0], sigma_frac: [0.0, 0.0]}",
        "noise.transfer.ideal_frac: found values that do not ascend",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_impossible_effect_is_refused(name: str, tmp_path: Path) -> None:
    base, noise, fault = FAULTS[name]
    with pytest.raises(SpecError) as found:
        load(tmp_path, base, noise)
    assert fault in str(found.value)
    assert "mine.yaml:8" in str(found.value)


def changed(macro: Macro, **parts: Any) -> Macro:
    data = macro.model_dump(mode="json")
    for path, value in parts.items():
        section, field = path.split("__")
        data[section][field] = value
    return Macro.model_validate_json(Macro.model_validate(data, strict=False).model_dump_json())


def test_a_curve_that_falls_is_refused() -> None:
    macro = load_hardware(RRAM).macro
    levels = {"input__drive": "levels", "input__dac_bits": 2, "input__dac_cap_ff_per_bit": 1.0}
    limit = 1 / 3 / 0.5**2
    assert changed(macro, **levels, noise__iv={"cubic_per_v2": limit - 0.01}).noise.iv is not None
    with pytest.raises(ValueError, match=r"found 1\.34333; allowed is below 1\.33333, 1/3 over"):
        changed(macro, **levels, noise__iv={"cubic_per_v2": limit + 0.01})
