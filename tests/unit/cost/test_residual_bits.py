"""Prices of additions that keep what waits for them in few bits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import CostArrays, estimate, estimate_table
from cimsearch.cost.model import estimate_totals
from cimsearch.cost.parts import parts_of
from cimsearch.cost.system_energy import read_pj_per_bit
from cimsearch.cost.traffic import BITS_PER_KIB
from cimsearch.layer_table import layer_table
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics
from tests.unit.space.residuals import KEEPING, SMALL, additions, with_residual

from .explaining import check_arithmetic, explained_layers
from .tiny import DIGITAL, conv, hardware

MACROS = ("yu_cicc_2020", "chih_isscc_2021", "wan_nature_2022")
SYSTEMS: list[dict[str, Any]] = [
    {},
    {"macros": 9999, "execution": "pipelined"},
    {"macros": 3},
    {"buffers": {"size_kib": 0.05, "reads": [{"size_kib": 0.05, "pj_per_bit": 0.01}]}},
]
VALUES = 12 * 4 * 4


def block(bits: int, **of_add: Any) -> Blueprint:
    """Return a convolution to 12 channels of 4 x 4 and one more, whose outputs are added."""
    shape = (12, 4, 4)
    add = Node("add", "add", ("second", "first"), shape, shape, x_bits=bits, **of_add)
    first, second = conv("first", out_shape=shape), conv("second", in_shape=shape, out_shape=shape)
    return Blueprint((2, 4, 4), 12, (first, replace(second, inputs=("first",)), add))


def of_add(costs: CostArrays, name: str) -> float:
    return float(costs.nodes.components[name][0, 2])


def test_the_price_differs_by_the_bits_of_the_traffic() -> None:
    on = hardware()
    four, seven, word = (estimate_table(layer_table([block(b)]), on) for b in (4, 7, 0))
    system, technology = on.system, on.macro.technology
    read_pj = read_pj_per_bit(system.buffers) * technology.vdd_v**2
    moved_pj = 2.0 * system.interconnect.cap_ff_per_mm / 1e3  # over 2 mm
    write = system.buffers.write_ratio_frac
    for costs, bits in ((four, 4), (seven, 7), (word, system.digital.word_bits)):
        assert of_add(costs, "buffers") == pytest.approx(VALUES * bits * (1 + write) * read_pj)
        moved = 2 * VALUES * bits * technology.vdd_v**2 * moved_pj
        assert of_add(costs, "interconnect") == pytest.approx(moved)
    differs = {n for n in four.components if of_add(four, n) != of_add(seven, n)}
    assert differs <= {"buffers", "interconnect", "control", "leakage"}
    # What waits is quantised, as inputs of layers are: an addition a value, of a word.
    inputs, register = 16 * 6 + 16 * 3, 16 * 3
    assert of_add(word, "digital") / of_add(four, "digital") == pytest.approx(
        (inputs + register) / (2 * inputs + register)
    )
    others = [costs.nodes.components["buffers"][0, :2].tolist() for costs in (four, seven, word)]
    assert others[0] == others[1] == others[2]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(sorted(KEEPING)),
    st.sampled_from(range(len(SYSTEMS))),
)
@settings(max_examples=25, deadline=None)
def test_fewer_bits_never_cost_more(seed: int, name: str, system: int) -> None:
    on = hardware(array={"rows": 64, "cols": 64}, input={"dac_bits": 1}, system=SYSTEMS[system])
    whole = KEEPING[name].sample(seed).blueprint
    bits = range(2, on.system.digital.word_bits + 1)
    each = layer_table([kept(whole, count) for count in bits])
    costs = estimate_table(each, on)
    for quantity in (
        costs.energy_pj,
        costs.latency_ns,
        costs.components["buffers"],
        costs.components["interconnect"],
        costs.components["off_chip"],
    ):
        assert (np.diff(quantity) >= -1e-9 * quantity[1:]).all()
    assert (costs.area_um2 == costs.area_um2[0]).all()
    if additions(whole):
        assert (np.diff(costs.components["buffers"]) > 0).all()


def kept(network: Blueprint, bits: int) -> Blueprint:
    """Return a network all of whose additions keep what waits in ``bits``."""
    nodes = (replace(node, x_bits=bits) if node.op == "add" else node for node in network.nodes)
    return replace(network, nodes=tuple(nodes))


@pytest.mark.parametrize("macro", MACROS)
def test_8_bits_are_cheaper_than_a_word_on_macros_of_the_catalogue(macro: str) -> None:
    machine = load_hardware(f"macros/{macro}")
    word, eight, four = (estimate(with_residual(b).blueprint, machine) for b in (0, 8, 4))
    assert four.energy_pj < eight.energy_pj < word.energy_pj
    assert four.latency_ns <= eight.latency_ns
    assert four.area_um2 == eight.area_um2 == word.area_um2


def test_what_waits_in_few_bits_finds_room_in_the_buffer() -> None:
    room_kib = 2 * VALUES * 8 / BITS_PER_KIB
    buffers = {"size_kib": room_kib, "reads": [{"size_kib": room_kib, "pj_per_bit": 0.01}]}
    on = hardware(system={"buffers": buffers})
    spilled = {
        bits: of_add(estimate_table(layer_table([block(bits)]), on), "off_chip")
        for bits in (0, 10, 8, 4)
    }
    # Half of the buffer holds 8 bits of each value; what is beyond is written and read again.
    read_pj = on.system.off_chip.read_pj_per_bit
    assert spilled[8] == spilled[4] == 0
    assert spilled[10] == pytest.approx(2 * VALUES * 2 * read_pj)
    assert spilled[0] == pytest.approx(2 * VALUES * 8 * read_pj)


def test_pipelined_the_window_of_an_addition_is_of_its_bits() -> None:
    on = hardware(system={"macros": 64, "execution": "pipelined"})
    word, six = (
        parts_of(layer_table([block(bits)]), on, Statistics(), lambda *_: "")[0][
            1
        ].groups.live_bits
        for bits in (0, 6)
    )
    assert float(word[0, 0] - six[0, 0]) == VALUES * (on.system.digital.word_bits - 6)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("macro", [{}, DIGITAL], ids=["analog", "digital"])
def test_explanations_of_additions_are_the_model(system: Any, macro: Any) -> None:
    on = hardware(**macro, system=system)
    for found in explained_layers(block(5, x_signed=True), on):
        check_arithmetic(found)
        if found.layer == "add":
            terms = {term.symbol: term.value for term in found.terms}
            assert terms["residual bits"] == 5


@given(st.integers(0, 2**32 - 1), st.sampled_from(MACROS))
@settings(max_examples=8, deadline=None)
def test_a_batch_is_priced_like_each_network_alone(seed: int, macro: str) -> None:
    machine = load_hardware(f"macros/{macro}")
    genes = SMALL.sample_genes(6, seed)
    batch = estimate_totals(SMALL.layer_table(genes), machine)
    for index, row in enumerate(genes):
        alone = estimate(SMALL.decode(row).blueprint, machine)
        assert batch.energy_pj[index] == alone.energy_pj
        assert batch.latency_ns[index] == alone.latency_ns


@pytest.mark.parametrize("on", [hardware(), load_hardware("macros/wan_nature_2022")])
def test_the_gradient_of_the_bits_is_what_one_bit_costs(on: Hardware) -> None:
    table = layer_table([block(6), block(7), block(0)])
    tensors = table.map(lambda column: torch.tensor(column, dtype=torch.float64))
    bits: Any = tensors.x_bits
    bits.requires_grad_()
    costs: Any = estimate_table(tensors, on)
    wanted = estimate_table(table, on)
    np.testing.assert_allclose(costs.energy_pj.detach().numpy(), wanted.energy_pj, rtol=1e-12)
    costs.components["buffers"].sum().backward()
    buffers = wanted.components["buffers"]
    assert float(bits.grad[0, 2]) == pytest.approx(buffers[1] - buffers[0])
    assert float(bits.grad[2, 2]) == 0
