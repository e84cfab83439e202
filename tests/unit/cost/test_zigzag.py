"""The compatibility preset against the zigzag-dse package itself, over a grid of macros."""

from dataclasses import asdict, replace
from itertools import product
from typing import Any, Literal

import pytest

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import CostArrays, estimate_table
from cimsearch.cost.layer_integers import row_groups
from cimsearch.cost.logic import CARRY_DELAYS
from cimsearch.cost.zigzag import ZIGZAG_28NM, ZigZagArray, cycle_pj, zigzag_costs
from cimsearch.cost.zigzag_macro import zigzag_macro
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.spec.study import Statistics
from tests.reference.zigzag_oracle import Convolution, Goal, mapped, oracle, tree_pj
from tests.unit.cost.tiny import hardware as tiny

ARRAY_COMPONENTS = ("cells", "drivers", "adc", "adder_tree", "shift_add")
GOALS: tuple[Goal, ...] = ("energy", "latency")

TOLERANCE = 0.01

ROWS = (32, 64, 128, 256, 512, 1024)
PRECISIONS = ((8, 8, 1), (8, 8, 2), (8, 8, 8), (4, 4, 1), (4, 8, 4), (2, 4, 2), (1, 1, 1))
"""Bits of weights, of activations, and of those applied in one cycle."""

ANALOG = [
    ZigZagArray(
        analog=True,
        rows=rows,
        outputs=outputs,
        w_bits=w_bits,
        x_bits=x_bits,
        dac_bits=dac_bits,
        adc_bits=adc_bits,
        banks=1 + rows // 256,
        depth=1 + adc_bits // 5,
        unit_area_um2=0.4 * w_bits,
    )
    for rows, outputs, (w_bits, x_bits, dac_bits), adc_bits in product(
        ROWS, (16, 128), PRECISIONS, (1, 4, 6, 8, 12)
    )
]
DIGITAL = [
    ZigZagArray(
        analog=False,
        rows=rows,
        outputs=outputs,
        w_bits=w_bits,
        x_bits=x_bits,
        dac_bits=dac_bits,
        banks=banks,
        depth=depth,
        unit_area_um2=0.4 * w_bits * depth,
    )
    for rows, outputs, (w_bits, x_bits, dac_bits), (banks, depth) in product(
        ROWS, (16, 48, 128), PRECISIONS, ((1, 1), (4, 16))
    )
]


def test_the_grid_has_enough_macros_of_both_kinds() -> None:
    assert len(set(ANALOG)) >= 100
    assert len(set(DIGITAL)) >= 100


@pytest.mark.parametrize("arrays", [ANALOG, DIGITAL], ids=["analog", "digital"])
def test_each_component_the_clock_and_the_area_are_those_of_zigzag(
    arrays: list[ZigZagArray],
) -> None:
    for array in arrays:
        ours, theirs = zigzag_costs(array), oracle(array)
        for quantity, parts in asdict(ours).items():
            # What they do not list, they do not have.
            expected = {name: theirs[quantity].get(name, 0.0) for name in parts}
            assert theirs[quantity].keys() <= parts.keys()
            assert parts == pytest.approx(expected, rel=TOLERANCE), (array, quantity)
        totals = {name: getattr(ours, name).total for name in asdict(ours)}
        assert totals == pytest.approx(theirs["total"], rel=TOLERANCE), array
        assert ours.clock_ns == ours.delay_ns.total


