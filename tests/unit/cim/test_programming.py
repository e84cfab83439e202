"""Errors of programming, spread and mismatch have the moments of their definitions."""

from collections.abc import Callable
from math import exp, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch

from cimsearch.cim.conductance import programming_sigma
from cimsearch.cim.slicing import weight_errors
from cimsearch.spec.cell_noise import PublishedProgramming
from tests.unit.cim.chips import (
    CAPACITOR,
    CURRENT,
    assert_moments,
    conductance,
    distinct,
    hold,
    level,
    lowest,
    numerics,
    random_stored,
)

TOP = 3


def g_of(value: float, g_min: float) -> float:
    return g_min + (1 - g_min) * value / TOP


@pytest.mark.parametrize("value", [0, 1, 3])
def test_proportional_error(value: int) -> None:
    made = numerics({"programming": {"model": "proportional", "sigma_frac": 0.1}})
    target = g_of(value, 1 / 40)
    found = conductance(hold(level(value), made).values, made)
    assert_moments(found, target, 0.1 * target)


def test_polynomial_error_scales_with_the_cell() -> None:
    programming = {
        "model": "polynomial",
        "coefficients_us": (0.5, 1.0, -0.25),
        "reference_us": 10.0,
    }
    made = numerics({"programming": programming})
    r = g_of(2, 1 / 40)
    sigma_of_reference_us = 0.5 + r - 0.25 * r * r
    # The macro's cell has 40 uS, four times the measured one, and four times its error.
    found_us = 40 * conductance(hold(level(2), made).values, made)
    assert_moments(found_us, 40 * r, 4 * sigma_of_reference_us)


def joshi_us(r: float) -> float:
    g_us = 25 * r
    return -0.00178767 * g_us**2 + 0.07585724 * g_us + 0.28638599


def horner(*falling: float) -> Callable[[float], float]:
    return lambda r: float(np.polyval(falling, r))


PUBLISHED: dict[str, tuple[float, Callable[[float], float]]] = {
    "pcm_nandakumar": (25, horner(-1.1731, 1.965, 0.26348)),
    "pcm_joshi": (25, joshi_us),
    "rram_wan_1s": (40, horner(-16.815, 45.393, -43.853, 16.03, 0.348)),
    "rram_wan_1d": (40, horner(-16.458, 47.095, -50.773, 22.086, 0.701)),
    "rram_wan_2d": (40, horner(-11.934, 37.062, -43.507, 20.274, 0.782)),
}


@pytest.mark.parametrize("model", PUBLISHED)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_published_errors(model: str, scale: float) -> None:
    made = numerics(
        {"programming": {"model": model, "scale": scale}}, device=model.partition("_")[0]
    )
    reference_us, sigma_us = PUBLISHED[model]
    r = g_of(2, 1 / 40)
    found = conductance(hold(level(2), made).values, made)
    assert_moments(found, r, scale * sigma_us(r) / reference_us)

    programming = PublishedProgramming.model_validate({"model": model, "scale": scale})
    grid = torch.linspace(0, 1, 11, dtype=torch.float64)
    wanted = [scale * sigma_us(float(r)) / reference_us for r in grid]
    assert programming_sigma(grid, programming).tolist() == pytest.approx(wanted)


def test_conductances_are_cut_off_at_zero() -> None:
    made = numerics({"programming": {"model": "rram_wan_1s", "scale": 10.0}})
    found = conductance(hold(level(0), made).values, made)
    assert float(found.min()) == pytest.approx(0, abs=1e-6)
    _, sigma_us = PUBLISHED["rram_wan_1s"]
    below = NormalDist(1 / 40, 10 * sigma_us(1 / 40) / 40).cdf(0)
    assert float((found < 1e-6).double().mean()) == pytest.approx(below, abs=0.006)


def test_a_polynomial_below_zero_is_no_error() -> None:
    programming = {"model": "polynomial", "coefficients_us": (-1.0,), "reference_us": 10.0}
    stored = level(2)
    assert torch.equal(hold(stored, numerics({"programming": programming})).values, stored)


