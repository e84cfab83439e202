"""The hardware catalogue: every file is valid, sourced, calibrated, and prices every space."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cimsearch.cost import check_calibration, estimate, estimate_table, is_calibrated
from cimsearch.errors import HardwareError, SpecError
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.catalogue import names
from cimsearch.spec.hardware import Hardware, basis_of, numbers
from cimsearch.spec.load import load_hardware_file

FILES = sorted(names("hardware"))
MACROS = [name for name in FILES if name.startswith("macros/")]
# No chip but a design to search: nothing was measured, and nothing is calibrated.
DESIGNS = ("macros/charge_28nm",)
CHIPS = [name for name in MACROS if name not in DESIGNS]
PRICED = [*MACROS, "systems/edge_soc"]
SPACES = sorted(names("spaces"))
DOCS = Path(__file__).parents[3] / "docs" / "hardware.md"

PUBLISHED: dict[str, tuple[int, tuple[float, ...]]] = {
    "chih_isscc_2021": (4, (356.0,)),
    "choi_cicc_2022": (2, (133.58,)),
    "choi_cicc_2023": (2, (333.0,)),
    "dai_vlsi_2024": (8, (154.9,)),
    "deaville_vlsi_2022": (4, (10.4,)),
    "guo_isscc_2023": (2, (704.0,)),
    "jia_jssc_2020": (1, (400.0,)),
    "jiang_vlsi_2018": (1, (403.0,)),
    "mori_isscc_2023": (12, (145.2,)),
    "papistas_cicc_2021": (2, (1050.0,)),
    "spetalnick_vlsi_2023": (1, (63.3,)),
    # Fig. 12c of the paper, 1 to 8 bit inputs.
    "wan_nature_2022": (2, (43.08, 40.33, 23.09, 15.95, 11.03, 8.257, 7.750, 6.437)),
    "wang_vlsi_2022": (2, (32.2,)),
    "wang_vlsi_2024": (2, (42.6,)),
    "xue_jssc_2019": (2, (53.17, 21.9)),
    "yin_ted_2020": (2, (24.1,)),
    "yu_cicc_2020": (1, (490.0, 15.8)),
}
"""Columns that a weight takes at the published precision, and TOPS/W at it, for every point."""

OTHER_SUPPLIES = [
    ("choi_cicc_2022", 1.2, 52.33),
    ("jia_jssc_2020", 1.2, 192.0),
    ("jiang_vlsi_2018", 1.0, 139.1),
    ("papistas_cicc_2021", 0.6, 1870.0),
    ("wang_vlsi_2022", 1.0, 16.376),
    ("wang_vlsi_2022", 1.1, 15.5),
]
"""Measured at a supply that the file was not fitted to: TOPS/W at the precision of PUBLISHED."""


def call_macs(hardware: Hardware) -> float:
    """Return the MACs of an array call at the published precision."""
    columns, _ = PUBLISHED[hardware.name]
    array = hardware.macro.array
    return array.active_rows * array.cols / columns


def test_the_catalogue_has_each_kind_of_macro() -> None:
    assert len(MACROS) >= 12
    macros = [load_hardware(name).macro for name in MACROS]
    kinds = {(macro.device, macro.compute_model) for macro in macros}
    assert kinds >= {
        ("sram", "QS"),
        ("sram", "QR"),
        ("sram", "IS"),
        ("sram", "digital"),
        ("rram", "resistive"),
        ("flash", "resistive"),
        ("mram", "resistive"),
    }
    nodes = [macro.technology.node_nm for macro in macros]
    assert min(nodes) == 4
    assert max(nodes) == 130
    assert len(set(nodes)) >= 7


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


@pytest.mark.parametrize("name", CHIPS)
def test_a_macro_reproduces_its_chip(name: str) -> None:
    hardware = load_hardware(name)
    calibration = hardware.macro.calibration
    assert calibration is not None
    assert calibration.tolerance_frac <= (0.05 if len(calibration.points) == 1 else 0.25)
    for check in check_calibration(hardware, calibration):
        point, tolerance = check.point, calibration.tolerance_frac
        assert check.call_energy_pj == pytest.approx(point.call_energy_pj, rel=tolerance)
        assert check.call_ns == pytest.approx(point.call_ns, rel=max(tolerance, 0.02))
    assert is_calibrated(hardware)


@pytest.mark.parametrize("name", CHIPS)
def test_published_efficiency(name: str) -> None:
    hardware = load_hardware(name)
    calibration = hardware.macro.calibration
    assert calibration is not None
    _, published = PUBLISHED[hardware.name]
    checks = check_calibration(hardware, calibration)
    for check, tops_per_w in zip(checks, published, strict=True):
        measured_pj = 2 * call_macs(hardware) / tops_per_w
        assert check.point.call_energy_pj == pytest.approx(measured_pj, rel=5e-3)
        assert check.call_energy_pj == pytest.approx(measured_pj, rel=calibration.tolerance_frac)


@pytest.mark.parametrize(("name", "supply_v", "tops_per_w"), OTHER_SUPPLIES)
def test_one_point_predicts_another_supply(name: str, supply_v: float, tops_per_w: float) -> None:
    fitted = load_hardware(f"macros/{name}")
    given = fitted.macro.input.model_copy(update={"wordline_v": supply_v})
    macro = fitted.macro.model_copy(update={"supply_v": supply_v, "input": given})
    hardware = fitted.model_copy(update={"macro": macro})
    assert macro.calibration is not None
    (check,) = check_calibration(hardware, macro.calibration)
    assert check.call_energy_pj == pytest.approx(2 * call_macs(hardware) / tops_per_w, rel=0.25)


@pytest.mark.parametrize("name", MACROS)
def test_the_noise_of_a_conversion_leaves_its_bits(name: str) -> None:
    macro = load_hardware(name).macro
    if macro.adc is None:
        assert macro.noise.adc_sigma_frac == 0
    else:
        assert 0 < macro.noise.adc_sigma_frac < 0.5 / 2**macro.adc.bits


def test_the_docs_list_every_macro() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name in DESIGNS:
        assert load_hardware(name).macro.calibration is None
        assert f"`{load_hardware(name).name}` is no chip" in text
    lines = text.splitlines()
    rows = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
    for name in CHIPS:
        hardware = load_hardware(name)
        row = rows[hardware.name]
        macro = hardware.macro
        tolerance = macro.calibration.tolerance_frac if macro.calibration else 0.0
        assert f"| {macro.technology.node_nm:g} | {macro.supply_v:g} |" in row
        assert f"| {tolerance:.0%} |".replace("%", " %") in row
        for tops_per_w in PUBLISHED[hardware.name][1]:
            assert f"{tops_per_w:g}" in row


@pytest.mark.parametrize("name", PRICED)
@pytest.mark.parametrize("space_name", SPACES)
def test_every_macro_prices_every_space(name: str, space_name: str) -> None:
    space, hardware = Space(load_space_spec(space_name)), load_hardware(name)
    networks = space.layer_table(space.sample_genes(50, 1))
    signed = ((networks.x_signed == 1) & (networks.cim == 1)).any()
    if signed and hardware.macro.input.dac_bits > 1:
        with pytest.raises(HardwareError, match=r"signed activations need input\.dac_bits 1"):
            estimate_table(networks, hardware)
        return
    costs = estimate_table(networks, hardware)
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
