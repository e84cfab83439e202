"""Converters measured alone give back nonlinearity, offset and gain."""

from pathlib import Path

import pytest

from tests.unit.cost.measured_chips import ANALOG, converters, fitted, written

LSB_FRAC = 2 / 64


@pytest.mark.parametrize("column", ["inl_lsb", "dnl_lsb"])
def test_nonlinearity_offset_and_gain_are_found(tmp_path: Path, column: str) -> None:
    fit = fitted(converters(tmp_path / "c.csv", column=column), ANALOG)
    truth = {
        "adc.inl_sigma_frac": 0.4 * LSB_FRAC,
        "adc.offset_sigma_frac": 0.5 * LSB_FRAC,
        "adc.gain_sigma_frac": 0.01,
    }
    assert set(fit.noise) == set(truth)
    for path, value in truth.items():
        assert fit.noise[path] == pytest.approx(value, abs=4 * fit.errors[path]), path
        assert 0 < fit.errors[path] < 0.15 * value, path


def test_the_model_has_the_shape_of_random_widths(tmp_path: Path) -> None:
    points = fitted(converters(tmp_path / "c.csv"), ANALOG).points
    assert points[0].at == 0
    assert points[0].model_sigma == points[-1].model_sigma == pytest.approx(0, abs=1e-9)
    for point in points[1:-1]:
        assert point.sigma == pytest.approx(point.model_sigma, rel=0.3)


def test_offsets_in_mv_need_the_full_scale(tmp_path: Path) -> None:
    rows = [("A", name, 0, offset, 600) for name, offset in enumerate((-3.0, 0.0, 3.0))]
    header = "chip,converter,code,offset_mv,full_scale_mv"
    noise = fitted(written(tmp_path / "c.csv", header, rows), ANALOG).noise
    assert noise["adc.offset_sigma_mv"] == pytest.approx(3.0)
    assert noise["adc.full_scale_mv"] == 600.0


def test_a_chip_that_is_off_shows(tmp_path: Path) -> None:
    checks = fitted(converters(tmp_path / "c.csv", inl=(0.4, 1.6, 0.4, 0.4)), ANALOG).chips
    assert [check.chip for check in checks if check.ratio > check.limit] == ["C1"]
    assert all(check.alike for check in fitted(converters(tmp_path / "d.csv"), ANALOG).chips)
