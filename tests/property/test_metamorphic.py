"""Metamorphic properties of a price: networks that do the same, built in another way."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import CostReport, estimate, estimate_table
from cimsearch.cost.layer_integers import tile_rows
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.catalogue import names
from cimsearch.spec.hardware import Hardware
from tests.unit.cost.tiny import DIGITAL, conv, hardware

CATALOGUE = [load_hardware(name) for name in names("hardware") if name.startswith("macros/")]
RESNET = Space(load_space_spec("resnet8"))
VGG = Space(load_space_spec("vgg_tiny"))
NEVER_CHEAPER = 1 - 1e-12

# Components that one layer's arrays take, whatever feeds them.
ARRAY_COMPONENTS = ("cells", "drivers", "adc", "adder_tree", "shift_add")


@st.composite
def macros(draw: st.DrawFn) -> Hardware:
    """Draw an analog or digital macro of any shape that can hold 8 bit weights."""
    rows = draw(st.integers(1, 40))
    array: dict[str, Any] = {"rows": rows, "active_rows": draw(st.integers(1, rows))}
    owned = draw(st.sampled_from(["enough", 1, 4, 64]))
    if draw(st.booleans()):
        array["cols"] = 8 * draw(st.integers(1, 8))
        return hardware(**DIGITAL, array=array, system={"macros": owned})
    shared = draw(st.sampled_from([1, 2, 4, 8]))
    array["cols"] = shared * draw(st.integers(-(-14 // shared), 40))
    array["gating"] = draw(st.sampled_from([[], ["columns"]]))
    adc = {"columns_per_adc": shared, "bits": draw(st.integers(1, 5))}
    packing = draw(st.sampled_from(["dense", "whole_kernel"]))
    return hardware(array=array, adc=adc, packing=packing, system={"macros": owned})


ANY = st.one_of(macros(), st.sampled_from(CATALOGUE))


@st.composite
def layers(draw: st.DrawFn) -> Node:
    """Draw a convolution on arrays, without groups, of an even number of outputs."""
    side, kernel = draw(st.integers(1, 5)), draw(st.sampled_from([1, 3]))
    return conv(
        in_shape=(draw(st.integers(1, 300)), side, side),
        out_shape=(2 * draw(st.integers(1, 80)), side, side),
        kernel=(kernel, kernel),
        w_bits=draw(st.sampled_from((2, 4, 8))),
        x_bits=draw(st.sampled_from((1, 2, 4, 8))),
    )


def priced(network: Blueprint | Node, on: Hardware) -> CostReport | None:
    """Return the price, or None where the chip refuses: fewer bits, or reloads of worn cells."""
    try:
        return estimate(network, on)
    except HardwareError:
        return None


@given(st.integers(0, 10_000), ANY)
def test_pruned_is_the_network_built_narrow(seed: int, on: Hardware) -> None:
    genes = zip(RESNET.genes, RESNET.sample_genes(1, seed)[0], strict=True)
    drawn = {gene.name: gene.choices[index] for gene, index in genes}
    pruned = {n: 0.5 if n.endswith(".prune_ratio") else v for n, v in drawn.items()}
    cut = RESNET.decode(RESNET.encode(pruned)).blueprint
    # The same nodes at half the channels of the unpruned network, written by hand.
    whole = {n: 0.0 if n.endswith(".prune_ratio") else v for n, v in pruned.items()}
    wide = RESNET.decode(RESNET.encode(whole)).blueprint
    built = replace(wide, nodes=tuple(halved(node) for node in wide.nodes))
    assert built == cut
    assert priced(built, on) == priced(cut, on)


def halved(node: Node) -> Node:
    """Return ``node`` with half its channels, but for the network's input and classes."""
    (cin, h, w), (cout, out_h, out_w) = node.in_shape, node.out_shape
    cin = cin if node.inputs[0] == "input" else cin // 2
    cout = cout if node.op == "linear" else cout // 2
    return replace(node, in_shape=(cin, h, w), out_shape=(cout, out_h, out_w))


def identities(node: Node) -> list[Node]:
    """Return nodes that give out what ``node`` does."""
    shape, name = node.out_shape, node.name
    one = conv(
        "identity", in_shape=shape, out_shape=shape, kernel=(1, 1), w_bits=8, x_bits=node.x_bits
    )
    return [
        replace(one, inputs=(name,)),
        replace(one, inputs=(name,), placement="digital"),
        Node("identity", "batchnorm", (name,), shape, shape),
        Node("identity", "relu", (name,), shape, shape),
        Node("identity", "flatten", (name,), shape, (shape[0] * shape[1] * shape[2], 1, 1)),
        Node("identity", "avgpool", (name,), shape, shape),
    ]


@given(layers(), ANY, st.integers(0, 5))
def test_an_identity_layer_is_never_cheaper(node: Node, on: Hardware, which: int) -> None:
    identity = identities(node)[which]
    alone = priced(Blueprint(node.in_shape, 1, (node,)), on)
    both = priced(Blueprint(node.in_shape, 1, (node, identity)), on)
    if alone is None or both is None:
        return
    assert both.energy_pj > alone.energy_pj
    assert both.latency_ns > alone.latency_ns
    assert both.area_um2 >= alone.area_um2
    assert both.macros >= alone.macros


