"""Pipelined networks: interval between inferences, latency, and what copies do to both."""

from operator import itemgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import CostArrays, estimate, estimate_table
from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import leakage_uw_per_mm2
from cimsearch.cost.namespace import summed
from cimsearch.cost.parts import parts_of
from cimsearch.cost.timing import SHARED
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics

from .tiny import conv, hardware

PIPELINED: dict[str, Any] = {"execution": "pipelined"}
FAST: dict[str, Any] = {"digital": {"clock_mhz": 1e6}}
"""A digital unit that no layer waits for."""
SPACES = [Space(load_space_spec(name)) for name in ("vgg_tiny", "resnet8")]
MACROS = [load_hardware(f"macros/{name}") for name in ("yu_cicc_2020", "chih_isscc_2021")]
JUST = 1e-9


def with_system(on: Hardware, **changes: Any) -> Hardware:
    system = on.system.model_dump() | changes
    return on.model_copy(update={"system": type(on.system).model_validate(system)})


@st.composite
def tables(draw: st.DrawFn) -> LayerTable:
    """Draw networks of a space."""
    space = draw(st.sampled_from(SPACES))
    genes = space.sample_genes(4, draw(st.integers(0, 10_000)))
    return layer_table([space.decode(g).blueprint for g in genes])


def shared_ns(table: LayerTable, on: Hardware) -> NDArray[np.float64]:
    """Return the whole time (n,) of the busiest unit that all nodes share."""
    floating = table.map(lambda column: column.astype(np.float64))
    parts = parts_of(floating, on, Statistics(), "{} {}".format)

    def busy(unit: Any, layers: Layers) -> Any:
        return (layers.real * unit(layers)).sum(axis=1)

    units = [summed(busy(unit, part) for _, part in parts) for unit in SHARED]
    busiest: NDArray[np.float64] = np.max(units, axis=0)
    return busiest


@settings(deadline=None, max_examples=40)
@given(tables(), st.sampled_from(MACROS))
def test_the_interval_is_that_of_the_busiest(table: LayerTable, on: Hardware) -> None:
    # Room for all windows at once, which a pipeline needs.
    room = on.system.buffers.model_dump() | {"size_kib": 512.0}
    on = with_system(on, buffers=room)
    serial = estimate_table(table, on)
    pipelined = estimate_table(table, with_system(on, **PIPELINED))
    np.testing.assert_array_equal(pipelined.nodes.latency_ns, serial.nodes.latency_ns)
    np.testing.assert_array_equal(serial.interval_ns, serial.latency_ns)
    longest, total = serial.nodes.latency_ns.max(axis=1), serial.nodes.latency_ns.sum(axis=1)
    busiest = np.maximum(longest, shared_ns(table, on))
    np.testing.assert_allclose(pipelined.interval_ns, busiest, rtol=JUST)
    assert (pipelined.interval_ns <= pipelined.latency_ns).all()
    assert (pipelined.latency_ns <= np.maximum(total, busiest) * (1 + JUST)).all()


@settings(deadline=None, max_examples=40)
@given(tables(), st.sampled_from(MACROS), st.booleans())
def test_the_chip_leaks_from_one_inference_to_the_next(
    table: LayerTable, on: Hardware, pipelined: bool
) -> None:
    on = with_system(on, **PIPELINED) if pipelined else on
    costs = estimate_table(table, on)
    leak_uw = leakage_uw_per_mm2(on.macro) * costs.area_um2 * 1e-6
    np.testing.assert_allclose(
        costs.components["leakage"], leak_uw * costs.interval_ns * 1e-3, rtol=JUST
    )
    np.testing.assert_allclose(
        costs.nodes.components["leakage"].sum(axis=1), costs.components["leakage"], rtol=JUST
    )


