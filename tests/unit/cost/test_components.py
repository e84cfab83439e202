"""Every component computed by hand once, on the tiny macro with round numbers.

The layer is 3 x 3, 2 to 3 channels, 4 x 4 positions, 2 bit x 2 bit: 18 rows in 3 tiles and 5 row
groups, 6 columns, 16 vectors, 2 planes; activity and density are 0.5.
"""

from typing import Any

import pytest

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import COMPONENTS, estimate, estimate_table
from cimsearch.cost.area import array_um2, shared_um2
from cimsearch.layer_table import layer_table
from cimsearch.spec.hardware import Hardware

from .tiny import DIGITAL, conv, hardware

CALLS = 16 * 2 * 5
FJ = 1e-3

RESISTIVE: dict[str, Any] = {
    "device": "rram",
    "compute_model": "resistive",
    "cell": {
        "kind": "resistive",
        "v_read_v": 0.2,
        "g_on_us": 100.0,
        "on_off_ratio": 10.0,
        "t_read_ns": 5.0,
    },
}


def part(name: str, node: Node, on: Hardware) -> float:
    return estimate(node, on).components[name]


def test_charge_cells() -> None:
    driven = 16 * 2 * 18 * 6 * 8.0 * 0.5**2 * 0.5 * 0.5
    bitlines = CALLS * 8 * 8 * 1.0 * 0.5**2
    assert part("cells", conv(), hardware()) == pytest.approx((driven + bitlines) * FJ)


def test_resistive_cells() -> None:
    conductance_us = 100.0 * (0.5 + 0.5 / 10)
    driven = 16 * 2 * 18 * 6 * 0.2**2 * 5.0 * conductance_us * 0.5
    bitlines = CALLS * 8 * 8 * 1.0 * 0.2**2
    found = part("cells", conv(), hardware(**RESISTIVE))
    assert found == pytest.approx((driven + bitlines) * FJ)


def test_wordlines_cross_idle_columns() -> None:
    wordlines = 16 * 2 * 18 * 8 * 2.0 * 1.0**2 * 0.5
    assert part("drivers", conv(), hardware()) == pytest.approx(wordlines * FJ)


@pytest.mark.parametrize(("drive", "pulses"), [("levels", 1), ("pulses", 2)])
def test_dac_of_several_bits(drive: str, pulses: int) -> None:
    on = hardware(input={"dac_bits": 2, "drive": drive, "dac_cap_ff_per_bit": 10.0})
    wordlines = 16 * pulses * 18 * 8 * 2.0 * 1.0**2 * 0.5
    dacs = 16 * 18 * 2 * 10.0 * 0.5**2
    assert part("drivers", conv(), on) == pytest.approx((wordlines + dacs) * FJ)


def test_ramp_adc() -> None:
    samples = CALLS * 8 * 4.0 * 0.5**2
    assert part("adc", conv(), hardware()) == pytest.approx((CALLS * 8 * 10 * 7 + samples) * FJ)
    low = part("adc", conv(adc_bits=1), hardware())
    assert low == pytest.approx((CALLS * 8 * 10 * 1 + samples) * FJ)


def test_capacitive_adc() -> None:
    model = {
        "kind": "capacitive",
        "k1_ff": 100.0,
        "k2_ff": 0.5,
        "ns_per_bit": 1.0,
        "area_um2": 5.0,
    }
    on = hardware(adc={"model": model, "sample_cap_ff": 0.0})
    per_conversion = (100.0 * 3 + 0.5 * 4**3) * 0.5**2
    assert part("adc", conv(), on) == pytest.approx(CALLS * 8 * per_conversion * FJ)


def test_adder_tree() -> None:
    # 4 active rows of 2 bits: 4 * 3 - (2 + 2 + 1) = 7 full adders an output.
    on = hardware(**DIGITAL)
    gate = 1.0 * 0.5**2 * 2.0
    assert part("adder_tree", conv(), on) == pytest.approx(CALLS * 3 * 7 * 6 * gate * 0.25 * FJ)
    assert part("adc", conv(), on) == 0
    assert part("adder_tree", conv(), hardware()) == 0