@given(layers(), ANY, st.data())
def test_a_column_split_is_never_cheaper(node: Node, on: Hardware, data: st.DataObject) -> None:
    outputs, h, w = node.out_shape
    first = data.draw(st.integers(1, outputs - 1))
    parts = [
        replace(node, name=name, out_shape=(width, h, w))
        for name, width in (("left", first), ("right", outputs - first))
    ]
    whole = priced(Blueprint(node.in_shape, 1, (node,)), on)
    split = priced(Blueprint(node.in_shape, 1, tuple(parts)), on)
    if whole is None or split is None:
        return
    for name in ARRAY_COMPONENTS:
        assert split.components[name] >= whole.components[name] * NEVER_CHEAPER, name
    assert split.energy_pj >= whole.energy_pj * NEVER_CHEAPER
    assert split.latency_ns >= whole.latency_ns * NEVER_CHEAPER
    assert split.area_um2 >= whole.area_um2
    assert split.macros >= whole.macros


@given(layers(), ANY, st.data())
def test_a_row_split_never_takes_fewer_arrays(
    node: Node, on: Hardware, data: st.DataObject
) -> None:
    inputs, h, w = node.in_shape
    if inputs < 2:
        return
    first = data.draw(st.integers(1, inputs - 1))
    parts = [
        replace(node, name=name, in_shape=(width, h, w))
        for name, width in (("left", first), ("right", inputs - first))
    ]
    whole = estimate(node, on)
    left, right = (estimate(part, on) for part in parts)
    assert left.macros + right.macros >= whole.macros
    array = on.macro.array
    tile = tile_rows(array.rows, node.kernel[0] * node.kernel[1], on.macro.packing)
    # Where row groups do not fill a tile, a split can fill them better than one layer does.
    if tile % array.active_rows == 0:
        conversions = left.components["adc"] + right.components["adc"]
        assert conversions >= whole.components["adc"] * NEVER_CHEAPER


@given(st.sampled_from([RESNET, VGG]), st.integers(0, 10_000), ANY)
def test_names_do_not_matter(space: Space, seed: int, on: Hardware) -> None:
    network = space.decode(space.sample_genes(1, seed)[0]).blueprint
    new = {"input": "input"} | {n.name: f"node{i}" for i, n in enumerate(network.nodes)}
    nodes = tuple(
        replace(
            node,
            name=new[node.name],
            inputs=tuple(new[name] for name in node.inputs),
            prune_group=node.prune_group[::-1],
        )
        for node in network.nodes
    )
    price, renamed = priced(network, on), priced(replace(network, nodes=nodes), on)
    if price is None or renamed is None:
        assert price is renamed
        return
    for field in fields(CostReport):
        if field.name != "layers":
            assert getattr(price, field.name) == getattr(renamed, field.name)
    for layer, other in zip(price.layers, renamed.layers, strict=True):
        signal = other.fidelity and replace(other.fidelity, name=layer.name)
        assert replace(other, name=layer.name, fidelity=signal) == layer


@given(st.sampled_from([RESNET, VGG]), st.integers(0, 10_000), ANY)
def test_every_part_of_a_price_is_sound(space: Space, seed: int, on: Hardware) -> None:
    price = priced(space.decode(space.sample_genes(1, seed)[0]).blueprint, on)
    if price is None:
        return
    for total in (price.energy_pj, price.latency_ns, price.area_um2, price.macros):
        assert np.isfinite(total)
        assert total > 0
    assert 0 < price.utilization <= 1
    assert all(np.isfinite(part) and part >= 0 for part in price.components.values())
    assert sum(price.components.values()) == pytest.approx(price.energy_pj, rel=1e-9)
    assert sum(layer.energy_pj for layer in price.layers) == pytest.approx(price.energy_pj)
    for layer in price.layers:
        assert layer.energy_pj > 0
        assert layer.latency_ns > 0
        assert all(np.isfinite(part) and part >= 0 for part in layer.components.values())
        assert sum(layer.components.values()) == pytest.approx(layer.energy_pj, rel=1e-9)
        assert (0 < layer.utilization <= 1) == (layer.arrays > 0)


@given(st.lists(layers(), min_size=2, max_size=6), ANY)
def test_a_network_costs_the_same_in_any_company(nodes: list[Node], on: Hardware) -> None:
    networks = [Blueprint(node.in_shape, 1, (node,)) for node in nodes]
    alone = [priced(network, on) for network in networks]
    kept = [(n, price) for n, price in zip(networks, alone, strict=True) if price is not None]
    if not kept:
        return
    together = estimate_table(layer_table([network for network, _ in kept]), on)
    for row, (_, price) in enumerate(kept):
        assert together.energy_pj[row] == pytest.approx(price.energy_pj, rel=1e-12)
        assert together.latency_ns[row] == pytest.approx(price.latency_ns, rel=1e-12)
        assert together.area_um2[row] == pytest.approx(price.area_um2, rel=1e-12)


@given(layers(), macros(), st.sampled_from([0.5, 0.9, 1.3]), st.floats(1.01, 1.5))
def test_energy_grows_with_the_supply(node: Node, on: Hardware, low: float, more: float) -> None:
    energies = []
    for supply in (low, low * more):
        macro = on.macro.model_copy(update={"supply_v": supply})
        price = estimate(node, on.model_copy(update={"macro": macro}))
        dynamic = price.energy_pj - price.components["leakage"]
        energies.append(dynamic)
    assert energies[1] >= energies[0] * NEVER_CHEAPER


@given(layers(), macros(), st.integers(1, 4))
def test_a_larger_image_costs_more(node: Node, on: Hardware, more: int) -> None:
    (cin, h, w), (cout, *_) = node.in_shape, node.out_shape
    large = replace(node, in_shape=(cin, h + more, w), out_shape=(cout, h + more, w))
    small_price, large_price = estimate(node, on), estimate(large, on)
    assert large_price.energy_pj > small_price.energy_pj
    assert large_price.latency_ns > small_price.latency_ns
    assert large_price.macros == small_price.macros