@settings(deadline=None, max_examples=40)
@given(tables(), st.sampled_from(MACROS), st.integers(0, 3000))
def test_copies_never_lengthen_the_interval(table: LayerTable, on: Hardware, spare: int) -> None:
    owned = int(estimate_table(table, on).macros.min()) + spare
    plain, filled = (
        estimate_table(table, with_system(on, **PIPELINED, macros=owned, duplicates=duplicates))
        for duplicates in ("none", "fill")
    )
    assert (filled.interval_ns <= plain.interval_ns).all()
    fits = plain.macros <= owned
    # What does not fit is loaded layer by layer, whatever the execution.
    for costs in (plain, filled):
        np.testing.assert_allclose(
            costs.latency_ns[~fits], costs.nodes.latency_ns.sum(axis=1)[~fits], rtol=JUST
        )
        np.testing.assert_array_equal(costs.interval_ns[~fits], costs.latency_ns[~fits])
    assert (filled.nodes.copies[~fits] <= 1).all()


@settings(deadline=None, max_examples=25)
@given(tables(), st.sampled_from(MACROS), st.integers(0, 3000), st.integers(1, 500))
def test_more_macros_never_lengthen_the_interval(
    table: LayerTable, on: Hardware, spare: int, more: int
) -> None:
    needed = int(estimate_table(table, on).macros.max())
    fewer, larger = (
        estimate_table(table, with_system(on, **PIPELINED, macros=owned, duplicates="fill"))
        for owned in (needed + spare, needed + spare + more)
    )
    assert (larger.interval_ns <= fewer.interval_ns * (1 + JUST)).all()


@settings(deadline=None, max_examples=40)
@given(
    tables(),
    st.sampled_from(MACROS),
    st.sampled_from(["layer_by_layer", "pipelined", "fused"]),
    st.sampled_from(["none", "fill"]),
    st.integers(1, 3000),
)
def test_a_batch_is_timed_like_each_of_it(
    table: LayerTable, on: Hardware, execution: str, duplicates: str, macros: int
) -> None:
    on = with_system(on, execution=execution, duplicates=duplicates, macros=macros)
    together = estimate_table(table, on)
    for row in range(table.shape[0]):
        alone = estimate_table(table.map(itemgetter(slice(row, row + 1))), on)
        for name in ("latency_ns", "interval_ns", "energy_pj"):
            assert getattr(alone, name)[0] == getattr(together, name)[row], name
        np.testing.assert_array_equal(alone.nodes.copies[0], together.nodes.copies[row])


@pytest.mark.parametrize("unit", ["buffers", "interconnect", "digital"])
def test_a_batch_of_placements_is_timed_like_each_of_it(unit: str) -> None:
    """The same nodes are on arrays in one network, and in the digital unit in another."""
    slow = {"clock_mhz": 37.3} if unit == "digital" else {"bandwidth_gbps": 0.7}
    on = hardware(system={"macros": 40, "duplicates": "fill", **PIPELINED, unit: slow})

    def node(index: int, choice: int) -> Node:
        placement: Any = "cim" if choice >> index & 1 else "digital"
        return conv(f"n{index}", placement=placement, w_bits=2 + 2 * (index % 2))

    networks = [
        Blueprint((2, 4, 4), 3, tuple(node(index, choice) for index in range(5)))
        for choice in range(32)
    ]
    together = estimate_table(layer_table(networks), on)
    for row, network in enumerate(networks):
        alone = estimate_table(layer_table([network]), on)
        for name in ("latency_ns", "interval_ns", "energy_pj"):
            assert getattr(alone, name)[0] == getattr(together, name)[row], name
        np.testing.assert_array_equal(alone.nodes.copies[0], together.nodes.copies[row])


def priced(*nodes: Node, **system: Any) -> CostArrays:
    on = hardware(system=FAST | system)
    return estimate_table(layer_table([Blueprint(nodes[0].in_shape, 3, nodes)]), on)


def test_one_node_is_through_when_it_is_done() -> None:
    for system in (PIPELINED, {}):
        costs = priced(conv(), **system)
        assert costs.latency_ns[0] == costs.interval_ns[0] == costs.nodes.latency_ns[0, 0] == 1024


