"""The mapping plan says in ranges what the mapping says in counts."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint
from cimsearch.cost import estimate_table, mapping_plan
from cimsearch.layer_table import layer_table
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec

from .tiny import conv, hardware

MACROS = ("yu_cicc_2020", "chih_isscc_2021", "wan_nature_2022", "jia_jssc_2020")


def test_ranges_by_hand() -> None:
    """18 rows on arrays of 8 rows, 4 active; 3 outputs of 2 columns on arrays of 4."""
    on = hardware(array={"cols": 4}, adc={"columns_per_adc": 2})
    plan = mapping_plan(Blueprint((2, 4, 4), 3, (conv(),)), on)
    assert [(p.macro, p.weight_rows, p.outputs) for p in plan] == [
        (0, (0, 8), (0, 2)),
        (1, (0, 8), (2, 3)),
        (2, (8, 16), (0, 2)),
        (3, (8, 16), (2, 3)),
        (4, (16, 18), (0, 2)),
        (5, (16, 18), (2, 3)),
    ]
    assert plan[0].row_groups == ((0, 4), (4, 8))
    assert plan[4].row_groups == ((16, 18),)
    assert (plan[0].columns, plan[1].columns, plan[1].adcs) == ((0, 4), (0, 2), (0, 1))
    assert (plan[0].rows, plan[4].rows) == ((0, 8), (0, 2))


def test_groups_lie_on_the_diagonal() -> None:
    """Two blocks of 2 rows and one output share an array; the last array has the third."""
    node = conv(in_shape=(6, 4, 4), out_shape=(3, 4, 4), kernel=(1, 1), groups=3)
    on = hardware(array={"cols": 4}, adc={"columns_per_adc": 2})
    plan = mapping_plan(Blueprint((6, 4, 4), 3, (node,)), on)
    assert [(p.group, p.rows, p.columns) for p in plan] == [
        ((0, 2), (0, 4), (0, 4)),
        ((2, 3), (0, 2), (0, 2)),
    ]
    assert [p.cells for p in plan] == [8, 4]


@pytest.mark.parametrize("name", MACROS)
@pytest.mark.parametrize("packing", ["dense", "whole_kernel"])
@settings(max_examples=10)
@given(seed=st.integers(0, 50))
def test_a_plan_holds_every_weight_once(name: str, packing: str, seed: int) -> None:
    hw = load_hardware(f"macros/{name}")
    hw = hw.model_copy(update={"macro": hw.macro.model_copy(update={"packing": packing})})
    network = Space(load_space_spec("resnet8")).sample(seed).blueprint
    nodes = tuple(replace(n, x_bits=n.x_bits and 8, w_bits=n.w_bits and 8) for n in network.nodes)
    network = replace(network, nodes=nodes)
    mapping = estimate_table(layer_table([network]), hw).mapping
    plan = mapping_plan(network, hw)
    assert [part.macro for part in plan] == list(range(len(plan)))
    assert len(plan) == mapping.arrays.sum()
    array = hw.macro.array
    assert all(p.rows[1] <= array.rows and p.columns[1] <= array.cols for p in plan)
    for index, node in enumerate(network.nodes):
        parts = [part for part in plan if part.layer == node.name]
        assert sum(part.cells for part in parts) == mapping.used_cells[0, index]
        first = [p for p in parts if p.group[0] == 0 and p.outputs[0] == 0]
        assert sum(len(p.row_groups) for p in first) == mapping.row_groups[0, index]