def test_shift_add() -> None:
    # Codes of 3 bits, 2 bit x 2 bit: accumulators of 7 bits; two slices take
    # 3 * (2 - 1) + 2 * (1 - 0.5) = 4 full adders.
    width, in_macro, in_unit = 7, 1.0 * 0.5**2 * 2.0, 1.0 * 1.0**2 * 0.5
    accumulate = CALLS * 3 * (4 * 6 + width * 9) * in_macro
    tiles = 16 * 3 * 2 * width * 9 * in_unit
    assert part("shift_add", conv(), hardware()) == pytest.approx((accumulate + tiles) * FJ)
    offset = part("shift_add", conv(encoding="offset"), hardware())
    sums = (16 * 18 + 16 * 3) * width * 9 * in_unit
    assert offset == pytest.approx((accumulate + tiles + sums) * FJ)
    layer = part("shift_add", conv(range_policy="layer"), hardware())
    # A multiplication by the range's scale, which is read from a register of 16 bits.
    scales = 16 * 3 * (width * 16 * 6.5 + 16 * 3) * in_unit
    assert layer == pytest.approx((accumulate + tiles + scales) * FJ)


def test_buffers() -> None:
    # A read costs 0.01 * (8 / 2)^0.5 pJ a bit, a write half of it.
    written, read = 2 * 16 * 2, 16 * 18 * 2
    expected = (read + 0.5 * written) * 0.02
    assert part("buffers", conv(), hardware()) == pytest.approx(expected)


def test_interconnect() -> None:
    inputs, sums = 16 * 18 * 2, 16 * 3 * 3 * 7
    expected = (inputs + sums) * 2.0 * 50.0 * 1.0**2
    assert part("interconnect", conv(), hardware()) == pytest.approx(expected * FJ)


@pytest.mark.parametrize(
    ("op", "kernel", "out", "inputs", "caps"),
    [
        ("batchnorm", (1, 1), (3, 4, 4), 1, 48 * (16 * 16 * 6.5 + 16 * 9)),
        ("relu", (1, 1), (3, 4, 4), 1, 48 * (16 + 48)),
        ("maxpool", (2, 2), (3, 2, 2), 1, 12 * (3 * 144 + 48)),
        ("avgpool", (4, 4), (3, 1, 1), 1, 3 * (15 * 144 + 16 * 16 * 6.5 + 48)),
        ("add", (1, 1), (3, 4, 4), 2, 48 * (144 + 48)),
        ("flatten", (1, 1), (48, 1, 1), 1, 48 * 48),
    ],
)
def test_digital_operations(
    op: Any, kernel: tuple[int, int], out: tuple[int, int, int], inputs: int, caps: float
) -> None:
    names = ("input", "other")[:inputs]
    node = Node("node", op, names, (3, 4, 4), out, kernel=kernel, stride=kernel)
    report = estimate(node, hardware())
    assert report.components["digital"] == pytest.approx(caps * 0.5 * FJ)
    assert report.latency_ns > 0
    assert report.macs == report.macros == report.utilization == 0


def test_digital_layer() -> None:
    node = conv(placement="digital", w_bits=4)
    macs, moved = 16 * 3 * 18, 32 + 48
    caps = macs * (4 * 2 * 6.5 + 16 * 9) + moved * 16 * 9
    report = estimate(node, hardware())
    assert report.components["digital"] == pytest.approx(caps * 0.5 * FJ)
    # Four lanes at 100 MHz carry out MACs, biases and requantisation one after another.
    assert report.latency_ns == pytest.approx((macs + moved) / 4 * 10)
    # Every weight is read for 4 of the 16 positions at a time.
    read, written = 16 * 18 * 2 + 54 * 4 * 4, 32 * 2
    assert report.components["buffers"] == pytest.approx((read + 0.5 * written) * 0.02)


def test_control_and_leakage() -> None:
    report = estimate(conv(), hardware())
    dynamic = sum(report.components[name] for name in COMPONENTS[:-3])
    assert report.components["control"] == pytest.approx(0.1 * dynamic)
    leaking_uw = 10.0 * report.area_um2 * 1e-6
    assert report.components["leakage"] == pytest.approx(leaking_uw * report.latency_ns * FJ)