def test_by_hand() -> None:
    """Three convolutions, 16 ns an array call: 2 row groups, 2 planes, 16, 16 and 4 positions.

    The second is 1 x 1 and on 3 rows: one row group.
    """
    nodes = (
        conv("a"),
        conv("b", in_shape=(3, 4, 4), kernel=(1, 1)),
        conv("c", in_shape=(3, 4, 4), out_shape=(3, 2, 2)),
    )
    serial, pipelined = priced(*nodes), priced(*nodes, **PIPELINED)
    assert serial.nodes.latency_ns.tolist() == [[1024, 512, 256]]
    assert serial.latency_ns[0] == serial.interval_ns[0] == 1792
    assert pipelined.interval_ns[0] == 1024
    # b starts at a row of four of a, at 256, and ends with a; c at three rows of four of b.
    start = 256 + (1024 - 256) * 3 / 4
    assert pipelined.latency_ns[0] == pytest.approx(start + 256)
    leaks = [costs.components["leakage"][0] for costs in (serial, pipelined)]
    assert leaks[1] == pytest.approx(leaks[0] * 1024 / 1792)
    for name in ("cells", "adc", "buffers", "interconnect", "digital"):
        assert pipelined.components[name] == serial.components[name]


def test_what_all_share_bounds_the_interval() -> None:
    """Two layers at once move twice the bits over the bus: 16 x 18 x 2 in and 16 x 9 x 7 out."""
    nodes = conv("a"), conv("b")
    slow = {"interconnect": {"bandwidth_gbps": 1.0}}
    one = 16 * 18 * 2 + 16 * 9 * 7
    serial, pipelined = priced(*nodes, **slow), priced(*nodes, **slow, **PIPELINED)
    assert serial.nodes.latency_ns.tolist() == [[one, one]]
    assert serial.latency_ns[0] == pipelined.interval_ns[0] == pipelined.latency_ns[0] == 2 * one


def test_copies_by_hand() -> None:
    """Layers of 3 arrays and 1024 ns, and of one array and 512 ns, on 9 macros: 5 are spare."""
    nodes = conv("a"), conv("b", in_shape=(3, 4, 4), kernel=(1, 1))
    system: dict[str, Any] = {"macros": 9, "duplicates": "fill"}
    # A second copy saves 512 / 3 and 256 ns an array, a third 171 / 3 and 85 ns.
    serial = priced(*nodes, **system)
    assert serial.macros[0] == 4
    # Copies of 16 vectors: 2 take 8 steps, 3 take 6.
    assert serial.nodes.copies.tolist() == [[2, 3]]
    assert serial.nodes.latency_ns.tolist() == [[512, 6 * 32]]
    assert serial.latency_ns[0] == 512 + 6 * 32
    # Pipelined, nothing is faster than two copies of the first layer; the rest goes to the second.
    pipelined = priced(*nodes, **system, **PIPELINED)
    assert pipelined.nodes.copies.tolist() == [[2, 3]]
    assert pipelined.interval_ns[0] == 512
    for name in ("cells", "drivers", "adc", "shift_add", "buffers", "digital"):
        assert serial.components[name] == priced(*nodes).components[name]


def test_a_network_that_does_not_fit_runs_layer_by_layer() -> None:
    nodes = conv("a"), conv("b")
    system = {"macros": 4, "duplicates": "fill"}
    serial, pipelined = (priced(*nodes, **system, **how) for how in ({}, PIPELINED))
    assert pipelined.latency_ns[0] == pipelined.interval_ns[0] == serial.latency_ns[0]
    assert pipelined.energy_pj[0] == serial.energy_pj[0]
    assert pipelined.nodes.copies.tolist() == [[1, 1]]


def test_a_report_has_the_interval_and_the_copies() -> None:
    """Both have 48 biases and 32 values to requantise; one 96 tile sums, the other 864 MACs."""
    network = Blueprint((2, 4, 4), 3, (conv("a"), conv("b", placement="digital")))
    on = hardware(system={"macros": 9, "duplicates": "fill", **PIPELINED})
    report = estimate(network, on)
    # Both share the four lanes at 100 MHz, which the arrays of the first do not keep waiting.
    assert report.interval_ns == (48 + 32 + 96 + 864 + 48 + 32) / 4 * 10 <= report.latency_ns
    assert [layer.copies for layer in report.layers] == [3, 0]
    assert [layer.arrays for layer in report.layers] == [3, 0]
