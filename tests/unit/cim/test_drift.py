"""Drift, retention, compensation and read noise follow their definitions."""

from math import exp, log, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor

from cimsearch.cim.ageing import pcm_exponent
from cimsearch.spec.condition import Condition
from tests.unit.cim.chips import (
    assert_moments,
    conductance,
    hold,
    level,
    lowest,
    numerics,
    random_stored,
)

DAY_S = 86_400.0


def power_law(**changes: Any) -> dict[str, Any]:
    drift = {"model": "power_law", "nu_mean": 0.05, "nu_sigma": 0.01, "age_s": DAY_S}
    return {"drift": drift | changes}


def exponents(g: Tensor, target: float, age_s: float, t0_s: float) -> Tensor:
    return -(g / target).log() / log(age_s / t0_s)


def test_drift_by_a_power_of_time() -> None:
    made = numerics(power_law())
    found = conductance(hold(level(3), made).values, made)
    assert_moments(exponents(found, 1.0, DAY_S, 20.0), 0.05, 0.01)


@pytest.mark.parametrize("value", [0, 1, 2, 3])
def test_pcm_drifts_by_its_level(value: int) -> None:
    drift = {"drift": {"model": "pcm", "age_s": 3600.0}}
    made = numerics(drift, device="pcm", cell={"on_off_ratio": 100.0})
    g_min = lowest(made)
    target = g_min + (1 - g_min) * value / 3
    mean = min(max(-0.0155 * log(target) + 0.0244, 0.049), 0.1)
    sigma = min(max(-0.0125 * log(target) - 0.0059, 0.008), 0.045)
    found = exponents(conductance(hold(level(value), made).values, made), target, 3600, 20)
    assert float(found.min()) >= -1e-6
    if sigma < mean / 5:
        assert_moments(found, mean, sigma)
    else:
        # Folded at 0: mean and mean square of |N(mean, sigma)|.
        square = mean**2 + sigma**2
        assert float(found.square().mean()) == pytest.approx(square, rel=0.02)


def test_exponents_of_pcm_are_limited() -> None:
    mean, sigma = pcm_exponent(torch.tensor([0.0, 1e-3, 0.1, 1.0], dtype=torch.float64))
    assert mean.tolist() == pytest.approx([0.1, 0.1, 0.0244 - 0.0155 * log(0.1), 0.049])
    assert sigma.tolist() == pytest.approx([0.045, 0.045, -0.0125 * log(0.1) - 0.0059, 0.008])


@pytest.mark.parametrize("age_s", [1.0, 20.0])
@pytest.mark.parametrize("compensation", ["none", "chip", "column"])
def test_nothing_drifts_before_its_time(age_s: float, compensation: str) -> None:
    stored = level(2, 20, 20)
    made = numerics(power_law(compensation=compensation))
    assert torch.equal(hold(stored, made, condition=Condition(age_s=age_s)).values, stored)
    assert torch.equal(
        hold(stored, numerics(power_law(age_s=age_s, compensation=compensation))).values, stored
    )


def test_the_age_asked_for_goes_before_the_stated_one() -> None:
    asked = hold(level(2, 9, 9), numerics(power_law()), condition=Condition(age_s=3600.0))
    stated = hold(level(2, 9, 9), numerics(power_law(age_s=3600.0)))
    assert torch.equal(asked.values, stated.values)


def test_an_age_means_nothing_without_drift() -> None:
    made = numerics({"programming": {"model": "proportional", "sigma_frac": 0.1}})
    stored = level(2, 9, 9)
    aged = hold(stored, made, condition=Condition(age_s=DAY_S))
    assert torch.equal(aged.values, hold(stored, made).values)


def test_cells_keep_their_exponents() -> None:
    made = numerics(power_law())
    stored = level(3, 50, 50)
    first, second = (
        conductance(hold(stored, made, condition=Condition(age_s=age_s)).values, made)
        for age_s in (200.0, 2000.0)
    )
    assert torch.allclose(second, first.square(), atol=1e-5)


def test_retention_towards_off_and_on() -> None:
    factor = (1000 / 1) ** 0.02
    for toward, wanted in (("off", 0.675 / factor), ("on", 0.675 * factor)):
        drift = {"model": "retention", "exponent": 0.02, "toward": toward, "age_s": 1000.0}
        made = numerics({"drift": drift})
        found = conductance(hold(level(2, 4, 4), made).values, made)
        assert found.flatten().tolist() == pytest.approx([wanted] * 16, rel=1e-6)


def test_retention_at_random_goes_either_way() -> None:
    factor = 1000**0.02
    drift = {"model": "retention", "exponent": 0.02, "toward": "random", "age_s": 1000.0}
    made = numerics({"drift": drift})
    found = conductance(hold(level(2), made).values, made)
    up = found > 0.675
    assert abs(float(up.double().mean()) - 0.5) < 5 * 0.5 / sqrt(up.numel())
    assert torch.allclose(found[up], torch.tensor(0.675 * factor).double())
    assert torch.allclose(found[~up], torch.tensor(0.675 / factor).double())


def test_nothing_grows_beyond_full_scale() -> None:
    drift = {"model": "retention", "exponent": 0.5, "toward": "on", "age_s": 1000.0}
    assert torch.equal(hold(level(1, 4, 4), numerics({"drift": drift})).values, level(3, 4, 4))
    programming = {"programming": {"model": "proportional", "sigma_frac": 0.1}}
    fresh = hold(level(3), numerics(programming)).values
    aged = hold(level(3), numerics(programming | {"drift": drift})).values
    assert torch.allclose(aged, fresh.clamp_min(3))


