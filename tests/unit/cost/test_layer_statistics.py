"""Data statistics declared of single layers: prices, explanations, steps, signal to noise."""

from typing import Any

import numpy as np
import pytest

from cimsearch.blueprint import Blueprint
from cimsearch.cost import (
    NodeStatistics,
    estimate,
    estimate_table,
    estimate_totals,
    fidelity,
    named_statistics,
)
from cimsearch.cost.report import node_statistics
from cimsearch.cost.staircase import staircase
from cimsearch.errors import UsageError
from cimsearch.layer_table import layer_table
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.statistics import LayerStatistics
from cimsearch.spec.study import Statistics
from tests.unit.cost.explaining import explained_layers

YU = load_hardware("macros/yu_cicc_2020")
NETWORK = Space(load_space_spec("vgg_tiny")).uniform(weight_bits=4, activation_bits=4).blueprint
NAMES = [node.name for node in NETWORK.nodes]


def declared(*layers: tuple[str, dict[str, float]], **network: Any) -> Statistics:
    entries = tuple(LayerStatistics(layer=name, **shares) for name, shares in layers)
    return Statistics(**network, layers=entries)


DATA = declared(
    ("stage0.*", {"activity_frac": 0.3, "density_frac": 0.4}),
    ("stage1.layer0", {"density_frac": 0.1}),
    activity_frac=0.6,
    batch=4,
)


def test_each_layer_costs_what_its_own_statistics_say() -> None:
    layers = estimate(NETWORK, YU, DATA).layers
    for layer in layers:
        own = DATA.of_layer(layer.name)
        alone = next(x for x in estimate(NETWORK, YU, own).layers if x.name == layer.name)
        # Layers share the leakage of the chip by their times, which data may change.
        dynamic = layer.components.keys() - {"leakage"}
        assert all(layer.components[name] == alone.components[name] for name in dynamic)
    assert len({DATA.of_layer(layer.name) for layer in layers}) == 3


def test_an_entry_of_all_layers_prices_as_the_network_does() -> None:
    shares: dict[str, Any] = {"activity_frac": 0.2, "density_frac": 0.3, "zero_plane_frac": 0.1}
    assert estimate(NETWORK, YU, declared(("*", shares))) == estimate(
        NETWORK, YU, Statistics(**shares)
    )


def test_explanations_add_up_and_name_the_layers_own() -> None:
    for found in explained_layers(NETWORK, YU, DATA):
        assert found.statistics == DATA.of_layer(found.layer)


def test_what_was_not_measured_is_as_declared_of_the_layer() -> None:
    data = declared(
        ("stage0.*", {"activity_frac": 0.3, "zero_plane_frac": 0.4}), density_frac=0.2, batch=3
    )
    found = node_statistics(
        NETWORK, {NAMES[0]: 0.11, "classifier": 0.12}, {NAMES[0]: 0.21}, default=data
    )
    activity, density, zeros = (
        dict(zip(NAMES, shares[0].tolist(), strict=True))
        for shares in (found.activity_frac, found.density_frac, np.asarray(found.zero_plane_frac))
    )
    assert found.batch == 3
    assert (activity[NAMES[0]], density[NAMES[0]], zeros[NAMES[0]]) == (0.11, 0.21, 0.4)
    assert activity["stage0.layer1"] == 0.3
    assert (activity["classifier"], density["classifier"], zeros["classifier"]) == (0.12, 0.2, 0)
    unmeasured = node_statistics(NETWORK, {}, {}, default=data)
    assert estimate(NETWORK, YU, unmeasured) == estimate(NETWORK, YU, data)


def test_a_table_of_no_names_refuses_them() -> None:
    table = layer_table([NETWORK])
    for price in (estimate_table, estimate_totals):
        with pytest.raises(
            UsageError, match=r"layers: found 'stage0\.\*'; .*\n.*named_statistics"
        ):
            price(table, YU, DATA)
    named = named_statistics(DATA, NAMES)
    report = estimate(NETWORK, YU, DATA)
    assert float(estimate_table(table, YU, named).energy_pj[0]) == report.energy_pj


def test_statistics_without_layers_stay_as_they_are() -> None:
    plain, arrays = Statistics(activity_frac=0.1), NodeStatistics(np.array(0.1), np.array(0.2))
    assert named_statistics(plain, NAMES) is plain
    assert named_statistics(arrays, NAMES) is arrays
    assert named_statistics(None, NAMES) is None


def test_totals_of_many_pieces_take_statistics_of_each_network() -> None:
    """Tables are priced in pieces of 1,024 networks."""
    space = Space(load_space_spec("vgg_tiny"))
    table = space.layer_table(space.sample_genes(1300, 0))
    activity = np.random.default_rng(0).random((1300, 1))
    data = NodeStatistics(activity, np.array(0.3))
    together = estimate_totals(table, YU, data)
    np.testing.assert_array_equal(together.energy_pj, estimate_table(table, YU, data).energy_pj)


def test_steps_are_priced_with_them() -> None:
    quiet = declared(("stage1.*", {"activity_frac": 0.01, "density_frac": 0.01}))
    busy, idle = (
        {(s.where, s.kind, s.after): s.energy_saved_pj for s in staircase(NETWORK, YU, data).steps}
        for data in (Statistics(), quiet)
    )
    common = busy.keys() & idle.keys()
    assert any(busy[step] != idle[step] for step in common)
    every = declared(("*", {"activity_frac": 0.5}))
    assert staircase(NETWORK, YU, every) == staircase(NETWORK, YU, Statistics())


def test_signal_to_noise_is_that_of_the_layers_own_data() -> None:
    of_layer = {layer.name: layer for layer in fidelity(NETWORK, YU, DATA)}
    for name, found in of_layer.items():
        alone = {x.name: x for x in fidelity(NETWORK, YU, DATA.of_layer(name))}
        assert found == alone[name]
    assert of_layer != {layer.name: layer for layer in fidelity(NETWORK, YU, Statistics())}


def test_a_report_has_what_the_hardware_does_to_each_layer() -> None:
    for hardware, data in (
        (YU, None),
        (YU, DATA),
        (load_hardware("macros/chih_isscc_2021"), None),
    ):
        report = estimate(NETWORK, hardware, data)
        weighted = {node.name for node in NETWORK.nodes if node.has_weights}
        found = tuple(layer.fidelity for layer in report.layers if layer.fidelity is not None)
        assert found == fidelity(NETWORK, hardware, data)
        assert {layer.name for layer in report.layers if layer.fidelity} == weighted
        plain = report.to_dict()["layers"]
        assert [layer["fidelity"] and layer["fidelity"]["name"] for layer in plain] == [
            name if name in weighted else None for name in NAMES
        ]


def test_reports_of_other_signals_are_not_equal() -> None:
    noise = YU.macro.noise.model_copy(update={"adc_sigma_frac": 0.1})
    macro = YU.macro.model_copy(update={"noise": noise})
    noisy = YU.model_copy(update={"macro": macro})
    report, other = (estimate(NETWORK, hardware) for hardware in (YU, noisy))
    assert report.energy_pj == other.energy_pj
    assert report != other
    assert report == estimate(NETWORK, YU)


def test_a_layer_by_itself_has_a_signal_too() -> None:
    node = next(node for node in NETWORK.nodes if node.placement == "cim")
    (layer,) = estimate(node, YU).layers
    assert layer.fidelity == fidelity(node, YU)[0]
    alone = Blueprint(node.in_shape, node.out_shape[0], (node,))
    assert estimate(alone, YU) == estimate(node, YU)
