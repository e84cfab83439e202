"""The hardware catalogue: every file is valid, sourced, calibrated, and prices every space."""

from itertools import pairwise

import numpy as np
import pytest

from cimsearch.blueprint import layer_table
from cimsearch.cost import check_calibration, estimate, estimate_table, is_calibrated
from cimsearch.errors import SpecError
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.catalogue import names
from cimsearch.spec.hardware import basis_of, numbers
from cimsearch.spec.load import load_hardware_file

FILES = sorted(names("hardware"))
MACROS = [name for name in FILES if name.startswith("macros/")]
PRICED = [*MACROS, "systems/edge_soc"]
SPACES = sorted(names("spaces"))


def test_the_catalogue_has_each_kind_of_macro() -> None:
    macros = [load_hardware(name).macro for name in MACROS]
    kinds = {(macro.device, macro.compute_model) for macro in macros}
    assert {("sram", "QS"), ("sram", "QR"), ("sram", "digital"), ("rram", "resistive")} <= kinds
    assert {"technologies/cmos_22nm", "technologies/cmos_65nm", "technologies/cmos_130nm"} <= set(
        FILES
    )


@pytest.mark.parametrize("name", FILES)
def test_every_number_has_a_basis(name: str) -> None:
    document, file = load_hardware_file(name)
    assert file.source
    assert name.rsplit("/", maxsplit=1)[-1] == file.name
    paths = numbers(document.data)
    assert paths
    assert all(basis_of(path, file.basis) for path in paths)
    # No entry of the basis is about nothing.
    for entry in file.basis:
        assert any(path == entry or path.startswith(f"{entry}.") for path in paths), entry


@pytest.mark.parametrize("name", MACROS)
def test_a_macro_reproduces_its_chip(name: str) -> None:
    hardware = load_hardware(name)
    calibration = hardware.macro.calibration
    assert calibration is not None
    for check in check_calibration(hardware, calibration):
        point, tolerance = check.point, calibration.tolerance_frac
        assert check.call_energy_pj == pytest.approx(point.call_energy_pj, rel=tolerance)
        assert check.call_ns == pytest.approx(point.call_ns, rel=max(tolerance, 0.02))
    assert is_calibrated(hardware)


@pytest.mark.parametrize(
    ("name", "tops_per_w", "tolerance"),
    [
        ("macros/yu_cicc_2020", (490.0, 15.8), 0.05),
        ("macros/chih_isscc_2021", (356.0,), 0.02),
        ("macros/jia_jssc_2020", (400.0,), 0.02),
        # Fig. 12c of the paper, 1 to 8 bit inputs.
        (
            "macros/wan_nature_2022",
            (43.08, 40.33, 23.09, 15.95, 11.03, 8.257, 7.750, 6.437),
            0.15,
        ),
    ],
)
def test_published_efficiency(name: str, tops_per_w: tuple[float, ...], tolerance: float) -> None:
    hardware = load_hardware(name)
    macro = hardware.macro
    assert macro.calibration is not None
    checks = check_calibration(hardware, macro.calibration)
    for check, published in zip(checks, tops_per_w, strict=True):
        # One-bit columns count as weights of their own where the chip reports 1 bit weights.
        pairs = 2 if macro.weights.encoding == "differential" else 1
        columns = 4 if macro.compute_model == "digital" else pairs
        macs = macro.array.active_rows * macro.array.cols / columns
        assert 2 * macs / check.call_energy_pj == pytest.approx(published, rel=tolerance)


@pytest.mark.parametrize("name", PRICED)
@pytest.mark.parametrize("space_name", SPACES)
def test_every_macro_prices_every_space(name: str, space_name: str) -> None:
    space, hardware = Space(load_space_spec(space_name)), load_hardware(name)
    networks = [space.decode(genes).blueprint for genes in space.sample_genes(50, 1)]
    costs = estimate_table(layer_table(networks), hardware)
    for values in (costs.energy_pj, costs.latency_ns, costs.area_um2, costs.macros):
        assert np.isfinite(values).all()
        assert (values > 0).all()
    assert ((costs.utilization > 0) & (costs.utilization <= 1)).all()
    for bits in (4, 8):
        uniform = space.uniform(weight_bits=bits, activation_bits=bits)
        assert estimate(uniform.blueprint, hardware).energy_pj > 0


def test_the_default_system_keeps_all_weights() -> None:
    hardware = load_hardware("macros/yu_cicc_2020")
    assert hardware.system_name == "enough_macros"
    assert hardware.system.macros == "enough"
    assert load_hardware("systems/edge_soc").macro == hardware.macro
    with pytest.raises(SpecError, match="name the macro instead"):
        load_hardware("systems/enough_macros")


def test_adc_bits_are_a_true_choice_on_the_ramp_macro() -> None:
    space = Space(load_space_spec("vgg_tiny"))
    hardware = load_hardware("macros/yu_cicc_2020")
    prices = [
        estimate(
            space.uniform(weight_bits=4, activation_bits=4, adc_bits=bits).blueprint, hardware
        )
        for bits in range(1, 6)
    ]
    assert all(b.energy_pj > a.energy_pj for a, b in pairwise(prices))
    assert all(b.latency_ns > a.latency_ns for a, b in pairwise(prices))
