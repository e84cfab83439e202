"""Reports and batches: sums, equality of both, statistics, credibility."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import (
    COMPONENTS,
    NodeStatistics,
    estimate,
    estimate_table,
    is_calibrated,
    node_statistics,
    trust_in,
    validated_components,
)
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import Calibration
from cimsearch.spec.study import Statistics

from .tiny import conv, hardware

VGG = Space(load_space_spec("vgg_tiny"))
NETWORKS = [VGG.decode(genes).blueprint for genes in VGG.sample_genes(40, 0)]
YU = load_hardware("macros/yu_cicc_2020")


def test_a_batch_is_each_network_alone_bit_for_bit() -> None:
    assert len({len(network.nodes) for network in NETWORKS}) > 1
    for on in (YU, load_hardware("systems/edge_soc"), load_hardware("macros/wan_nature_2022")):
        batch = estimate_table(layer_table(NETWORKS), on)
        for index, network in enumerate(NETWORKS):
            report = estimate(network, on)
            assert report.energy_pj == batch.energy_pj[index]
            assert report.latency_ns == batch.latency_ns[index]
            assert report.area_um2 == batch.area_um2[index]
            assert report.utilization == batch.utilization[index]
            assert report.macros == batch.macros[index]
            for name, energy in report.components.items():
                assert energy == batch.components[name][index]
            for layer, node in enumerate(report.layers):
                assert node.energy_pj == batch.nodes.energy_pj[index, layer]
                assert node.latency_ns == batch.nodes.latency_ns[index, layer]


def test_sums() -> None:
    report = estimate(NETWORKS[0], YU)
    assert tuple(report.components) == COMPONENTS
    assert sum(report.components.values()) == pytest.approx(report.energy_pj, rel=1e-12)
    assert sum(layer.energy_pj for layer in report.layers) == report.energy_pj
    assert sum(layer.latency_ns for layer in report.layers) == report.latency_ns
    assert sum(layer.macs for layer in report.layers) == report.macs == NETWORKS[0].macs
    assert sum(layer.arrays for layer in report.layers) == report.macros
    for layer in report.layers:
        assert sum(layer.components.values()) == pytest.approx(layer.energy_pj, rel=1e-12)
        assert layer.energy_pj > 0
        assert layer.latency_ns > 0
    assert [layer.name for layer in report.layers] == [node.name for node in NETWORKS[0].nodes]


def test_padding_costs_nothing() -> None:
    batch = estimate_table(layer_table(NETWORKS), YU)
    padded = layer_table(NETWORKS).op < 0
    assert padded.any()
    for costs in (batch.nodes.energy_pj, batch.nodes.latency_ns, batch.nodes.area_um2):
        assert (costs[padded] == 0).all()
        assert np.isfinite(costs).all()


def test_report_is_plain_data() -> None:
    report = estimate(NETWORKS[0], YU)
    again = json.loads(json.dumps(report.to_dict()))
    assert again["energy_pj"] == report.energy_pj
    assert again["layers"][0]["name"] == "stage0.layer0"


def test_efficiency_names_its_precision() -> None:
    network = VGG.uniform(weight_bits=4, activation_bits=8).blueprint
    report = estimate(network, YU)
    assert report.precision == "4b x 8b"
    assert report.tops_per_w == 2 * network.macs / report.energy_pj
    assert estimate(NETWORKS[0], YU).precision == "mixed"
    relu = Node("relu", "relu", ("input",), (1, 2, 2), (1, 2, 2))
    assert estimate(relu, YU).precision == ""


def test_statistics_scale_what_depends_on_data() -> None:
    idle = estimate(conv(), hardware(), Statistics(activity_frac=0.0, density_frac=0.0))
    busy = estimate(conv(), hardware(), Statistics(activity_frac=1.0, density_frac=1.0))
    assert idle.components["drivers"] == 0
    assert 0 < idle.components["cells"] < busy.components["cells"]
    assert idle.components["adc"] == busy.components["adc"]


def test_measured_statistics_by_node() -> None:
    network = NETWORKS[0]
    name = next(node.name for node in network.nodes if node.placement == "cim")
    declared = Statistics()
    same = node_statistics(network, {}, {}, default=declared)
    assert estimate(network, YU, same) == estimate(network, YU, declared)
    found = estimate(network, YU, node_statistics(network, {name: 0.1}, {name: 0.2}))
    plain = {layer.name: layer for layer in estimate(network, YU).layers}
    for layer in found.layers:
        expected = plain[layer.name].energy_pj
        assert layer.energy_pj < expected if layer.name == name else layer.energy_pj == expected
    every = NodeStatistics(np.array(0.1), np.array(0.2))
    assert estimate(network, YU, every).energy_pj < found.energy_pj


def test_a_network_wider_than_its_system() -> None:
    network = Blueprint((2, 4, 4), 3, (conv("a"), conv("b")))
    fits, not_quite = hardware(system={"macros": 6}), hardware(system={"macros": 5})
    assert estimate(network, fits).components["off_chip"] == 0
    assert all(layer.components["off_chip"] > 0 for layer in estimate(network, not_quite).layers)
    assert estimate(network, not_quite).macros == 6


def test_an_operation_without_a_price_is_an_error() -> None:
    node = Node("x", "relu", ("input",), (3, 4, 4), (3, 4, 4))
    table = layer_table([Blueprint((3, 4, 4), 3, (node,))])
    unknown = replace(table, op=np.full_like(table.op, 99))
    with pytest.raises(HardwareError, match="network 0, node 0: has no price on tiny"):
        estimate_table(unknown, hardware())


ARRAY_CALL = ("cells", "drivers", "adc", "adder_tree", "shift_add")


def test_credibility() -> None:
    tiny = hardware()
    assert not is_calibrated(tiny)
    report = estimate(conv(), tiny)
    assert not report.calibrated
    assert report.band_factor == pytest.approx(15.46, abs=0.01)
    assert report.band_achieved_frac == pytest.approx(0.83, abs=0.005)
    assert report.band_basis == (
        "the component equations on 21 analog SRAM chips, each left out of the fit of one scale"
    )
    validated = sum(report.components[name] for name in ARRAY_CALL) / report.energy_pj
    assert report.unvalidated_frac == pytest.approx(1 - validated)
    macro = load_hardware("macros/chih_isscc_2021").macro
    digital, fitted = (trust_in(macro, calibrated=known) for known in (False, True))
    assert digital.factor == pytest.approx(11.54, abs=0.01)
    assert fitted.factor == pytest.approx(2.87, abs=0.01)
    assert fitted.basis == (
        "meets 1 measured point of this chip within 2 %; at other points such models were within "
        "x or / 2.87 for 80 % of 12 analog SRAM and RRAM chips; there not validated (digital "
        "SRAM: n = 0)"
    )
    assert digital.achieved_coverage == pytest.approx(0.89, abs=0.005)
    assert fitted.achieved_coverage is None
    analog = trust_in(YU.macro, calibrated=True)
    assert analog.factor == fitted.factor
    assert analog.achieved_coverage == pytest.approx(10 / 12)
    assert analog.basis.endswith("80 % of 12 analog SRAM and RRAM chips")
    rram = load_hardware("macros/wan_nature_2022").macro
    assert trust_in(rram, calibrated=False).factor == pytest.approx(6.55, abs=0.01)
    flash = rram.model_copy(update={"device": "flash"})
    assert trust_in(flash, calibrated=False).basis == "not validated (flash: n = 1 or 2)"


def test_validated_is_what_was_measured() -> None:
    report = estimate(conv(placement="cim", adc_bits=5, x_bits=1), YU)
    assert YU.macro.calibration is not None
    assert set(YU.macro.calibration.components) == {"cells", "drivers", "adc"}
    known = sum(report.components[name] for name in YU.macro.calibration.components)
    assert report.calibrated
    assert report.components["shift_add"] > 0
    assert report.unvalidated_frac == pytest.approx(1 - known / report.energy_pj)


@pytest.mark.parametrize("name", ["macros/chih_isscc_2021", "macros/wan_nature_2022"])
def test_without_a_calibration_what_is_scored_on_chips_is_validated(name: str) -> None:
    macro = load_hardware(name).macro
    assert macro.calibration is not None
    known = validated_components(macro, calibrated=True)
    assert known == set(macro.calibration.components)
    assert validated_components(macro, calibrated=False) == set(ARRAY_CALL)
    assert ("control" in known) == ("control" in macro.calibration.components)


def test_nothing_is_validated_where_no_chips_were_scored() -> None:
    flash = load_hardware("macros/choi_cicc_2023").macro
    assert validated_components(flash, calibrated=False) == frozenset()
    points = [{"bits": 3, "rows": 4, "activity_frac": 0.5, "energy_pj": 9.0, "delay_ns": 7.0}]
    points.append(points[0] | {"rows": 1})
    table = {"components": ["cells", "adc"], "density_frac": 0.5, "points": points}
    report = estimate(conv(x_bits=1), hardware(array_call=table, configurable={}))
    assert report.components["drivers"] > 0
    assert report.unvalidated_frac == 1.0
    assert report.band_basis == "not validated (simulated array calls)"


def test_the_band_of_a_calibrated_macro_holds_the_errors_of_its_points() -> None:
    points = YU.macro.calibration
    assert points is not None
    loose = points.model_copy(update={"tolerance_frac": 0.75})
    trust = trust_in(YU.macro.model_copy(update={"calibration": loose}), calibrated=True)
    assert trust.factor == pytest.approx(4.0)
    assert trust.basis.startswith("meets 2 measured points of this chip within 75 %;")
    for off in (0.25, 1.75):
        assert 1 / trust.factor <= off <= trust.factor


@pytest.mark.parametrize("device", ["flash", "pcm", "mram"])
def test_a_calibrated_device_of_too_few_chips_is_not_validated_at_other_points(
    device: str,
) -> None:
    macro = YU.macro.model_copy(update={"device": device})
    trust = trust_in(macro, calibrated=True)
    assert trust.factor == trust_in(YU.macro, calibrated=True).factor
    assert trust.achieved_coverage is None
    assert trust.basis.startswith("meets 2 measured points of this chip within 5 %;")
    assert trust.basis.endswith(f"; there not validated ({device}: n = 1 or 2)")


def test_a_loose_tolerance_is_refused() -> None:
    points = YU.macro.calibration
    assert points is not None
    data = points.model_dump(mode="json")
    Calibration.model_validate_json(json.dumps(data | {"tolerance_frac": 0.25}))
    with pytest.raises(ValidationError, match=r"less than or equal to 0\.25"):
        Calibration.model_validate_json(json.dumps(data | {"tolerance_frac": 0.26}))


def test_a_calibration_that_is_not_met_is_none() -> None:
    points = YU.macro.calibration
    assert points is not None
    strict = points.model_copy(update={"tolerance_frac": 0.001})
    off = YU.model_copy(update={"macro": YU.macro.model_copy(update={"calibration": strict})})
    assert is_calibrated(YU)
    assert not is_calibrated(off)


def test_statistics_of_each_network_of_a_table() -> None:
    """One value a network, (n, 1), prices each as its own statistics do."""
    quiet, busy = Statistics(activity_frac=0.1), Statistics(activity_frac=0.9)
    node, relu = conv(), Node("relu", "relu", ("conv",), (3, 4, 4), (3, 4, 4))
    network = Blueprint((2, 4, 4), 3, (node, relu))
    each = NodeStatistics(np.array([[0.1], [0.9]]), np.array([[0.5], [0.5]]))
    both = estimate_table(layer_table([network, network]), hardware(), each).energy_pj
    alone = [estimate(network, hardware(), data).energy_pj for data in (quiet, busy)]
    assert list(both) == alone
