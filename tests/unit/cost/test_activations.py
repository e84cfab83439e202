"""Prices of activations, by hand and as they are explained."""

import pytest

from cimsearch.blueprint import Blueprint, Node, Op
from cimsearch.cost import estimate_table
from cimsearch.layer_table import layer_table
from cimsearch.spec import load_hardware
from tests.unit.space.activations import SEARCHING

from .explaining import check_arithmetic, explained_layers
from .tiny import conv, hardware

SHAPE = (12, 4, 4)
VALUES = 12 * 4 * 4


def behind(op: Op, limit: float | None = None) -> Blueprint:
    """Return a convolution to 12 channels of 4 x 4 with an activation."""
    nodes = (
        conv("first", out_shape=SHAPE),
        Node("act", op, ("first",), SHAPE, SHAPE, limit=limit),
    )
    return Blueprint((2, 4, 4), 12, nodes)


def test_a_hard_sigmoid_is_priced_as_three_additions_of_a_word() -> None:
    on = hardware()
    relu, relu6, hard = (
        estimate_table(layer_table([network]), on)
        for network in (behind("relu"), behind("relu", 6.0), behind("hard_sigmoid"))
    )
    word, technology = on.system.digital.word_bits, on.macro.technology
    gate_fj = technology.nand2_cap_ff * technology.vdd_v**2 * on.system.digital.activity_frac
    # A full adder switches 6 inputs of gates, a register 3, a gate of a ReLU 1, for each bit.
    for costs, gates in ((relu, 1 + 3), (relu6, 1 + 3), (hard, 3 * (6 + 3))):
        wanted_pj = VALUES * word * gates * gate_fj / 1e3
        assert costs.nodes.components["digital"][0, 1] == pytest.approx(wanted_pj)
    # All of them pass through the lanes of the digital unit once.
    assert hard.nodes.latency_ns[0, 1] == relu.nodes.latency_ns[0, 1] > 0
    differs = {
        name
        for name in hard.components
        if hard.nodes.components[name][0, 1] != relu.nodes.components[name][0, 1]
    }
    assert differs <= {"digital", "control", "leakage"}
    assert hard.macros == relu.macros


@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_explained_as_priced(name: str) -> None:
    space, on = SEARCHING[name], load_hardware("macros/yu_cicc_2020")
    genes = space.sample_genes(1, 1)[0]
    place = space.gene_names.index("activation")
    genes[place] = space.genes[place].choices.index("hard_sigmoid")
    found = [
        each
        for each in explained_layers(space.decode(genes).blueprint, on)
        if each.op == "hard_sigmoid"
    ]
    assert len(found) > 2
    check_arithmetic(found[0])
    (additions,) = (term for term in found[0].terms if term.symbol == "additions")
    assert (additions.value, "assumed" in additions.how) == (3, True)
