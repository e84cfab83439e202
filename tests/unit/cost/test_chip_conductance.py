"""Conductances give back programming errors, spread of chips and drift."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.cost.measured_chips import RESISTIVE, conductances, fitted

TRUTH = (0.5, 2.0, -1.0)


def test_the_programming_polynomial_is_found(tmp_path: Path) -> None:
    fit = fitted(conductances(tmp_path / "g.csv", coefficients=TRUTH), RESISTIVE)
    assert fit.noise["programming.model"] == "polynomial"
    assert fit.noise["programming.reference_us"] == 40.0
    found = np.array(fit.noise["programming.coefficients_us"])
    r = np.linspace(0.1, 0.9, 9)
    measured = np.polynomial.polynomial.polyval(r, found)
    assert measured == pytest.approx(np.polynomial.polynomial.polyval(r, TRUTH), rel=0.1)
    assert not any(path.startswith(("drift.", "device_to_device.")) for path in fit.noise)


def test_a_constant_error_needs_one_coefficient(tmp_path: Path) -> None:
    fit = fitted(conductances(tmp_path / "g.csv", coefficients=(1.2,)), RESISTIVE)
    assert fit.noise["programming.coefficients_us"] == pytest.approx((1.2,), rel=0.05)


@pytest.mark.parametrize("named", [True, False])
def test_drift_is_found(tmp_path: Path, named: bool) -> None:
    path = conductances(
        tmp_path / "g.csv",
        coefficients=(1.0,),
        nu=(0.05, 0.01),
        times=(20.0, 200.0, 2000.0, 20000.0),
        named=named,
    )
    fit = fitted(path, RESISTIVE)
    assert fit.noise["drift.model"] == "power_law"
    assert fit.noise["drift.t0_s"] == 20.0
    for name, value in (("nu_mean", 0.05), ("nu_sigma", 0.01)):
        error = fit.errors[f"drift.{name}"]
        assert fit.noise[f"drift.{name}"] == pytest.approx(value, abs=4 * error)
        assert error < 0.3 * value


def test_cells_that_stay_do_not_drift(tmp_path: Path) -> None:
    path = conductances(tmp_path / "g.csv", coefficients=(1.0,), times=(20.0, 2000.0))
    fit = fitted(path, RESISTIVE)
    assert not any(name.startswith("drift.") for name in fit.noise)
    assert "no drift beyond its standard error" in fit.notes


def test_chips_that_differ_spread(tmp_path: Path) -> None:
    path = conductances(
        tmp_path / "g.csv", coefficients=(1.0,), chips=(1.1, 0.9, 1.05, 0.95), cells=60
    )
    noise = fitted(path, RESISTIVE).noise
    expected = float(np.std((1.1, 0.9, 1.05, 0.95), ddof=1))
    assert noise["device_to_device.chip_sigma_frac"] == pytest.approx(expected, rel=0.1)


def test_a_chip_that_is_off_shows(tmp_path: Path) -> None:
    path = conductances(tmp_path / "g.csv", coefficients=(1.0,), spreads=(1.0, 1.0, 1.0, 3.0))
    checks = fitted(path, RESISTIVE).chips
    assert [check.chip for check in checks if check.ratio > check.limit] == ["C3"]


def test_equal_chips_pass_and_one_alone_is_not_tested(tmp_path: Path) -> None:
    path = conductances(tmp_path / "g.csv", coefficients=(1.0,))
    assert all(check.alike for check in fitted(path, RESISTIVE).chips)
    alone = conductances(tmp_path / "a.csv", coefficients=(1.0,), chips=(1.0,), spreads=(1.0,))
    assert fitted(alone, RESISTIVE).chips == []