def test_latency_of_array_calls() -> None:
    # A call settles in 2 ns and sweeps two columns of 7 steps of 1 ns; 2 row groups in the fullest
    # tile. A fast digital unit leaves the arrays as the slowest part.
    on = hardware(system={"digital": {"clock_mhz": 1e6}})
    table = layer_table([Blueprint((2, 4, 4), 3, (conv(),))])
    costs = estimate_table(table, on)
    assert costs.nodes.call_ns[0, 0] == 2 + 2 * 7
    assert costs.latency_ns[0] == 16 * 2 * 2 * 16
    # The digital unit is the slowest at its own clock: 32 + 48 values and 96 tile sums.
    assert estimate(conv(), hardware()).latency_ns == max(1024, (32 + 48 + 96) / 4 * 10)


def test_latency_is_bound_by_bandwidth() -> None:
    buffers = hardware(system={"buffers": {"bandwidth_gbps": 0.01}})
    assert estimate(conv(), buffers).latency_ns == pytest.approx((16 * 18 * 2 + 64) / 0.01)
    bus = hardware(system={"interconnect": {"bandwidth_gbps": 0.01}})
    assert estimate(conv(), bus).latency_ns == pytest.approx((16 * 18 * 2 + 16 * 9 * 7) / 0.01)


def test_latency_of_an_adder_tree() -> None:
    # Levels of two XOR, then XOR and carry, then the carry of 2 + 2 - 2 bits; slower at 0.5 V.
    table = layer_table([Blueprint((2, 4, 4), 3, (conv(),))])
    costs = estimate_table(table, hardware(**DIGITAL))
    delays = (2 - 1) * 4.8 + (2.4 + 2) + 2 * 2
    assert costs.nodes.call_ns[0, 0] == pytest.approx(2.0 + delays * 0.01 * 2)


def test_shift_add_that_is_slower_than_the_converter() -> None:
    on = hardware(technology={"nand2_delay_ps": 1000.0})
    table = layer_table([Blueprint((2, 4, 4), 3, (conv(),))])
    assert estimate_table(table, on).nodes.call_ns[0, 0] == pytest.approx(7 * 2 * 1.0 * 2)


def test_weights_are_loaded_when_they_do_not_fit() -> None:
    assert part("off_chip", conv(), hardware(system={"macros": 3})) == 0
    on = hardware(system={"macros": 2})
    report = estimate(conv(), on)
    assert report.components["off_chip"] == pytest.approx(54 * 2 * 3.0 + 108 * 0.5)
    # Three arrays in two macros: two rounds of calls and of writing 8 rows; loading is slower.
    assert report.latency_ns == pytest.approx(2 * 1024 + max(108 / 1.0, 2 * 8 * 10.0))
    assert report.macros == 3


def test_area() -> None:
    on = hardware()
    width = 3 + 8 + 8
    one = 64 * 2.0 + 8 * 3.0 + 4 * (5.0 + width * (7.8 + 6.0))
    assert array_um2(on.macro) == pytest.approx(one)
    lane = 16 * 16 * 8.8 + 3 * 16 * 6.0
    shared = 8 * 8192 * 0.5 + 4 * lane
    assert shared_um2(on) == pytest.approx(shared)
    assert estimate(conv(), on).area_um2 == pytest.approx(3 * one + shared)
    owned = estimate(conv(), hardware(system={"macros": 7}))
    assert owned.area_um2 == pytest.approx(7 * one + shared)
    assert owned.layers[0].area_um2 == pytest.approx(3 * one)


def test_area_of_a_digital_macro() -> None:
    on = hardware(**DIGITAL)
    tree = 4 * 9 - (8 + 2 + 1)
    width = 2 + 8 + 8
    expected = 64 * 2.0 + 8 * 3.0 + 1 * (tree * 7.8 + width * (7.8 + 6.0))
    assert array_um2(on.macro) == pytest.approx(expected)
