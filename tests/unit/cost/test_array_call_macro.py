"""Macros whose array calls a table tells: one made from the equations gives their price."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import CostArrays, estimate_table
from cimsearch.cost.csv_cells import CsvFile
from cimsearch.cost.layer_integers import columns_of_output
from cimsearch.cost.measured import fit
from cimsearch.cost.measured_table import MeasuredTable
from cimsearch.errors import HardwareError, SpecError
from cimsearch.layer_table import layer_table
from cimsearch.spec import load_hardware
from cimsearch.spec.array_call import ArrayCall, SimulatedCall, SimulatedComponent
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics

from .tiny import DIGITAL, hardware

ANALOG_PARTS: tuple[SimulatedComponent, ...] = ("cells", "drivers", "adc")
DIGITAL_PARTS: tuple[SimulatedComponent, ...] = ("cells", "drivers", "adder_tree")


def linear(rows: int, outputs: int, **bits: Any) -> Node:
    shapes: Any = {"in_shape": (rows, 1, 1), "out_shape": (outputs, 1, 1)}
    return Node("fc", "linear", ("input",), **shapes, placement="cim", **bits)


def price(on: Hardware, *nodes: Node, activity: float = 0.5) -> CostArrays:
    networks = [Blueprint(node.in_shape, node.out_shape[0], (node,)) for node in nodes]
    return estimate_table(layer_table(networks), on, Statistics(activity_frac=activity))


def simulated(on: Hardware, bits: int, rows: int, activity: float) -> SimulatedCall:
    """Return what the equations say of one call: one plane on ``rows`` rows, all columns."""
    digital = on.macro.adc is None
    w_bits, adc_bits = (bits, 0) if digital else (2, bits)
    columns = columns_of_output(w_bits, on.macro.array.cell_bits, on.macro.weights.encoding)
    call = linear(rows, on.macro.array.cols // columns, w_bits=w_bits, x_bits=1, adc_bits=adc_bits)
    costs = price(on, call, activity=activity)
    parts = DIGITAL_PARTS if digital else ANALOG_PARTS
    return SimulatedCall(
        bits=bits,
        rows=rows,
        activity_frac=activity,
        energy_pj=sum(float(costs.components[part][0]) for part in parts),
        delay_ns=float(costs.nodes.call_ns[0, 0]),
    )


def tabled(on: Hardware, bits: tuple[int, ...], rows: tuple[int, ...]) -> Hardware:
    """Return ``on`` with the table that its equations give instead of them."""
    points = (simulated(on, *at) for at in product(bits, rows, (0.1, 0.9)))
    parts = DIGITAL_PARTS if on.macro.adc is None else ANALOG_PARTS
    table = ArrayCall(components=parts, density_frac=0.5, points=tuple(points))
    return on.model_copy(update={"macro": on.macro.model_copy(update={"array_call": table})})


TINY, TINY_DIGITAL = hardware(), hardware(**DIGITAL)
YU = load_hardware("macros/yu_cicc_2020")
CASES = [
    (TINY, linear(21, 4, w_bits=2, x_bits=4, adc_bits=4)),
    (TINY, linear(3, 2, w_bits=4, x_bits=3, adc_bits=2)),
    (TINY_DIGITAL, linear(21, 4, w_bits=2, x_bits=4)),
    (TINY_DIGITAL, linear(5, 1, w_bits=8, x_bits=4)),
    (YU, linear(300, 64, w_bits=2, x_bits=4, adc_bits=4)),
    (YU, linear(27, 32, w_bits=4, x_bits=3, adc_bits=5)),
]


@pytest.mark.parametrize(("on", "node"), CASES)
@pytest.mark.parametrize("activity", [0.1, 0.37, 0.9])
def test_a_table_made_from_the_equations_gives_their_price(
    on: Hardware, node: Node, activity: float
) -> None:
    """The equations are straight in rows and activity: so few points are exact."""
    bits = (2, 4, 8) if on.macro.adc is None else (1, 2, 3, 4, 5)
    table = tabled(on, bits, (1, on.macro.array.active_rows))
    costs, wanted = (price(one, node, activity=activity) for one in (table, on))
    np.testing.assert_allclose(costs.energy_pj, wanted.energy_pj, rtol=1e-12)
    np.testing.assert_allclose(costs.latency_ns, wanted.latency_ns, rtol=1e-12)
    np.testing.assert_allclose(sum(costs.components.values()), costs.energy_pj, rtol=1e-12)


def test_torch_prices_a_table_and_gives_gradients() -> None:
    on = tabled(YU, (1, 3, 5), (1, 64))
    nodes = [linear(150, 64, w_bits=2, x_bits=4, adc_bits=b) for b in (2, 4, 5)]
    table = layer_table([Blueprint(n.in_shape, n.out_shape[0], (n,)) for n in nodes])
    tensors = table.map(lambda column: torch.tensor(column, dtype=torch.float64))
    wanted: list[Any] = [tensors.in_channels, tensors.out_channels, tensors.x_bits]
    for column in wanted:
        column.requires_grad_()
    found, exact = (estimate_table(each, on) for each in (tensors, table))
    np.testing.assert_allclose(found.energy_pj.detach().numpy(), exact.energy_pj, rtol=1e-12)
    np.testing.assert_allclose(found.latency_ns.detach().numpy(), exact.latency_ns, rtol=1e-12)
    found.components["array_call"].sum().backward()
    assert all((column.grad > 0).all() for column in wanted)


def test_a_batch_is_each_alone_bit_for_bit() -> None:
    on = tabled(YU, (1, 3, 5), (1, 64))
    nodes = [linear(r, 64, w_bits=2, x_bits=4, adc_bits=b) for r in (7, 64, 150) for b in (2, 4)]
    together = price(on, *nodes)
    for n, node in enumerate(nodes):
        alone = price(on, node)
        assert alone.energy_pj[0] == together.energy_pj[n]
        assert alone.latency_ns[0] == together.latency_ns[n]


def test_planes_of_zeros_save_no_ones() -> None:
    """The ones are in the planes that are left: a skipped call saves what it takes without any."""
    skipping = hardware(input={"zero_skipping": "planes"})
    points = (
        SimulatedCall(bits=b, rows=r, activity_frac=a, energy_pj=2.0 + r * a, delay_ns=5.0 + a)
        for b, r, a in product((1, 5), (1, 4), (0.0, 0.6))
    )
    table = ArrayCall(components=ANALOG_PARTS, density_frac=0.5, points=tuple(points))
    on = skipping.model_copy(
        update={"macro": skipping.macro.model_copy(update={"array_call": table})}
    )
    node = linear(8, 4, w_bits=2, x_bits=4, adc_bits=3)
    blueprint = Blueprint(node.in_shape, node.out_shape[0], (node,))

    def call_components_pj(activity: float, zero_planes: float) -> float:
        data = Statistics(activity_frac=activity, zero_plane_frac=zero_planes)
        return float(
            estimate_table(layer_table([blueprint]), on, data).components["array_call"][0]
        )

    calls = 2 * 4
    assert call_components_pj(0.3, 0.0) == pytest.approx(calls * (2 + 4 * 0.3))
    assert call_components_pj(0.3, 0.5) == pytest.approx(calls * (0.5 * 2 + 4 * 0.3))
    assert call_components_pj(0.0, 1.0) == 0
    with pytest.raises(HardwareError, match=r"activity_frac 0\.75 is outside"):
        call_components_pj(0.3, 0.6)


def test_bits_between_points_are_dearer_than_a_ramp() -> None:
    """The energy of a ramp doubles with every bit: a straight line lies above it."""
    coarse = tabled(YU, (1, 5), (1, 64))
    node = linear(64, 64, w_bits=2, x_bits=1, adc_bits=3)
    assert price(coarse, node).energy_pj > price(YU, node).energy_pj
    at_a_point = linear(64, 64, w_bits=2, x_bits=1, adc_bits=5)
    np.testing.assert_allclose(
        price(coarse, at_a_point).energy_pj, price(YU, at_a_point).energy_pj
    )


def test_what_is_outside_the_table_is_refused() -> None:
    on = tabled(YU, (4, 5), (27, 64))
    fits = linear(27, 64, w_bits=2, x_bits=1, adc_bits=4)
    assert price(on, fits).energy_pj > 0
    table = f"outside the table of array calls of {on.name}:"
    with pytest.raises(HardwareError, match=f"bits 3 are {table} 4 to 5; add points there$"):
        price(on, fits, linear(27, 64, w_bits=2, x_bits=1, adc_bits=3))
    with pytest.raises(HardwareError, match=f"rows 26 are {table} 27 to"):
        price(on, fits, linear(26, 64, w_bits=2, x_bits=1, adc_bits=4))
    with pytest.raises(HardwareError, match=f"rows 1 are {table} 27 to"):
        price(on, fits, linear(65, 64, w_bits=2, x_bits=1, adc_bits=4))
    with pytest.raises(HardwareError, match=r"activity_frac 0\.05 is outside .*: 0\.1 to"):
        price(on, fits, activity=0.05)


def with_table(points: list[dict[str, Any]], **changes: Any) -> Hardware:
    """Return the tiny hardware with a table that a file would give, and other changes."""
    given = {"components": ["cells", "drivers", "adc"], "density_frac": 0.5, "points": points}
    plain = {"configurable": {"adc_bits": {"values": [2, 3], "follows": "-"}}}
    return hardware(**{"array_call": given, **plain, **changes})


POINTS = [
    {"bits": b, "rows": r, "activity_frac": a, "energy_pj": 1.0, "delay_ns": 1.0}
    for b, r, a in product((2, 3), (1, 4), (0.0, 1.0))
]


@pytest.mark.parametrize(
    ("points", "changes", "message"),
    [
        (
            [*POINTS, *({**point, "rows": 9} for point in POINTS[:2] + POINTS[4:6])],
            {},
            "found rows 9; allowed is 1 to array.active_rows = 4",
        ),
        (
            POINTS,
            {"adc": {"bits": 4}, "configurable": {}},
            "found bits 2 to 3; needed is adc_bits 4, which this chip may run at",
        ),
        (
            POINTS,
            {"configurable": {"range_policy": {"values": ["full_scale"], "follows": "-"}}},
            "found one; allowed is none beside array_call, which was simulated at one",
        ),
        (
            POINTS,
            {
                "calibration": {
                    "components": ["cells", "adc"],
                    "activity_frac": 0.5,
                    "density_frac": 0.5,
                    "tolerance_frac": 0.1,
                    "points": [
                        {
                            "weight_bits": 2,
                            "activation_bits": 1,
                            "adc_bits": 3,
                            "call_energy_pj": 1.0,
                        }
                    ],
                }
            },
            "found adc, cells; the table array_call covers that: name array_call",
        ),
    ],
)
def test_a_table_that_does_not_fit_its_macro_is_refused(
    points: list[dict[str, Any]], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        with_table(points, **changes)
    (error,) = caught.value.errors()
    assert message in error["msg"]


def test_the_detector_of_zero_planes_is_priced_beside_a_table() -> None:
    node = linear(8, 4, w_bits=2, x_bits=4, adc_bits=3)
    plain, skipping = (
        price(with_table(POINTS, input={"zero_skipping": kind}), node).components["drivers"]
        for kind in ("none", "planes")
    )
    assert plain[0] == 0
    assert skipping[0] > 0


def test_measured_points_are_not_imported_onto_a_table() -> None:
    table = MeasuredTable(CsvFile(Path("m.csv")), "", ())
    with pytest.raises(SpecError, match="has a table of simulated array calls"):
        fit(table, with_table(POINTS))