@pytest.mark.parametrize(
    ("array", "wrong", "message"),
    [
        (ANALOG[0], {"rows": 0}, "rows: found 0; allowed is at least 1"),
        (ANALOG[0], {"adc_bits": 40}, "adc_bits: found 40; allowed is 1 to 16"),
        (ANALOG[0], {"w_bits": 3}, "w_bits: found 3; allowed is a power of two"),
        (ANALOG[0], {"dac_bits": 16}, "dac_bits: found 16; allowed is 1 to x_bits = 8"),
        (ANALOG[0], {"unit_area_um2": -1.0}, "unit_area_um2: found -1.0; allowed is at least 0"),
        (DIGITAL[0], {"rows": 48}, "rows: found 48; allowed is a power of two"),
        (DIGITAL[0], {"rows": 1}, "rows: found 1; allowed is at least 2 if digital"),
        (DIGITAL[0], {"adc_bits": 6}, "adc_bits: found 6; allowed is 0 if digital"),
    ],
)
def test_a_number_without_an_equation_is_an_error(
    array: ZigZagArray, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(HardwareError) as error:
        replace(array, **wrong)
    assert error.value.message == message


@pytest.mark.parametrize("rows", [2, 32, 128])
def test_a_tree_with_fewer_operands_switches_as_in_zigzag(rows: int) -> None:
    array = replace(DIGITAL[0], rows=rows)
    for operands in range(rows + 1):
        ours = cycle_pj(array, rows=operands, outputs=1).adder_tree
        assert ours == pytest.approx(tree_pj(array, operands), rel=1e-9, abs=1e-12), operands


def test_an_analog_macro_in_full_use_is_priced_alike_by_our_own_model() -> None:
    arrays = [a for a in ANALOG if a.dac_bits < a.x_bits and a.adc_bits > 1]
    for array in arrays:
        preset = cycle_pj(array, rows=array.rows, outputs=array.outputs)
        expected = {
            "cells": preset.cells,
            "drivers": preset.dac + preset.multiplier,
            "adc": preset.adc,
            "adder_tree": 0.0,
            "shift_add": preset.place_adders + preset.accumulator,
        }
        costs = priced(full_layer(array), array)
        assert call_pj(costs) == pytest.approx(expected, rel=1e-6), array
        # Ours lets shift-and-add overlap with the next call.
        delay = zigzag_costs(array).delay_ns
        before = delay.multiplier + delay.adc
        assert costs.nodes.call_ns[0, 0] == pytest.approx(max(before, added_ns(array)))
    assert len(arrays) >= 100


def test_a_digital_macro_in_full_use_is_priced_alike_by_our_own_model() -> None:
    arrays = [a for a in DIGITAL if a.dac_bits == 1 and a.x_bits > 1]
    for array in arrays:
        preset = cycle_pj(array, rows=array.rows, outputs=array.outputs)
        expected = {
            "cells": preset.multiplier,
            "drivers": 0.0,
            "adc": 0.0,
            "adder_tree": preset.adder_tree,
            "shift_add": preset.accumulator,
        }
        costs, zigzags = priced(full_layer(array), array), zigzag_costs(array)
        assert call_pj(costs) == pytest.approx(expected, rel=1e-6, abs=1e-6), array
        before = zigzags.delay_ns.multiplier + zigzags.delay_ns.adder_tree
        assert costs.nodes.call_ns[0, 0] == pytest.approx(max(before, added_ns(array)))
        assert costs.nodes.area_um2[0, 0] * array.banks == pytest.approx(zigzags.area_um2.total)
    assert len(arrays) >= 70


def added_ns(array: ZigZagArray) -> float:
    """Return the time of an addition in an accumulator: its carry runs all the way."""
    return array.accumulator_bits * CARRY_DELAYS * ZIGZAG_28NM.nand2_delay_ps * 1e-3


def full_layer(array: ZigZagArray) -> Node:
    """Return a layer that fills one bank."""
    return Node(
        "full",
        "linear",
        ("input",),
        (array.rows, 1, 1),
        (array.outputs, 1, 1),
        placement="cim",
        w_bits=array.w_bits,
        x_bits=array.x_bits,
    )


def priced(layer: Node, array: ZigZagArray) -> CostArrays:
    """Return the costs of a layer on one array, with data that switch every gate.

    The digital unit next to the array is next to free: ZigZag-IMC has none.
    """
    system = tiny().system
    unit = system.digital.model_copy(update={"activity_frac": 1e-9})
    alone = system.model_copy(update={"macros": 1, "digital": unit})
    on = tiny().model_copy(update={"macro": zigzag_macro(array), "system": alone})
    table = layer_table([Blueprint(layer.in_shape, layer.out_shape[0], (layer,))])
    return estimate_table(table, on, Statistics(activity_frac=1.0, density_frac=1.0))


def array_pj(costs: CostArrays) -> dict[str, float]:
    """Return the energy of what happens in the macro, by component."""
    return {name: float(costs.components[name][0]) for name in ARRAY_COMPONENTS}


def call_pj(costs: CostArrays) -> dict[str, float]:
    """Return the same for one array call."""
    return {name: pj / costs.mapping.array_calls[0, 0] for name, pj in array_pj(costs).items()}


MACROS: dict[Literal["aimc", "dimc"], ZigZagArray] = {
    "aimc": ZigZagArray(
        analog=True, rows=128, outputs=128, w_bits=8, x_bits=8, dac_bits=2, adc_bits=8
    ),
    "dimc": ZigZagArray(analog=False, rows=128, outputs=128, w_bits=8, x_bits=8, dac_bits=1),
}
"""The example macros of the package."""

EVEN = (
    # ResNet-8 of MLPerf Tiny.
    Convolution(3, 16, 32, 3),
    Convolution(16, 16, 32, 3),
    Convolution(16, 32, 16, 3, stride=2),
    Convolution(32, 32, 16, 3),
    Convolution(16, 32, 16, 1, stride=2),
    Convolution(32, 64, 8, 3, stride=2),
    Convolution(64, 64, 8, 3),
    Convolution(32, 64, 8, 1, stride=2),
    # ResNet-18.
    Convolution(3, 64, 112, 7, stride=2),
    Convolution(64, 64, 56, 3),
    Convolution(64, 128, 28, 3, stride=2),
    # MobileNetV2, and a convolution of four groups.
    Convolution(32, 32, 112, 3, groups=32),
    Convolution(96, 96, 14, 3, groups=96),
    Convolution(64, 64, 8, 3, groups=4),
)
"""Layers whose outputs fit into the array, or fill it a whole number of times."""

UNEVEN = (
    Convolution(24, 144, 56, 1),
    Convolution(960, 320, 7, 1),
    Convolution(512, 1000, 1, 1),
)
"""Layers that ZigZag prices by a broken number of calls: 1.125 of 128 outputs for 144."""


@pytest.mark.parametrize("convolution", [*EVEN, *UNEVEN])
@pytest.mark.parametrize("macro", ["aimc", "dimc"])
def test_our_mapping_is_never_worse_than_that_of_zigzag(
    macro: Literal["aimc", "dimc"], convolution: Convolution
) -> None:
    array = MACROS[macro]
    costs = priced(node_of(convolution), array)
    ours_pj = by_their_equations(costs, array)
    for goal in GOALS:
        theirs = mapped(convolution, macro, goal, lpf_limit=3)
        assert costs.mapping.array_calls[0, 0] <= theirs.cycles
        assert theirs.rows.is_integer()
        call = cycle_pj(array, rows=int(theirs.rows), outputs=theirs.outputs)
        whole_calls_pj = theirs.cycles * call.total
        if convolution in EVEN:
            assert whole_calls_pj == pytest.approx(theirs.energy_pj, rel=1e-9)
        else:
            assert whole_calls_pj > theirs.energy_pj
        assert ours_pj <= whole_calls_pj * (1 + 1e-9)
        # Nor is the price in our own model, where what ZigZag leaves out is free.
        assert sum(array_pj(costs).values()) <= whole_calls_pj * (1 + 1e-6)


def node_of(convolution: Convolution) -> Node:
    """Return the convolution as a node on arrays, 8 bit x 8 bit."""
    c = convolution
    return Node(
        "conv",
        "conv",
        ("input",),
        (c.in_channels, c.out_width * c.stride, c.out_width * c.stride),
        (c.out_channels, c.out_width, c.out_width),
        kernel=(c.kernel, c.kernel),
        stride=(c.stride, c.stride),
        groups=c.groups,
        placement="cim",
        w_bits=8,
        x_bits=8,
    )


def by_their_equations(costs: CostArrays, array: ZigZagArray) -> float:
    """Return the energy in pJ of our mapping on one array, priced by their equations."""
    plan = costs.mapping
    outputs = int(plan.outputs[0, 0])
    call_pj = (
        cycle_pj(array, rows=stop - start, outputs=min(array.outputs, outputs - first)).total
        for start, stop in row_groups(int(plan.rows[0, 0]), array.rows, array.rows)
        for first in range(0, outputs, array.outputs)
    )
    return float(plan.vectors[0, 0] * plan.planes[0, 0] * plan.groups[0, 0] * sum(call_pj))
