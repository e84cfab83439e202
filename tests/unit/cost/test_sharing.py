"""Layers that share arrays: fewer macros, and plans in which no part is in the way of another."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import CostArrays, Placement, estimate, estimate_table, mapping_plan
from cimsearch.cost.sharing import shelves_of
from cimsearch.layer_table import layer_table
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import Hardware

from .tiny import DIGITAL, conv, hardware

MANY: dict[str, Any] = {"layers_per_array": "many"}


@st.composite
def macros(draw: st.DrawFn, /, **system: Any) -> Hardware:
    """Draw an analog or digital macro of any shape, in a system of ``system``."""
    rows = draw(st.integers(1, 20))
    array = {"rows": rows, "active_rows": draw(st.integers(1, rows))}
    if draw(st.booleans()):
        array["cols"] = 8 * draw(st.integers(1, 6))
        return hardware(**DIGITAL, array=array, system=system)
    shared = draw(st.sampled_from([1, 2, 4, 8]))
    array["cols"] = shared * draw(st.integers(-(-14 // shared), 30))
    packing = draw(st.sampled_from(["dense", "whole_kernel"]))
    adc = {"columns_per_adc": shared}
    return hardware(array=array, adc=adc, packing=packing, system=system)


@st.composite
def networks(draw: st.DrawFn) -> Blueprint:
    """Draw layers with and without groups, one of them not on arrays."""

    def layer(index: int) -> Node:
        groups = draw(st.sampled_from([1, 1, 2, 3, 5]))
        kernel, side = draw(st.sampled_from([1, 3])), draw(st.integers(1, 3))
        return conv(
            f"layer{index}",
            in_shape=(groups * draw(st.integers(1, 8)), side, side),
            out_shape=(groups * draw(st.integers(1, 12)), side, side),
            kernel=(kernel, kernel),
            groups=groups,
            w_bits=draw(st.sampled_from([2, 4, 8])),
        )

    found = [layer(index) for index in range(draw(st.integers(1, 6)))]
    digital = conv("digital", placement="digital")
    found.insert(draw(st.integers(0, len(found))), digital)
    return Blueprint((2, 3, 3), 1, tuple(found))


def costs_of(network: Blueprint, on: Hardware) -> CostArrays:
    return estimate_table(layer_table([network]), on)


def check(plan: tuple[Placement, ...], network: Blueprint, on: Hardware) -> None:
    """Check that ``plan`` is what its network asks for and that it can be built."""
    array, costs = on.macro.array, costs_of(network, on)
    owners: dict[tuple[int, str, int], Placement] = {}
    for place in plan:
        assert 0 <= place.rows[0] < place.rows[1] <= array.rows
        assert 0 <= place.columns[0] < place.columns[1] <= array.cols
        # Every column and every converter of a macro belongs to one placement.
        for kind, (start, stop) in (("column", place.columns), ("adc", place.adcs)):
            for index in range(start, stop):
                assert owners.setdefault((place.macro, kind, index), place) is place
        if on.macro.adc:
            shared = on.macro.adc.columns_per_adc
            assert place.adcs[0] * shared <= place.columns[0]
            assert place.adcs[1] * shared >= place.columns[1]
        else:
            assert place.adcs == (0, 0)
    used = {place.macro for place in plan}
    assert used == set(range(len(used)))
    first = [place for place in plan if not place.copy]
    assert {p.macro for p in first} == set(range(int(costs.macros[0])))
    copies: dict[str, dict[int, list[Placement]]] = defaultdict(lambda: defaultdict(list))
    for place in plan:
        copies[place.layer][place.copy].append(place)
    for index, node in enumerate(network.nodes):
        assert len(copies[node.name]) == costs.nodes.copies[0, index]
        for parts in copies[node.name].values():
            # No two parts of a copy in one macro: each array of it runs at the same time.
            assert len({p.macro for p in parts}) == len(parts) == costs.nodes.arrays[0, index]
            assert sum(p.cells for p in parts) == costs.mapping.used_cells[0, index]
    cells = (costs.mapping.used_cells * costs.nodes.copies).sum()
    assert sum(place.cells for place in plan) == cells


@settings(deadline=None)
@given(networks(), macros(**MANY))
def test_a_plan_of_shared_arrays_can_be_built(network: Blueprint, on: Hardware) -> None:
    check(mapping_plan(network, on), network, on)


@settings(deadline=None)
@given(networks(), macros())
def test_a_plan_of_one_layer_an_array_can_be_built(network: Blueprint, on: Hardware) -> None:
    check(mapping_plan(network, on), network, on)


@settings(deadline=None)
@given(networks(), st.data(), st.sampled_from(["one", "many"]), st.integers(0, 40))
def test_a_plan_with_copies_can_be_built(
    network: Blueprint, data: st.DataObject, per_array: str, spare: int
) -> None:
    sized = data.draw(macros(layers_per_array=per_array))
    owned = int(costs_of(network, sized).macros[0]) + spare
    system = sized.system.model_copy(update={"macros": owned, "duplicates": "fill"})
    on = sized.model_copy(update={"system": system})
    plan = mapping_plan(network, on)
    check(plan, network, on)
    assert max(place.macro for place in plan) < owned


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["yu_cicc_2020", "chih_isscc_2021", "wan_nature_2022", "jia_jssc_2020"]),
    st.integers(0, 10_000),
)
def test_networks_of_a_space_on_published_macros(name: str, seed: int) -> None:
    one = load_hardware(f"macros/{name}")
    many = one.model_copy(update={"system": one.system.model_copy(update=MANY)})
    network = Space(load_space_spec("resnet8")).sample(seed).blueprint
    widest = max(int(bits) for bits in one.macro.choices("activation_bits"))
    if any(node.x_bits > widest for node in network.nodes):
        return
    check(mapping_plan(network, many), network, many)
    assert costs_of(network, many).macros[0] <= costs_of(network, one).macros[0]


@settings(deadline=None)
@given(st.lists(networks(), min_size=1, max_size=4), macros(**MANY))
def test_never_more_macros_than_one_layer_an_array(some: list[Blueprint], on: Hardware) -> None:
    table = layer_table(some)
    mapping = estimate_table(table, on).mapping
    shelves = shelves_of(mapping, on)
    assert (shelves.macros <= mapping.arrays.sum(axis=1)).all()
    assert (shelves.whole + shelves.parts == mapping.arrays).all()
    assert (shelves.macros * mapping.cells_per_array >= mapping.used_cells.sum(axis=1)).all()
    for index, network in enumerate(some):
        alone = shelves_of(costs_of(network, on).mapping, on)
        assert alone.macros[0] == shelves.macros[index]


def test_by_hand() -> None:
    """On arrays of 8 x 8, two columns a converter: 3 layers of 6, 2 and 3 columns, 1 bit weights.

    The first has two row tiles, so the shelf is two arrays high. The second starts at its seventh
    column; the third finds no room and opens the next shelf.
    """

    def linear(name: str, inputs: int, outputs: int) -> Node:
        return conv(
            name,
            in_shape=(inputs, 1, 1),
            out_shape=(outputs, 1, 1),
            kernel=(1, 1),
            w_bits=1,
            x_bits=1,
        )

    layers = linear("a", 16, 6), linear("b", 4, 2), linear("c", 4, 3), linear("d", 8, 11)
    network = Blueprint((16, 1, 1), 1, layers)
    on = hardware(system=MANY)
    places = [(p.layer, p.macro, p.columns, p.adcs) for p in mapping_plan(network, on)]
    assert places == [
        # One whole array comes first: that of the last layer's full column tile.
        ("a", 1, (0, 6), (0, 3)),
        ("a", 2, (0, 6), (0, 3)),
        ("b", 1, (6, 8), (3, 4)),
        ("c", 3, (0, 3), (0, 2)),
        ("d", 0, (0, 8), (0, 4)),
        ("d", 3, (4, 7), (2, 4)),
    ]
    shared, apart = estimate(network, on), estimate(network, hardware())
    assert (shared.macros, apart.macros) == (4, 6)
    assert shared.utilization == pytest.approx(apart.utilization * 6 / 4)
    assert shared.latency_ns == apart.latency_ns
    assert [layer.arrays for layer in shared.layers] == [2, 1, 1, 2]


def test_layers_that_fill_their_arrays_share_nothing() -> None:
    full = conv(in_shape=(8, 1, 1), out_shape=(8, 1, 1), kernel=(1, 1), w_bits=1)
    network = Blueprint((8, 1, 1), 1, (full, conv("other", in_shape=(8, 1, 1), kernel=(1, 1))))
    shelves = shelves_of(costs_of(network, hardware(system=MANY)).mapping, hardware())
    np.testing.assert_array_equal(shelves.whole, [[1, 0]])
    np.testing.assert_array_equal(shelves.parts, [[0, 1]])


def test_sharing_lets_a_network_stay_in_fewer_macros() -> None:
    """Two layers of 4 columns: one macro holds both, or is loaded for each of them."""
    half = {"in_shape": (8, 1, 1), "out_shape": (4, 1, 1), "kernel": (1, 1), "w_bits": 1}
    network = Blueprint((8, 1, 1), 1, (conv("a", **half), conv("b", **half)))
    one, many = (
        estimate(network, hardware(system={"macros": 1, "layers_per_array": per_array}))
        for per_array in ("one", "many")
    )
    assert (one.macros, many.macros) == (2, 1)
    assert one.components["off_chip"] > 0 == many.components["off_chip"]
    assert many.latency_ns < one.latency_ns
    assert many.area_um2 == one.area_um2


@pytest.mark.parametrize("system", [MANY, {"macros": 2, "duplicates": "fill"}])
def test_a_network_without_layers_on_arrays_takes_none(system: dict[str, Any]) -> None:
    network, on = Blueprint((2, 4, 4), 3, (conv(placement="digital"),)), hardware(system=system)
    report = estimate(network, on)
    assert (report.macros, report.utilization, report.programming_pj) == (0, 0, 0)
    assert report.energy_pj > 0
    assert mapping_plan(network, on) == ()