@pytest.mark.parametrize("encoding", ["offset", "differential_digital"])
@pytest.mark.parametrize("stuck", [{}, {"stuck": {"off_frac": 0.1, "on_frac": 0.1}}])
def test_compensation_restores_the_sum(encoding: str, stuck: dict[str, Any]) -> None:
    programming = {"programming": {"model": "proportional", "sigma_frac": 0.1}}
    settings: dict[str, Any] = {"w_bits": 5, "encoding": encoding}
    stored = random_stored(numerics(stuck, **settings), 300, 40)
    fresh, drifted, of_chip, of_column = (
        conductance(hold(stored, made).values, made)
        for made in (
            numerics(programming | stuck, **settings),
            numerics(programming | stuck | power_law(), **settings),
            numerics(programming | stuck | power_law(compensation="chip"), **settings),
            numerics(programming | stuck | power_law(compensation="column"), **settings),
        )
    )
    assert float(drifted.sum() / fresh.sum()) < 0.8
    assert float(of_chip.sum()) == pytest.approx(float(fresh.sum()))
    assert float((of_chip / drifted).std()) < 1e-4
    for rows in (slice(0, 128), slice(128, 256), slice(256, 300)):
        wanted = fresh[:, :, rows].sum(dim=2)
        assert torch.allclose(of_column[:, :, rows].sum(dim=2), wanted, rtol=1e-5)
        assert not torch.allclose(of_chip[:, :, rows].sum(dim=2), wanted, rtol=1e-4)


def test_stuck_cells_do_not_drift() -> None:
    stuck = {"stuck": {"off_frac": 0.1, "on_frac": 0.1}}
    fresh = hold(level(2), numerics(stuck)).values
    aged = hold(level(2), numerics(stuck | power_law(nu_sigma=0.0))).values
    held = fresh != 2
    assert torch.equal(aged[held], fresh[held])
    wanted = 0.675 * exp(-0.05 * log(DAY_S / 20))
    made = numerics(stuck)
    assert torch.allclose(conductance(aged[~held], made), torch.tensor(wanted).double())


PER_G = 3 / (1 - 1 / 40)


def test_read_noise_of_cells() -> None:
    for model, wanted in (("proportional", 0.02 * 0.675), ("independent", 0.02)):
        made = numerics({"read": {"model": model, "sigma_frac": 0.02}})
        stored = level(2, 4, 4)
        found = hold(stored, made)
        assert torch.equal(found.values, stored)
        assert found.read_power is not None
        assert found.read_power.dtype == torch.float32
        assert torch.allclose(found.read_power, torch.tensor((wanted * PER_G) ** 2))


def test_read_noise_of_a_pair_is_that_of_both_cells() -> None:
    noise = {"read": {"model": "proportional", "sigma_frac": 0.02}}
    made = numerics(noise, w_bits=3, encoding="differential")
    found = hold(level(-2, 4, 4), made).read_power
    assert found is not None
    wanted = (0.02 * PER_G) ** 2 * (0.675**2 + 0.025**2)
    assert torch.allclose(found, torch.tensor(wanted))
    digital = numerics(noise, w_bits=3, encoding="differential_digital")
    halves = hold(torch.zeros(2, 1, 4, 4), digital).read_power
    assert halves is not None
    assert halves.shape == (2, 1, 4, 4)


@pytest.mark.parametrize(("value", "share"), [(3, 0.0088), (0, 0.0088 / 0.025**0.65)])
def test_read_noise_of_pcm_grows_with_age(value: int, share: float) -> None:
    drift = {"model": "power_law", "nu_mean": 0.05, "age_s": 1000.0}
    made = numerics({"read": {"model": "pcm_1f"}, "drift": drift}, device="pcm")
    found = hold(level(value, 2, 2), made).read_power
    assert found is not None
    g = (0.025 + 0.975 * value / 3) * (1000 / 20) ** -0.05
    sigma = g * share * sqrt(log((1000 + 250e-9) / 500e-9))
    assert found.flatten().tolist() == pytest.approx([(sigma * PER_G) ** 2] * 4, rel=1e-5)


def test_read_noise_of_pcm_is_limited_at_low_conductance() -> None:
    drift = {"model": "power_law", "nu_mean": 0.0}
    made = numerics(
        {"read": {"model": "pcm_1f"}, "drift": drift}, device="pcm", cell={"on_off_ratio": 1e4}
    )
    found = hold(level(0, 2, 2), made).read_power
    assert found is not None
    sigma = 1e-4 * 0.2 * sqrt(log((20 + 250e-9) / 500e-9)) * 3 / (1 - 1e-4)
    assert found.flatten().tolist() == pytest.approx([sigma**2] * 4, rel=1e-5)


def test_what_restores_a_sum_restores_its_noise() -> None:
    noise = {"read": {"model": "proportional", "sigma_frac": 0.02}}
    restored = noise | power_law(nu_sigma=0.0, compensation="column")
    aged = hold(level(3, 4, 4), numerics(restored)).read_power
    fresh = hold(level(3, 4, 4), numerics(noise)).read_power
    assert aged is not None
    assert fresh is not None
    assert torch.allclose(aged, fresh)
