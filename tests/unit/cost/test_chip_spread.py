"""Means and standard deviations of sums become the transfer of the macro."""

from pathlib import Path

import numpy as np
import pytest

from cimsearch.cost.chip import chip_text, fit_chip, read_chip_table
from cimsearch.cost.measured_file import load_macro
from cimsearch.spec import load_hardware
from tests.unit.cost.measured_chips import ANALOG, RESISTIVE, fitted, written

SUMS = "chip,ideal_sum,mean_sum,sigma_sum"
IDEALS = (0, 16, 32, 48, 64)


def rows(
    chips: dict[str, tuple[float, float]],
) -> list[tuple[object, ...]]:
    """Return rows of chips that are off by a sum and spread by another."""
    return [(c, at, at + off, sigma) for c, (off, sigma) in chips.items() for at in IDEALS]


def test_one_chip_is_taken_as_it_is(tmp_path: Path) -> None:
    fit = fitted(written(tmp_path / "s.csv", SUMS, rows({"A": (0.64, 1.28)})), ANALOG)
    assert fit.noise["transfer.ideal_frac"] == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert fit.noise["transfer.mean_frac"] == pytest.approx((0.01, 0.26, 0.51, 0.76, 1.01))
    assert fit.noise["transfer.sigma_frac"] == pytest.approx((0.02,) * 5)
    assert fit.noise["adc_sigma_frac"] == fit.noise["cell_sigma_frac"] == 0.0
    assert fit.chips == []


def test_shares_say_the_same_as_sums(tmp_path: Path) -> None:
    header = "ideal_frac,mean_frac,sigma_frac"
    shares = [(at / 64, (at + 0.64) / 64, 0.02) for at in IDEALS]
    noise = fitted(written(tmp_path / "f.csv", header, shares), ANALOG).noise
    sums = fitted(written(tmp_path / "s.csv", SUMS, rows({"A": (0.64, 1.28)})), ANALOG).noise
    for name in ("ideal", "mean", "sigma"):
        key = f"transfer.{name}_frac"
        assert noise[key] == pytest.approx(sums[key])


def test_what_differs_between_chips_adds_to_the_spread(tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", SUMS, rows({"A": (1.0, 1.0), "B": (-1.0, 1.0)}))
    noise = fitted(path, ANALOG).noise
    assert noise["transfer.mean_frac"] == pytest.approx(tuple(at / 64 for at in IDEALS))
    assert noise["transfer.sigma_frac"] == pytest.approx((3**0.5 / 64,) * 5)


def test_a_chip_that_is_off_shows(tmp_path: Path) -> None:
    chips = {"A": (0.1, 1.0), "B": (-0.1, 1.0), "C": (0.0, 1.0), "D": (4.0, 1.5)}
    checks = fitted(written(tmp_path / "s.csv", SUMS, rows(chips)), ANALOG).chips
    assert [check.chip for check in checks if check.ratio > check.limit] == ["D"]
    off = next(check for check in checks if check.chip == "D")
    assert off.measured_rms == pytest.approx((16 + 1.5**2) ** 0.5)
    assert off.model_rms == pytest.approx((1 + 0.01) ** 0.5)


def test_shares_are_of_the_span_where_sums_have_signs(tmp_path: Path) -> None:
    half = 228480
    sums = [("A", at, 0.9 * at, 0.04 * half) for at in (-half, 0, half)]
    noise = fitted(written(tmp_path / "s.csv", SUMS, sums), RESISTIVE).noise
    assert noise["transfer.ideal_frac"] == (-0.5, 0.0, 0.5)
    assert noise["transfer.mean_frac"] == pytest.approx((-0.45, 0.0, 0.45))
    assert noise["transfer.sigma_frac"] == pytest.approx((0.02,) * 3)
    shares = [(-0.5, -0.45, 0.02), (0, 0, 0.02), (0.5, 0.45, 0.02)]
    same = fitted(
        written(tmp_path / "f.csv", "ideal_frac,mean_frac,sigma_frac", shares), RESISTIVE
    )
    assert same.noise["transfer.mean_frac"] == pytest.approx((-0.45, 0.0, 0.45))


def test_what_sums_explain_is_taken_off_the_spread(tmp_path: Path) -> None:
    """Spreads of 0.03 of the full scale, of which conversions make 0.02."""
    half, step, lo, rng = 228480, 8192, -229376, np.random.default_rng(4)
    reads = [
        (chip, column, at, int(np.rint((at + 0.02 * 2 * half * rng.normal() - lo) / step)))
        for chip in "AB"
        for column in range(10)
        for at in range(-150000, 150001, 30000)
        for _ in range(10)
    ]
    paths = [
        written(tmp_path / "s.csv", "chip,column,ideal_sum,code", reads),
        written(
            tmp_path / "t.csv",
            "ideal_frac,mean_frac,sigma_frac",
            [(-0.5, -0.5, 0.03), (0, 0, 0.03), (0.5, 0.5, 0.03)],
        ),
    ]
    chip = fit_chip([read_chip_table(p) for p in paths], load_macro(RESISTIVE).macro)
    assert chip.noise["adc_sigma_frac"] == pytest.approx(0.02, rel=0.05)
    left = (0.03**2 - 0.02**2) ** 0.5
    assert np.array(chip.noise["transfer.sigma_frac"])[1] == pytest.approx(left, rel=0.06)


def test_means_beyond_the_full_scale_are_cut_so_that_the_file_loads(tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", SUMS, rows({"A": (0.64, 1.28)}))
    macro = load_macro(ANALOG).macro
    chip = fit_chip([read_chip_table(path)], macro)
    assert chip.noise["transfer.mean_frac"] == pytest.approx((0.01, 0.26, 0.51, 0.76, 1.0))
    assert any("beyond the full scale" in note for note in chip.notes)
    out = tmp_path / "mine.yaml"
    out.write_text(chip_text(chip, macro, base=ANALOG, out=out), encoding="utf-8")
    transfer = load_hardware(str(out)).macro.noise.transfer
    assert transfer is not None
    assert transfer.sigma_frac == pytest.approx((0.02,) * 5)
