"""Properties of the cost model on random layers, settings and hardware."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import Totals, estimate, estimate_table, estimate_totals
from cimsearch.cost.demand import demand_of
from cimsearch.cost.layer_integers import (
    columns_of_output,
    input_planes,
    row_groups,
    weight_slices,
)
from cimsearch.cost.map_table import map_table
from cimsearch.layer_table import layer_table
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import Encoding, Hardware
from cimsearch.spec.study import Statistics
from tests.unit.cost.tiny import DIGITAL, conv, hardware

BITS = (2, 3, 4, 6, 8)
ENCODINGS: tuple[Encoding, ...] = (
    "offset",
    "twos_complement",
    "differential",
    "differential_digital",
)
CATALOGUE = [
    load_hardware(name)
    for name in (
        "macros/yu_cicc_2020",
        "macros/chih_isscc_2021",
        "macros/wan_nature_2022",
        "macros/jia_jssc_2020",
        "systems/edge_soc",
    )
]
SPACES = [Space(load_space_spec(name)) for name in ("vgg_tiny", "resnet8")]


@st.composite
def tiny(draw: st.DrawFn, *, columns_per_adc: int | None = None) -> Hardware:
    """Draw an analog macro of any shape that can hold 8 bit weights in any encoding."""
    rows = draw(st.integers(1, 40))
    shared = columns_per_adc or draw(st.sampled_from([1, 2, 4, 8]))
    array = {
        "rows": rows,
        "cols": shared * draw(st.integers(-(-14 // shared), 40)),
        "active_rows": draw(st.integers(1, rows)),
    }
    macros = draw(st.sampled_from(["enough", 1, 4, 64]))
    return hardware(array=array, adc={"columns_per_adc": shared}, system={"macros": macros})


@st.composite
def layers(draw: st.DrawFn, *, encodings: tuple[str, ...] = ("",)) -> Node:
    """Draw a convolution on arrays, without groups."""
    side, kernel = draw(st.integers(1, 5)), draw(st.sampled_from([1, 3]))
    return conv(
        in_shape=(draw(st.integers(1, 40)), side, side),
        out_shape=(draw(st.integers(1, 40)), side, side),
        kernel=(kernel, kernel),
        w_bits=draw(st.sampled_from(BITS)),
        x_bits=draw(st.sampled_from(BITS)),
        encoding=draw(st.sampled_from(encodings)),
    )


def prices(nodes: Iterable[Node], on: Hardware, data: Statistics | None = None) -> Totals:
    """Price layers at once, each by itself: the same bits (``test_totals_of_a_batch``), faster."""
    networks = [Blueprint(node.in_shape, node.out_shape[0], (node,)) for node in nodes]
    return estimate_totals(layer_table(networks), on, data)


def never_cheaper(costs: Totals) -> None:
    """Check that each layer costs no less than the one before it."""
    assert (costs.energy_pj[1:] >= costs.energy_pj[:-1] * (1 - 1e-12)).all()
    for values in (costs.latency_ns, costs.area_um2, costs.macros):
        assert (values[1:] >= values[:-1]).all()


@given(layers(encodings=ENCODINGS), tiny())
def test_bits_are_never_free(node: Node, on: Hardware) -> None:
    never_cheaper(prices((replace(node, x_bits=bits) for bits in BITS), on))
    never_cheaper(prices((replace(node, adc_bits=bits) for bits in range(1, 6)), on))


@given(layers(encodings=ENCODINGS), tiny(columns_per_adc=1))
def test_weight_bits_are_never_free(node: Node, on: Hardware) -> None:
    never_cheaper(prices((replace(node, w_bits=bits) for bits in BITS), on))


@given(layers(encodings=ENCODINGS), tiny(), st.integers(1, 9))
def test_channels_are_never_free(node: Node, on: Hardware, more: int) -> None:
    (cin, h, w), (cout, *_) = node.in_shape, node.out_shape
    wide_in = replace(node, in_shape=(cin + more, h, w))
    wide_out = replace(node, out_shape=(cout + more, h, w))
    never_cheaper(prices((node, wide_in), on))
    never_cheaper(prices((node, wide_out), on))


@given(layers(), st.sampled_from(CATALOGUE))
def test_bits_and_channels_on_the_catalogue(node: Node, on: Hardware) -> None:
    never_cheaper(prices((replace(node, w_bits=bits) for bits in BITS), on))
    never_cheaper(prices((replace(node, x_bits=bits) for bits in BITS), on))
    (cin, h, w), (cout, *_) = node.in_shape, node.out_shape
    never_cheaper(prices((node, replace(node, in_shape=(2 * cin, h, w))), on))
    never_cheaper(prices((node, replace(node, out_shape=(2 * cout, h, w))), on))


@given(layers(), tiny(), st.floats(0, 1), st.floats(0, 1))
def test_busier_data_is_never_cheaper(node: Node, on: Hardware, a: float, b: float) -> None:
    low, high = sorted((a, b))
    for quiet, busy in (
        (Statistics(activity_frac=low), Statistics(activity_frac=high)),
        (Statistics(density_frac=low), Statistics(density_frac=high)),
    ):
        less, more = (prices((node,), on, data) for data in (quiet, busy))
        assert more.energy_pj >= less.energy_pj * (1 - 1e-12)
        assert more.latency_ns >= less.latency_ns
        assert more.area_um2 >= less.area_um2
        assert more.macros >= less.macros


@given(layers(), tiny())
def test_more_active_rows_are_never_slower(node: Node, on: Hardware) -> None:
    array = on.macro.array
    times = []
    for active in sorted({1, array.active_rows, array.rows}):
        changed = array.model_copy(update={"active_rows": active})
        macro = on.macro.model_copy(update={"array": changed})
        priced = prices((node,), on.model_copy(update={"macro": macro}))
        times.append(float(priced.latency_ns[0]))
    assert times == sorted(times, reverse=True)


@given(
    layers(encodings=ENCODINGS),
    tiny(),
    st.sampled_from(["relu", "batchnorm", "flatten", "add", "maxpool", "avgpool", "conv"]),
)
def test_one_more_node_is_never_free(node: Node, on: Hardware, op: Any) -> None:
    shape = node.out_shape
    extra = Node("extra", op, ("conv", "conv")[: 1 + (op == "add")], shape, shape)
    if op == "conv":
        extra = replace(extra, placement="cim", w_bits=2, x_bits=2)
    alone = estimate(Blueprint(node.in_shape, 1, (node,)), on)
    both = estimate(Blueprint(node.in_shape, 1, (node, extra)), on)
    assert both.energy_pj > alone.energy_pj
    assert both.latency_ns > alone.latency_ns
    assert both.area_um2 >= alone.area_um2


@given(st.sampled_from(SPACES), st.sampled_from(CATALOGUE), st.integers(0, 1000))
def test_totals_of_a_batch(space: Space, on: Hardware, seed: int) -> None:
    networks = [space.decode(genes).blueprint for genes in space.sample_genes(4, seed)]
    costs = estimate_table(layer_table(networks), on)
    for values in (costs.energy_pj, costs.latency_ns, costs.area_um2):
        assert np.isfinite(values).all()
        assert (values > 0).all()
    assert ((costs.utilization > 0) & (costs.utilization <= 1)).all()
    np.testing.assert_allclose(
        sum(costs.components.values()), costs.energy_pj, rtol=1e-12, atol=0.0
    )
    assert all((part >= 0).all() for part in costs.nodes.components.values())
    report = estimate(networks[-1], on)
    assert report.energy_pj == costs.energy_pj[-1]
    assert report.latency_ns == costs.latency_ns[-1]


@given(
    layers(),
    tiny(),
    st.sampled_from(ENCODINGS),
    st.integers(1, 4),
    st.sampled_from([1, 2, 3]),
)
def test_mapping_equals_its_plain_functions(
    node: Node, on: Hardware, encoding: Encoding, groups: int, dac_bits: int
) -> None:
    (cin, h, w), (cout, *_) = node.in_shape, node.out_shape
    shapes: dict[str, Any] = {"in_shape": (cin * groups, h, w), "out_shape": (cout * groups, h, w)}
    node = replace(node, **shapes, groups=groups, encoding=encoding)
    given_input = on.macro.input.model_copy(update={"dac_bits": dac_bits})
    macro = on.macro.model_copy(update={"input": given_input})
    on, array = on.model_copy(update={"macro": macro}), macro.array
    table = layer_table([Blueprint(node.in_shape, 1, (node,))])
    found = map_table(table, demand_of(table, on, lambda _n, _i: node.name), macro)

    fan_in = cin * node.kernel[0] * node.kernel[1]
    ranges = row_groups(fan_in, array.rows, array.active_rows)
    assert [row for start, stop in ranges for row in range(start, stop)] == list(range(fan_in))
    assert all(stop - start <= array.active_rows for start, stop in ranges)
    assert all(start // array.rows == (stop - 1) // array.rows for start, stop in ranges)
    assert found.row_groups[0, 0] == len(ranges)
    assert found.planes[0, 0] == input_planes(node.x_bits, dac_bits)
    assert found.slices[0, 0] == weight_slices(node.w_bits, 1, encoding)
    assert found.columns_per_output[0, 0] == columns_of_output(node.w_bits, 1, encoding)
    assert found.used_cells[0, 0] == node.weights * found.columns_per_output[0, 0]
    assert 0 < found.utilization[0, 0] <= 1
    assert found.swept_conversions[0, 0] >= found.conversions[0, 0]
    assert found.arrays[0, 0] * array.cols >= found.columns[0, 0]


def test_pruned_is_the_network_built_narrow() -> None:
    space = SPACES[1]
    first = {gene.name: gene.choices[0] for gene in space.genes}
    narrow, pruned = dict(first), dict(first)
    for stage, width in enumerate((8, 16, 32)):
        narrow[f"stage{stage}.width"], pruned[f"stage{stage}.width"] = width, 2 * width
        for name in first:
            if name.startswith(f"stage{stage}.") and name.endswith("prune_ratio"):
                pruned[name] = 0.5
    built = space.decode(space.encode(narrow)).blueprint
    cut = space.decode(space.encode(pruned)).blueprint
    for on in CATALOGUE:
        assert estimate(cut, on) == estimate(built, on)


@given(layers())
def test_a_digital_macro_pays_for_its_whole_tree(node: Node) -> None:
    on = hardware(**DIGITAL)
    (_, h, w), rows = node.in_shape, on.macro.array.active_rows
    one = replace(node, in_shape=(1, h, w), kernel=(1, 1))
    full = replace(one, in_shape=(rows, h, w))
    few, all_rows = prices((one, full), on).components["adder_tree"]
    assert few == all_rows
