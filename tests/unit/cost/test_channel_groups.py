"""Prices of layers whose groups of channels have different weight bits."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import estimate, estimate_table, mapping_plan
from cimsearch.cost.changes import priced_changes
from cimsearch.cost.model import estimate_totals
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Hardware
from tests.unit.space.grouped import RESNET, VGG, with_share

from .explaining import check_arithmetic, explained_layers
from .tiny import DIGITAL, conv, hardware

MACROS = ("yu_cicc_2020", "chih_isscc_2021", "wan_nature_2022", "jia_jssc_2020")
SHARES = (0.25, 0.5)
EIGHT = {"activation_bits": 4, "high_bits": 8, "weight_bits": 4}


@pytest.mark.parametrize("macro", MACROS)
def test_the_cost_lies_between_all_low_and_all_high(macro: str) -> None:
    machine = load_hardware(f"macros/{macro}")
    of_share = {s: with_share(VGG, s, **EIGHT).blueprint for s in (0.0, 0.25, 0.5, 1.0)}
    costs = {share: estimate(network, machine) for share, network in of_share.items()}
    energies = [costs[share].energy_pj for share in sorted(costs)]
    areas = [costs[share].area_um2 for share in sorted(costs)]
    assert energies == sorted(energies)
    assert energies[0] < energies[1] < energies[-1]
    assert areas == sorted(areas)
    for share in SHARES:
        # Both parts run at once; their channels are put in order one after another.
        joins = [layer for layer in costs[share].layers if layer.op == "concat"]
        at_once = costs[share].latency_ns - sum(layer.latency_ns for layer in joins)
        assert at_once <= costs[1.0].latency_ns
        assert costs[share].macros <= costs[1.0].macros


@pytest.mark.parametrize("macro", MACROS)
def test_energy_of_a_layer_is_that_of_its_nodes(macro: str) -> None:
    machine = load_hardware(f"macros/{macro}")
    network = with_share(VGG, 0.25, **EIGHT).blueprint
    report = estimate(network, machine)
    assert sum(layer.energy_pj for layer in report.layers) == pytest.approx(report.energy_pj)
    low, high, joined = (
        next(n for n in report.layers if n.name == x)
        for x in ("stage1.layer0", "stage1.layer0.high", "stage1.layer0.joined")
    )
    assert min(low.energy_pj, high.energy_pj, joined.energy_pj) > 0
    assert 0 < high.utilization <= 1
    assert 0 < low.utilization <= 1


@given(st.integers(0, 2**32 - 1), st.sampled_from(MACROS))
@settings(max_examples=10, deadline=None)
def test_a_batch_is_priced_like_each_network_alone(seed: int, macro: str) -> None:
    machine = load_hardware(f"macros/{macro}")
    space = (VGG, RESNET)[seed % 2]
    genes = space.sample_genes(6, seed)
    batch = estimate_totals(space.layer_table(genes), machine)
    for index, row in enumerate(genes):
        alone = estimate(space.decode(row).blueprint, machine)
        assert batch.energy_pj[index] == alone.energy_pj
        assert batch.latency_ns[index] == alone.latency_ns
        assert batch.area_um2[index] == alone.area_um2


def in_parts(low: int, high: int, **of_layers: Any) -> Blueprint:
    """Return a layer of ``low`` outputs of 2 bits beside ``high`` of 6, 18 rows, 16 vectors."""
    parts = [
        conv(name="layer", out_shape=(low, 4, 4), w_bits=2, **of_layers),
        conv(name="layer.high", out_shape=(high, 4, 4), w_bits=6, **of_layers),
    ]
    joined = (low + high, 4, 4)
    join = Node("layer.joined", "concat", ("layer", "layer.high"), (low, 4, 4), joined)
    return Blueprint((2, 4, 4), joined[0], (*parts, join))


ON = {"array": {"cols": 16}, "adc": {"columns_per_adc": 2}}


def test_the_second_part_begins_in_the_columns_that_the_first_leaves() -> None:
    """10 outputs of 2 columns take an array of 16 and 4 columns of the next, with room for two
    outputs of 6 columns; of the other three, two take an array and one the next, a row tile."""
    network, on = in_parts(10, 5), hardware(**ON)
    mapping = estimate_table(layer_table([network]), on).mapping
    assert mapping.column_tiles[0].tolist() == [2, 2, 0]
    assert mapping.shared_tiles[0].tolist() == [0, 1, 0]
    # 18 rows on arrays of 8: each is in three row tiles.
    assert mapping.arrays[0].tolist() == [6, 6, 0]
    # 16 vectors x 2 planes x 5 row groups, to the two arrays that the first part is not in.
    assert mapping.array_calls[0].tolist() == [320, 320, 0]
    plan = mapping_plan(network, on)
    assert [(p.macro, p.columns, p.outputs) for p in plan if p.layer == "layer"][:2] == [
        (0, (0, 16), (0, 8)),
        (1, (0, 4), (8, 10)),
    ]
    assert [(p.macro, p.columns, p.outputs) for p in plan if p.layer == "layer.high"][:3] == [
        (1, (4, 16), (0, 2)),
        (6, (0, 12), (2, 4)),
        (7, (0, 6), (4, 5)),
    ]


def test_a_second_part_that_fits_takes_no_array_call_and_no_time_of_its_own() -> None:
    network, on = in_parts(2, 2), hardware(**ON)
    costs = estimate_table(layer_table([network]), on)
    assert costs.mapping.arrays[0].tolist() == [3, 0, 0]
    assert costs.mapping.array_calls[0, 1] == 0
    # Its lines are converted in the sweep of the first part's array, which has all columns.
    assert costs.mapping.swept_conversions[0, 1] == 0
    assert costs.mapping.conversions[0, 1] > 0
    alone = estimate(Blueprint((2, 4, 4), 2, network.nodes[:1]), on)
    whole = estimate(network, on)
    assert alone.energy_pj < whole.energy_pj
    # The arrays take longest, and are as long at work as for the first part alone.
    assert whole.layers[1].latency_ns == 0
    assert whole.layers[0].latency_ns == alone.latency_ns
    assert whole.latency_ns == alone.latency_ns + whole.layers[2].latency_ns
    assert mapping_plan(network, on)[3].macro == mapping_plan(network, on)[0].macro


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([8, 16, 24, 32]))
@settings(max_examples=30, deadline=None)
def test_a_plan_holds_every_weight_of_both_parts_once(low: int, high: int, cols: int) -> None:
    network, on = in_parts(low, high), hardware(array={"cols": cols}, adc=ON["adc"])
    mapping, plan = estimate_table(layer_table([network]), on).mapping, mapping_plan(network, on)
    taken: dict[int, list[tuple[int, int]]] = {}
    for place in plan:
        taken.setdefault(place.macro, []).append(place.columns)
        assert place.columns[1] <= cols
    assert sorted(taken) == list(range(int(mapping.arrays.sum())))
    for columns in taken.values():
        assert all(a[1] <= b[0] for a, b in pairwise(sorted(columns)))
    for index, node in enumerate(network.nodes):
        own = [place for place in plan if place.layer == node.name]
        assert sum(place.cells for place in own) == mapping.used_cells[0, index]
        outputs = sorted({place.outputs for place in own})
        assert [n for span in outputs for n in range(*span)] == list(
            range(node.out_shape[0] if own else 0)
        )


@pytest.mark.parametrize(
    "system", [{"layers_per_array": "many"}, {"macros": 64, "duplicates": "fill"}]
)
def test_where_layers_share_arrays_or_have_copies_each_part_is_a_layer(system: Any) -> None:
    network, on = in_parts(2, 2), hardware(**ON, system=system)
    mapping = estimate_table(layer_table([network]), on).mapping
    assert mapping.arrays[0].tolist() == [3, 3, 0]
    plan = mapping_plan(network, on)
    assert {p.outputs for p in plan if p.layer == "layer.high" and not p.copy} == {(0, 2)}


SLOW_WRITING = {"array": {"cols": 16, "write_ns_per_row": 1e4}}


@pytest.mark.parametrize(
    "skipping", [{}, {"input": {"zero_skipping": "planes"}}, DIGITAL, SLOW_WRITING]
)
@pytest.mark.parametrize(
    "system",
    [
        {},
        {"macros": 2},
        {"macros": 3},
        {"execution": "pipelined"},
        {"execution": "fused", "macros": 6},
        {"duplicates": "fill", "macros": 64},
    ],
)
@pytest.mark.parametrize("high", [5, 2])
def test_explanations_of_parts_are_the_model(skipping: Any, system: Any, high: int) -> None:
    """Two outputs of many bits are in arrays of the first part alone."""
    on = hardware(**(ON | skipping), system=system)
    for found in explained_layers(in_parts(10, high, x_bits=4), on):
        check_arithmetic(found)


def test_changes_of_bits_are_priced_like_the_changed_network() -> None:
    network, on = in_parts(10, 5, x_bits=4), hardware(**ON)
    table, changes = priced_changes(network, on)
    costs = estimate_table(table, on)
    assert {(c.where, c.kind) for c in changes} == {
        ("layer", "weight_bits"),
        ("layer.high", "weight_bits"),
    }
    for row, change in enumerate(changes, start=1):
        nodes = tuple(
            replace(node, w_bits=change.after) if node.name == change.where else node
            for node in network.nodes
        )
        assert costs.energy_pj[row] == estimate(replace(network, nodes=nodes), on).energy_pj


def test_more_bits_than_the_macro_has_are_refused_by_name() -> None:
    network = in_parts(2, 2)
    nodes = (network.nodes[0], replace(network.nodes[1], w_bits=9), network.nodes[2])
    with pytest.raises(
        HardwareError, match=r"layer\.high: weight bits: found 9; allowed are 1 to 8"
    ):
        estimate(replace(network, nodes=nodes), hardware(**ON))


@pytest.mark.parametrize("macros", [1, 2, 4])
def test_macros_that_are_too_few_are_filled_with_one_part_after_the_other(macros: int) -> None:
    whole = load_hardware("macros/yu_cicc_2020")
    system = whole.system.model_copy(update={"macros": macros})
    few = whole.model_copy(update={"system": system})
    low, quarter, half, high = (
        estimate(with_share(VGG, s, **EIGHT).blueprint, few).latency_ns
        for s in (0.0, *SHARES, 1.0)
    )
    assert low < quarter <= half < high


def test_both_parts_have_one_sum_of_inputs() -> None:
    whole = load_hardware("macros/yu_cicc_2020")
    weights = whole.macro.weights.model_copy(update={"encoding": "offset"})
    macro = whole.macro.model_copy(update={"weights": weights})
    machine = whole.model_copy(update={"macro": macro})
    low, quarter = (
        estimate_table(layer_table([with_share(VGG, s, **EIGHT).blueprint]), machine).mapping
        for s in (0.0, 0.25)
    )
    assert 0 < quarter.input_sums.sum() == low.input_sums.sum()


FAST_UNIT = {"lanes": 4096, "clock_mhz": 1000.0}


@pytest.mark.parametrize("skipping", [{}, {"input": {"zero_skipping": "planes"}}])
def test_a_call_of_the_array_that_both_parts_are_in_takes_as_long_as_the_slower_one(
    skipping: Any,
) -> None:
    """Adder trees of 8 weight bits take longer than those of 2, in the same array too."""
    network = in_parts(2, 2)
    on = hardware(**DIGITAL, **skipping, array={"cols": 32}, system={"digital": FAST_UNIT})
    assert estimate_table(layer_table([network]), on).mapping.arrays[0].tolist() == [3, 0, 0]
    low, high, _ = estimate(network, on).layers
    slower = estimate(Blueprint((2, 4, 4), 2, network.nodes[1:2]), on)
    assert low.latency_ns < low.latency_ns + high.latency_ns == pytest.approx(slower.latency_ns)


def test_macros_that_are_filled_again_and_again_hold_a_part_of_both_each_time() -> None:
    """With one macro the three row tiles, which both parts are in, follow each other."""
    network = in_parts(2, 2)
    one = hardware(**DIGITAL, array={"cols": 32}, system={"digital": FAST_UNIT, "macros": 1})
    costs = estimate_table(layer_table([network]), one)
    # 16 vectors x 2 planes x 5 row groups, each longer by the carries of 6 bits.
    alone = estimate_table(layer_table([in_parts(2, 2)]), hardware(**DIGITAL, array={"cols": 32}))
    calls = alone.mapping.passes[0, 0]
    assert calls == 160
    low_ns, high_ns = costs.nodes.call_ns[0, :2]
    loading_ns = network.nodes[1].weights * 8 / one.system.off_chip.bandwidth_gbps
    assert costs.nodes.latency_ns[0, 1] == pytest.approx(loading_ns + calls * (high_ns - low_ns))


def pipelined(network: Blueprint, on: Hardware) -> tuple[float, float, list[float]]:
    """Return latency, interval and the times of nodes."""
    costs = estimate_table(layer_table([network]), on)
    return costs.latency_ns[0], costs.interval_ns[0], costs.nodes.latency_ns[0].tolist()


PIPELINED = {"digital": FAST_UNIT, "execution": "pipelined"}


@pytest.mark.parametrize("high", [2, 5, 24])
@pytest.mark.parametrize("macro", [ON, {**DIGITAL, "array": {"cols": 16}}], ids=["adc", "trees"])
def test_pipelined_both_parts_start_on_the_same_input(high: int, macro: Any) -> None:
    latency, interval, (low, more, join) = pipelined(
        in_parts(10, high), hardware(**macro, system=PIPELINED)
    )
    # What joins them waits for one row of four, and the next input for both parts.
    assert latency == pytest.approx(max(low + more, (low + more) / 4 + join))
    assert interval == pytest.approx(max(low + more, join))
    assert more > 0 or macro is ON


def test_pipelined_parts_in_arrays_of_their_own_start_together_too() -> None:
    copies = PIPELINED | {"duplicates": "fill", "macros": 64}
    latency, interval, (low, high, join) = pipelined(
        in_parts(10, 5), hardware(**ON, system=copies)
    )
    slower = max(low, high)
    assert latency == pytest.approx(max(slower, slower / 4 + join))
    assert interval == pytest.approx(max(slower, join))
