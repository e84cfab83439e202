"""Reads of partial sums give back the parameters of the chips that were read."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.cost.measured_chips import ANALOG, RESISTIVE, fitted, sums, written

FULL_SCALE = 64


def test_offset_gain_and_noise_are_found(tmp_path: Path) -> None:
    fit = fitted(sums(tmp_path / "sums.csv"), ANALOG)
    truth = {
        "adc_sigma_frac": 0.9 / FULL_SCALE,
        "adc.offset_sigma_frac": 1 / FULL_SCALE,
        "adc.gain_sigma_frac": 0.02,
    }
    for path, value in truth.items():
        assert fit.noise[path] == pytest.approx(value, abs=4 * fit.errors[path]), path
        assert 0 < fit.errors[path] < 0.25 * value, path
    assert fit.noise["cell_sigma_frac"] == 0.0
    assert not any(path.startswith(("transfer.", "pvt.")) for path in fit.noise)


def test_exact_columns_have_no_spread(tmp_path: Path) -> None:
    path = sums(tmp_path / "s.csv", offsets=(0.0,) * 4, gain_sigma=0.0, noise=1.5)
    noise = fitted(path, ANALOG).noise
    assert noise["adc_sigma_frac"] == pytest.approx(1.5 / FULL_SCALE, rel=0.05)
    assert float(str(noise["adc.offset_sigma_frac"])) < 0.25 / FULL_SCALE
    assert float(str(noise["adc.gain_sigma_frac"])) < 0.006


def test_a_shared_bend_becomes_a_transfer(tmp_path: Path) -> None:
    path = sums(tmp_path / "s.csv", transfer=lambda ideal: 70 * np.tanh(ideal / 70))
    noise = fitted(path, ANALOG).noise
    ideal, mean = (np.array(noise[f"transfer.{n}_frac"]) for n in ("ideal", "mean"))
    inside = (ideal * FULL_SCALE >= 6) & (ideal * FULL_SCALE <= 50)
    expected = 70 * np.tanh(ideal[inside] * FULL_SCALE / 70)
    assert mean[inside] * FULL_SCALE == pytest.approx(expected, abs=0.8)
    assert inside.sum() >= 5


def test_supply_and_temperature_are_told_apart(tmp_path: Path) -> None:
    conditions = (
        (0.45, 25.0, 1.0),
        (0.495, 25.0, 1.05),
        (0.405, 25.0, 0.95),
        (0.45, 85.0, 0.94),
    )
    fit = fitted(sums(tmp_path / "s.csv", conditions=conditions, repeats=3), ANALOG)
    assert fit.noise["pvt.gain_per_supply_frac"] == pytest.approx(0.5, rel=0.05)
    assert fit.noise["pvt.gain_per_c"] == pytest.approx(-0.001, rel=0.05)
    assert {point.series for point in fit.points} == {
        "0.45 V, 25 C",
        "0.495 V, 25 C",
        "0.405 V, 25 C",
        "0.45 V, 85 C",
    }


def test_equal_chips_pass_cross_validation(tmp_path: Path) -> None:
    checks = fitted(sums(tmp_path / "s.csv"), ANALOG).chips
    assert [check.chip for check in checks] == ["C0", "C1", "C2", "C3"]
    assert all(check.alike for check in checks)
    assert all(check.draws == 24 and check.others == 72 for check in checks)


def test_a_chip_that_is_off_shows(tmp_path: Path) -> None:
    checks = fitted(sums(tmp_path / "s.csv", offsets=(1.0, 1.0, 4.0, 1.0)), ANALOG).chips
    assert [check.chip for check in checks if check.ratio > check.limit] == ["C2"]


def test_one_chip_cannot_be_cross_validated(tmp_path: Path) -> None:
    assert fitted(sums(tmp_path / "s.csv", chips=1), ANALOG).chips == []


def test_measured_and_modelled_spreads_agree(tmp_path: Path) -> None:
    for point in fitted(sums(tmp_path / "s.csv"), ANALOG).points:
        assert point.sigma == pytest.approx(point.model_sigma, rel=0.2)
        assert abs(point.mean - point.model_mean) < 0.6


def test_a_shared_gain_of_sums_with_signs_becomes_a_transfer(tmp_path: Path) -> None:
    half, step, lo, rng = 228480, 8192, -229376, np.random.default_rng(5)
    rows = [
        (chip, column, at, int(np.rint((0.8 * at + step * rng.normal() - lo) / step)))
        for chip in "AB"
        for column in range(10)
        for at in range(-200000, 200001, 40000)
        for _ in range(4)
    ]
    path = written(tmp_path / "s.csv", "chip,column,ideal_sum,code", rows)
    noise = fitted(path, RESISTIVE).noise
    assert noise["adc_sigma_frac"] == pytest.approx(step / (2 * half), rel=0.05)
    ideal, mean = (np.array(noise[f"transfer.{n}_frac"]) for n in ("ideal", "mean"))
    assert (ideal[0], ideal[-1]) == (-0.5, 0.5)
    assert mean == pytest.approx(0.8 * ideal, abs=0.01)
