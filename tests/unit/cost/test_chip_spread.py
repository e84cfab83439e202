"""Means and standard deviations of sums become the transfer of the macro."""

from pathlib import Path

import pytest

from tests.unit.cost.measured_chips import ANALOG, fitted, written

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
