"""Component scales: as wide as the band they are drawn from, and common to all networks."""

from math import log

import numpy as np
import pytest

from cimsearch.cost import COMPONENTS, estimate, is_calibrated, trust_in
from cimsearch.cost.scales import draw_scales, energies_pj, scale_errors
from cimsearch.seeds import stream
from cimsearch.space import Space
from cimsearch.spec import Hardware, load_hardware, load_space_spec

MACROS = ["yu_cicc_2020", "wan_nature_2022", "chih_isscc_2021", "choi_cicc_2023"]
SPACE = Space(load_space_spec("vgg_tiny"))


def machine(name: str) -> Hardware:
    return load_hardware(f"macros/{name}")


@pytest.mark.parametrize("name", MACROS)
def test_a_scale_lies_in_the_band_as_often_as_the_band_says(name: str) -> None:
    hardware = machine(name)
    errors = scale_errors(hardware)
    factor = trust_in(hardware.macro, calibrated=is_calibrated(hardware)).factor
    assert errors.trust.factor == factor
    scales = draw_scales(errors, 4000, stream("a test", name))
    for of in scales.values():
        inside = np.abs(np.log(of)) <= log(factor)
        assert inside.mean() == pytest.approx(0.8, abs=0.03)
        assert np.median(np.log(of)) == pytest.approx(0, abs=0.1 * log(factor))


def test_every_component_has_a_scale_and_control_follows() -> None:
    errors = scale_errors(machine("yu_cicc_2020"))
    scales = draw_scales(errors, 3, stream("a test"))
    assert set(scales) == set(COMPONENTS) - {"control"}
    assert scales["adder_tree"] is not scales["cells"]
    np.testing.assert_array_equal(scales["adder_tree"], scales["shift_add"])
    assert set(errors.assumed) >= {"buffers", "interconnect", "digital", "leakage"}
    assert not set(errors.assumed) & {"cells", "drivers", "adc"}


def test_more_draws_of_a_stream_begin_with_the_same() -> None:
    errors = scale_errors(machine("yu_cicc_2020"))
    few, many = (draw_scales(errors, n, stream("a test")) for n in (5, 50))
    for name, of in few.items():
        np.testing.assert_array_equal(of, many[name][:5])


@pytest.mark.parametrize("name", MACROS)
def test_scales_of_one_leave_energies_as_they_are_and_a_common_scale_multiplies_them(
    name: str,
) -> None:
    networks = [SPACE.sample(seed) for seed in range(4)]
    hardware = machine(name)
    reports = [estimate(each.blueprint, hardware) for each in networks]
    parts = [report.components for report in reports]
    energies = np.array([report.energy_pj for report in reports])
    ones = dict.fromkeys(draw_scales(scale_errors(hardware), 1, stream("a test")), np.ones(2))
    np.testing.assert_allclose(energies_pj(parts, ones), [energies, energies], rtol=1e-12)
    twice = {key: 2 * of for key, of in ones.items()}
    np.testing.assert_allclose(energies_pj(parts, twice)[0], 2 * energies, rtol=1e-12)


def test_one_scale_moves_its_component_with_its_share_of_control() -> None:
    hardware = machine("yu_cicc_2020")
    report = estimate(SPACE.sample(1).blueprint, hardware)
    scales = dict.fromkeys(set(COMPONENTS) - {"control"}, np.ones(1))
    more = energies_pj([report.components], scales | {"adc": np.full(1, 3.0)})[0, 0]
    moved = 2 * report.components["adc"] * (1 + hardware.macro.control_frac)
    assert more - report.energy_pj == pytest.approx(moved)
    leaking = energies_pj([report.components], scales | {"leakage": np.full(1, 3.0)})[0, 0]
    assert leaking - report.energy_pj == pytest.approx(2 * report.components["leakage"])