@pytest.mark.parametrize("value", [0, 3])
@pytest.mark.parametrize("other", [{}, {"pvt": {}}])
def test_spread_does_not_depend_on_the_level(value: int, other: dict[str, Any]) -> None:
    made = numerics({"cell_sigma_frac": 0.05} | other)
    assert_moments(hold(level(value), made).values, value, 0.05 * TOP)


@pytest.mark.parametrize("other", [{}, {"pvt": {}}])
def test_a_pair_has_the_spread_of_two_cells(other: dict[str, Any]) -> None:
    made = numerics({"cell_sigma_frac": 0.05} | other, w_bits=3, encoding="differential")
    assert made.stored_sigma == pytest.approx(0.05 * TOP * sqrt(2))
    assert_moments(hold(level(-2), made).values, -2, 0.05 * TOP * sqrt(2))


def test_the_spread_is_the_same_beside_other_effects() -> None:
    stored = level(1)
    alone = hold(stored, numerics({"cell_sigma_frac": 0.05})).values
    beside = hold(stored, numerics({"cell_sigma_frac": 0.05, "pvt": {}})).values
    assert torch.allclose(alone, beside, atol=1e-6)


def test_current_mismatch_of_sram() -> None:
    sram = {"vt_sigma_mv": 20.0, "overdrive_mv": 200.0, "current_alpha": 1.3}
    made = numerics({"sram": sram}, base=CURRENT)
    assert_moments(hold(level(2), made).values, 2, 2 * 1.3 * 20 / 200)
    assert torch.equal(hold(level(0), made).values, level(0))


def test_capacitor_mismatch_falls_with_the_root_of_the_capacitor() -> None:
    sram = {"cap_mismatch_sqrt_ff": 0.1}
    for cap_ff in (1.0, 4.0):
        made = numerics({"sram": sram}, base=CAPACITOR, cell={"cap_ff": cap_ff})
        assert_moments(hold(level(3), made).values, 3, 3 * 0.1 / sqrt(cap_ff))


def test_charge_injection_fills_what_is_missing() -> None:
    made = numerics({"sram": {"charge_injection_frac": 0.1}}, base=CAPACITOR)
    for value in range(4):
        found = hold(level(value, 3, 3), made).values
        assert found.tolist() == pytest.approx(level(value + 0.1 * (3 - value), 3, 3))


def test_devices_spread_lognormally_around_their_mean() -> None:
    made = numerics({"device_to_device": {"cell_sigma_frac": 0.2}})
    found = conductance(hold(level(3), made).values, made)
    assert float(found.mean()) == pytest.approx(1, abs=5 * 0.202 / sqrt(found.numel()))
    assert float(found.std()) == pytest.approx(sqrt(exp(0.2**2) - 1), rel=0.01)
    assert_moments(found.log(), -(0.2**2) / 2, 0.2)


def test_cells_of_a_column_share_its_part() -> None:
    made = numerics({"device_to_device": {"column_sigma_frac": 0.1}}, w_bits=4)
    # Two slices of each output, of its own columns; four row tiles of 128 rows.
    z = conductance(hold(level(3, 512, 500).expand(1, 2, -1, -1), made).values, made).log()
    tiles = z.view(2, 4, 128, 500)
    assert torch.allclose(tiles, tiles[:, :, :1].expand_as(tiles), atol=1e-6)
    columns = tiles[:, :, 0]
    assert_moments(columns, -(0.1**2) / 2, 0.1)
    correlation = np.corrcoef(columns.flatten(0, 1).numpy())
    assert np.abs(correlation - np.eye(8)).max() < 5 / sqrt(500)


def test_parts_of_cells_and_columns_add_up() -> None:
    parts = {"cell_sigma_frac": 0.1, "column_sigma_frac": 0.05}
    made = numerics({"device_to_device": parts}, array={"rows": 2, "active_rows": 2})
    z = conductance(hold(level(3, 2, 50_000), made).values, made).log()
    assert_moments(z[0, 0, 0], -(0.1**2 + 0.05**2) / 2, sqrt(0.1**2 + 0.05**2))
    shared = float(np.corrcoef(z[0, 0].numpy())[0, 1])
    assert shared == pytest.approx(0.2, abs=5 / sqrt(50_000))


