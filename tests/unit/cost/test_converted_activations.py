"""Activations that converters compute: which they are, what that costs, and that it is told."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cimsearch.blueprint import ACTIVATIONS, Blueprint, Node
from cimsearch.cost import estimate
from cimsearch.cost.explain import explain
from cimsearch.cost.parts import parts_of
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.networks.converting import by_converters
from cimsearch.search.pricing import estimate_batch
from cimsearch.space import Space
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics
from tests.unit.cim.activating import EVERY, SPACE, candidate, machine
from tests.unit.space.activations import ALL, SEARCHING, searching
from tests.unit.space.families import SPACES

from .explaining import check_arithmetic, explained_layers
from .tiny import conv

WORD, REGISTER, ADDITION = 16, 3, 9


def priced(network: Blueprint, on: Hardware) -> list[str]:
    """Return the activations that the cost model leaves to converters."""
    table = layer_table([network]).map(lambda column: column.astype(np.float64))
    names = [node.name for node in network.nodes]
    parts = parts_of(table, on, Statistics(), lambda _, node: names[node])
    found = [
        names[column]
        for columns, layers in parts
        for column, mine in zip(
            columns,
            np.broadcast_to(layers.by_converters, (1, len(columns)))[0].tolist(),
            strict=True,
        )
        if mine
    ]
    return sorted(found, key=names.index)


# Grouped and depthwise convolutions, shortcuts, removed blocks, channel groups and bits that are
# rounded up: their inputs have no sign where bits are applied at once.
RUNNABLE = {
    "separable": SEARCHING["separable"],
    "vgg": SPACE,
    "resnet": searching(SPACES["removable resnet"], *ALL),
}
MACHINES = {
    "as it is": machine(*EVERY),
    "few rows": machine(*EVERY, array={"rows": 64, "active_rows": 64}),
    "half the rows": machine(*EVERY, array={"active_rows": 256}),
    "cells of 2 bits": machine(*EVERY, array={"cell_bits": 2}),
    "bits in turn": machine(*EVERY, input={"dac_bits": 2}),
    "relu alone": machine("relu"),
}


def runnable(space: Space, on: Hardware, seed: int) -> Blueprint:
    """Return a network of the space whose layers the macro has the encodings and bits for."""
    genes = space.sample_genes(1, seed)[0]
    for index, gene in enumerate(space.genes):
        if gene.name.endswith(".encoding"):
            genes[index] = gene.choices.index("offset")
    return space.decode(genes).blueprint


@given(st.sampled_from(sorted(RUNNABLE)), st.sampled_from(sorted(MACHINES)), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_what_is_simulated_is_priced(name: str, machine_: str, seed: int) -> None:
    on, network = MACHINES[machine_], runnable(RUNNABLE[name], MACHINES[machine_], seed)
    try:
        found = priced(network, on)
    except HardwareError:
        return
    assert found == list(by_converters(network, on.macro))


def test_each_condition_decides() -> None:
    every = machine(*EVERY)
    for activation in ALL:
        network = candidate(activation).blueprint
        wanted = [n.name for n in network.nodes if n.op in ACTIVATIONS][1:]
        # The first layer is digital.
        assert priced(network, every) == wanted
        kind = "clipped" if activation == "relu6" else activation
        assert priced(network, machine(kind)) == wanted
        assert not priced(network, machine(*[k for k in EVERY if k != kind]))
        assert not priced(network, machine())
    network = candidate("relu").blueprint
    assert not priced(candidate("relu", weight_bits=8).blueprint, every)
    assert not priced(candidate("relu", activation_bits=8).blueprint, every)
    few = [n for n in network.nodes if n.placement == "cim" and 9 * n.in_shape[0] <= 100]
    assert 0 < len(few) < len(wanted)
    found = priced(network, machine(*EVERY, array={"active_rows": 100}))
    assert found == [f"{node.name}.relu" for node in few]
    # Three bits are stored and applied as four.
    assert priced(candidate("relu", activation_bits=3).blueprint, every)


def test_what_they_compute_takes_a_register_a_value() -> None:
    on, off = machine(*EVERY), machine()
    for activation, gates in (("relu", 1 + REGISTER), ("hard_sigmoid", 3 * ADDITION)):
        network = candidate(activation).blueprint
        mine, theirs = estimate(network, on), estimate(network, off)
        computed = by_converters(network, on.macro)
        assert computed
        for layer, before in zip(mine.layers, theirs.layers, strict=True):
            share = REGISTER / gates if layer.name in computed else 1.0
            found, wanted = layer.components["digital"], before.components["digital"]
            assert found == pytest.approx(share * wanted)
            assert layer.latency_ns == before.latency_ns
        assert mine.energy_pj < theirs.energy_pj


def test_prices_of_genes_are_those_of_the_networks() -> None:
    on = machine(*EVERY)
    genes = SPACE.sample_genes(12, 3)
    batch = estimate_batch(SPACE, genes, on)
    reports = [estimate(SPACE.decode(row).blueprint, on) for row in genes]
    assert batch.energy_pj.tolist() == pytest.approx([r.energy_pj for r in reports])
    assert (batch.energy_pj <= estimate_batch(SPACE, genes, machine()).energy_pj).all()


def test_it_is_explained_who_computes_an_activation() -> None:
    on, network = machine("relu", array={"active_rows": 100}), candidate("relu").blueprint
    found = {each.layer: each for each in explained_layers(network, on)}
    computed = by_converters(network, on.macro)
    (name, (layer, _)) = next(iter(computed.items()))
    assert found[name].converters == f"the converters of {layer.name} compute it"
    assert found[layer.name].converters == f"they compute {name}"
    check_arithmetic(found[name])
    others = [n for n in network.nodes if n.op == "relu" and n.name not in computed]
    why = [found[node.name].converters for node in others]
    assert why[0] == f"the digital unit computes it: {network.nodes[0].name} is not on arrays"
    assert set(why[1:]) == {"the digital unit computes it: a sum is of several row groups"}
    assert found["pool"].converters == ""
    wide = next(n.name for n in network.nodes if n.placement == "cim" and 9 * n.in_shape[0] > 100)
    fault = "a sum is of several row groups"
    assert found[wide].converters == f"converters do not compute {wide}.relu: {fault}"
    hard = candidate("hard_sigmoid").blueprint
    text = explain(hard, on, "stage1.layer0").converters
    assert text.endswith("stage1.layer0.hard_sigmoid: adc.activation has no hard_sigmoid")
    assert explain(network, machine(), layer.name).converters == ""


def test_an_activation_has_to_be_right_behind_and_alone() -> None:
    shape = (3, 4, 4)
    layer = conv("a", out_shape=shape, w_bits=4, x_bits=4)
    norm, act = (
        Node("n", "batchnorm", ("a",), shape, shape),
        Node("r", "relu", ("n",), shape, shape),
    )
    pool = Node("p", "maxpool", ("n",), shape, (3, 2, 2), (2, 2), (2, 2))
    on = machine("relu")
    for nodes, found in (
        ((layer, norm, act), ["r"]),
        ((layer, Node("r", "relu", ("a",), shape, shape)), ["r"]),
        # The batch norm, or the layer, is read by others too.
        ((layer, norm, act, pool), []),
        ((layer, norm, act, Node("s", "add", ("r", "a"), shape, shape)), []),
        # Something else is computed in between.
        ((layer, norm, pool, Node("r", "relu", ("p",), (3, 2, 2), (3, 2, 2))), []),
        ((layer, Node("s", "add", ("a", "a"), shape, shape), act), []),
    ):
        network = Blueprint((2, 4, 4), 3, nodes)
        assert priced(network, on) == list(by_converters(network, on.macro)) == found
        note = explain(network, on, "a").converters
        assert note == ("they compute r" if found else NONE)


NONE = "converters compute no activation: none that alone reads the layer is right behind it"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"adc": {"activation": ["relu", "relu"]}}, "found a repeated choice"),
        ({"adc": {"activation": ["gelu"]}}, "Input should be 'relu', 'clipped' or 'hard_sigmoid'"),
        (
            {"noise": {"adc": {"offset_sigma_frac": 0.01}}},
            "found relu beside adc; allowed are noise",
        ),
        (
            {"configurable": {"range_policy": {"values": ["layer"], "follows": "scales"}}},
            "found relu where range_policy is layer; allowed where it may be column",
        ),
        (
            {"configurable": {"encoding": {"values": ["offset"], "follows": "columns"}}},
            "found relu where encoding is offset; allowed where it may be differential",
        ),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    if "range_policy" in str(changes):
        changes |= {"adc": {"range_policy": "layer"}}
    if "encoding" in str(changes):
        changes |= {"weights": {"encoding": "offset"}}
    with pytest.raises(ValidationError, match=said):
        machine("relu", **changes)


def test_without_it_a_macro_is_that_of_before() -> None:
    assert machine().hash != machine("relu").hash
    assert "activation" not in machine().macro.model_dump(mode="json")["adc"]
    again = Hardware.model_validate_json(machine(*EVERY).model_dump_json(by_alias=True))
    assert again.hash == machine(*EVERY).hash