def test_layers_of_a_chip_share_its_part() -> None:
    made = numerics({"device_to_device": {"chip_sigma_frac": 0.1}})
    stored = level(3, 4, 4)

    def factor(seed: int, chip: int) -> float:
        found = conductance(hold(stored, made, seed=seed, chip=chip).values, made)
        assert float(found.std()) < 1e-6
        return float(found.mean())

    assert factor(0, 5) == factor(1, 5)
    z = torch.tensor([factor(0, chip) for chip in range(400)]).log()
    assert_moments(z, -(0.1**2) / 2, 0.1)


STUCK = {"stuck": {"off_frac": 0.02, "on_frac": 0.05}}


@pytest.mark.parametrize("base", [CURRENT, None])
def test_shares_of_stuck_cells(base: Any) -> None:
    made = numerics(STUCK, base=base) if base else numerics(STUCK)
    stored = level(2)
    values = hold(stored, made).values
    count = values.numel()
    for value, share in ((0, 0.02), (3, 0.05), (2, 0.93)):
        found = float((values == value).double().mean())
        assert abs(found - share) < 5 * sqrt(share * (1 - share) / count)
    assert distinct(values) == {0, 2, 3}


def test_every_cell_may_be_stuck() -> None:
    made = numerics({"stuck": {"off_frac": 0.25, "on_frac": 0.75}})
    assert distinct(hold(level(1), made).values) == {0, 3}


def test_stuck_cells_have_no_other_error() -> None:
    noise = STUCK | {"programming": {"model": "proportional", "sigma_frac": 0.1}}
    alone = hold(level(2), numerics(STUCK)).values
    both = hold(level(2), numerics(noise)).values
    stuck = alone != 2
    assert torch.equal(both[stuck], alone[stuck])
    assert float((both[~stuck] == 2).double().mean()) < 1e-3


def test_a_fault_costs_what_its_slice_weighs() -> None:
    made = numerics({"stuck": {"off_frac": 0.1}}, base=CURRENT, w_bits=4, array={"cell_bits": 1})
    stored = torch.ones(1, 4, 200, 200)
    errors = hold(stored, made).values - stored
    for index, weight in enumerate((1, 2, 4, 8)):
        alone = torch.zeros_like(errors)
        alone[:, index] = errors[:, index]
        of_weights = weight_errors(alone, made)
        assert distinct(of_weights) == {0, -weight}
    hit = (errors[0] != 0).flatten(1).double().numpy()
    assert np.abs(np.corrcoef(hit) - np.eye(4)).max() < 5 / sqrt(40_000)


def test_cells_of_a_pair_are_stuck_each_by_itself() -> None:
    share, count = 0.2, 200_000
    noise = {"stuck": {"on_frac": share}}
    digital = numerics(noise, w_bits=3, encoding="differential_digital")
    halves = hold(torch.zeros(2, 1, 500, 400), digital).values == 3
    both = float((halves[0] & halves[1]).double().mean())
    assert abs(both - share**2) < 5 * sqrt(share**2 / count)

    pair = numerics(noise, w_bits=3, encoding="differential")
    values = hold(level(0, 500, 400), pair).values
    assert distinct(values) == {-3, 0, 3}
    for value in (-3, 3):
        wanted = share * (1 - share)
        found = float((values == value).double().mean())
        assert abs(found - wanted) < 5 * sqrt(wanted / count)


def test_a_low_ratio_magnifies_errors() -> None:
    programming = {"programming": {"model": "proportional", "sigma_frac": 0.1}}
    for ratio in (2.0, 10.0):
        made = numerics(programming, cell={"on_off_ratio": ratio})
        assert lowest(made) == 1 / ratio
        assert_moments(hold(level(3), made).values, 3, 3 * 0.1 / (1 - 1 / ratio))


def test_random_weights_keep_their_mean() -> None:
    made = numerics(
        {"programming": {"model": "proportional", "sigma_frac": 0.05}},
        w_bits=6,
        encoding="differential_digital",
    )
    stored = random_stored(made, 300, 300)
    errors = hold(stored, made).values - stored
    per_level = TOP / (1 - 1 / 40)
    g = (stored / per_level + 1 / 40).double()
    assert float((errors / (g * per_level * 0.05)).std()) == pytest.approx(1, abs=0.01)
