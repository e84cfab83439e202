"""Properties of a price under every option of a system, on published macros."""

from dataclasses import fields, replace
from operator import itemgetter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import COMPONENTS, CostArrays, CostReport, estimate, estimate_table
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.space import Space
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics
from tests.unit.cost.tiny import conv

from .systems import (
    RESNET,
    VGG,
    bounded,
    networks,
    statistics,
    systems,
    with_system,
    with_zero_skipping,
)

NEVER_CHEAPER = 1 - 1e-12
MANY_EXAMPLES = settings(max_examples=40, deadline=None)


def dynamic_pj(costs: CostReport | CostArrays) -> Any:
    return costs.energy_pj - costs.components["leakage"]


def priced(network: Blueprint, on: Hardware, data: Statistics | None = None) -> CostReport:
    return estimate(bounded(network, on), on, data)


@MANY_EXAMPLES
@given(networks(), systems(), statistics())
def test_every_part_of_a_price_is_sound(
    network: Blueprint, on: Hardware, data: Statistics
) -> None:
    price = priced(network, on, data)
    for total in (
        price.energy_pj,
        price.latency_ns,
        price.interval_ns,
        price.area_um2,
        price.programming_pj + (on.macro.array.write_pj_per_cell == 0),
    ):
        assert np.isfinite(total)
        assert total > 0
    assert price.interval_ns <= price.latency_ns
    assert 0 < price.utilization <= 1
    assert all(np.isfinite(part) and part >= 0 for part in price.components.values())
    assert sum(price.components.values()) == pytest.approx(price.energy_pj, rel=1e-9)
    assert sum(layer.energy_pj for layer in price.layers) == pytest.approx(price.energy_pj)
    used = sum(layer.arrays * layer.copies for layer in price.layers)
    owned = on.system.macros
    if on.system.layers_per_array == "one" and owned != "enough" and price.macros <= owned:
        assert used <= owned
    for layer in price.layers:
        assert layer.energy_pj > 0
        assert layer.latency_ns > 0
        assert all(np.isfinite(part) and part >= 0 for part in layer.components.values())
        assert (layer.copies >= 1) == (layer.arrays >= 1)
        assert 0 <= layer.utilization <= 1


@MANY_EXAMPLES
@given(networks(), systems(), statistics(), st.integers(2, 20_000))
def test_copies_save_time_and_no_energy(
    network: Blueprint, on: Hardware, data: Statistics, macros: int
) -> None:
    plain, filled = (
        priced(network, with_system(on, macros=macros, duplicates=duplicates), data)
        for duplicates in ("none", "fill")
    )
    assert filled.latency_ns <= plain.latency_ns * (1 + 1e-9)
    assert filled.interval_ns <= plain.interval_ns * (1 + 1e-9)
    assert dynamic_pj(filled) >= dynamic_pj(plain) * NEVER_CHEAPER
    assert filled.components["leakage"] <= plain.components["leakage"] * (1 + 1e-9)
    assert filled.programming_pj >= plain.programming_pj
    for name in ("area_um2", "macros", "utilization"):
        assert getattr(filled, name) == getattr(plain, name)
    for before, after in zip(plain.layers, filled.layers, strict=True):
        assert after.latency_ns <= before.latency_ns


@MANY_EXAMPLES
@given(networks(), systems(), statistics())
def test_shared_arrays_save_area_and_leakage_only(
    network: Blueprint, on: Hardware, data: Statistics
) -> None:
    # A bus that does not get shorter with the chip.
    bus = on.system.interconnect.model_dump() | {"mesh": None, "length_mm": 1.0}
    sized: dict[str, Any] = {
        "macros": "enough",
        "duplicates": "none",
        "execution": "layer_by_layer",
        "interconnect": bus,
    }
    one, many = (
        priced(network, with_system(on, layers_per_array=per_array, **sized), data)
        for per_array in ("one", "many")
    )
    assert many.macros <= one.macros
    assert many.area_um2 <= one.area_um2
    assert many.latency_ns == one.latency_ns
    assert many.utilization >= one.utilization
    assert many.components["leakage"] <= one.components["leakage"]
    for name, part in one.components.items():
        assert name == "leakage" or many.components[name] == part
    assert many.programming_pj == one.programming_pj


@MANY_EXAMPLES
@given(networks(), systems(), st.sampled_from([0.1, 0.5, 1.0]))
def test_a_detector_that_finds_no_zeros_is_never_cheaper(
    network: Blueprint, on: Hardware, activity: float
) -> None:
    data = Statistics(activity_frac=activity)
    # Copies are chosen by the times of layers, which a detector changes.
    on = with_system(on, duplicates="none")
    never, detects = (priced(network, with_zero_skipping(on, k), data) for k in ("none", "planes"))
    assert detects.area_um2 > never.area_um2
    assert detects.energy_pj > never.energy_pj
    assert detects.latency_ns >= never.latency_ns
    assert detects.macros == never.macros
    for name, part in never.components.items():
        assert detects.components[name] >= part * NEVER_CHEAPER


@MANY_EXAMPLES
@given(networks(), systems(), st.floats(0, 0.5), st.floats(0, 0.5))
def test_more_planes_of_zeros_never_cost_more(
    network: Blueprint, on: Hardware, a: float, b: float
) -> None:
    on = with_system(on, duplicates="none")
    fewer, more = (priced(network, on, Statistics(zero_plane_frac=z)) for z in sorted((a, b)))
    assert more.energy_pj <= fewer.energy_pj * (1 + 1e-12)
    assert more.latency_ns <= fewer.latency_ns * (1 + 1e-12)


def table_of(space: Space, seed: int, on: Hardware) -> LayerTable:
    """Return 4 networks of ``space`` with no more bits than the macro has."""
    drawn = (space.decode(genes).blueprint for genes in space.sample_genes(4, seed))
    return layer_table([bounded(network, on) for network in drawn])


def totals(costs: CostArrays) -> dict[str, Any]:
    simple = ("energy_pj", "latency_ns", "interval_ns", "area_um2", "utilization", "macros")
    return {name: getattr(costs, name) for name in simple} | costs.components


@MANY_EXAMPLES
@given(st.sampled_from([RESNET, VGG]), st.integers(0, 10_000), systems(), statistics())
def test_a_batch_costs_what_each_of_it_costs(
    space: Space, seed: int, on: Hardware, data: Statistics
) -> None:
    table = table_of(space, seed, on)
    together = estimate_table(table, on, data)
    for row in range(table.shape[0]):
        alone = estimate_table(table.map(itemgetter(slice(row, row + 1))), on, data)
        for name, found in totals(together).items():
            assert totals(alone)[name][0] == found[row], name
        np.testing.assert_array_equal(alone.nodes.copies[0], together.nodes.copies[row])
        np.testing.assert_array_equal(alone.nodes.latency_ns[0], together.nodes.latency_ns[row])


@MANY_EXAMPLES
@given(st.sampled_from([RESNET, VGG]), st.integers(0, 10_000), systems(), statistics())
def test_torch_equals_numpy(space: Space, seed: int, on: Hardware, data: Statistics) -> None:
    table = table_of(space, seed, on)
    exact = totals(estimate_table(table, on, data))
    tensors = table.map(lambda column: torch.tensor(column, dtype=torch.float64))
    for name, found in totals(estimate_table(tensors, on, data)).items():
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found.numpy(), exact[name], rtol=1e-6, err_msg=name)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), systems(), statistics())
def test_gradients_are_finite(seed: int, on: Hardware, data: Statistics) -> None:
    table = table_of(VGG, seed, on)
    tensors = table.map(lambda column: torch.tensor(column, dtype=torch.float64))
    wanted: Any = tensors.out_channels
    wanted.requires_grad_()
    costs = estimate_table(tensors, on, data)
    (costs.energy_pj.sum() + costs.latency_ns.sum()).backward()
    assert torch.isfinite(wanted.grad).all()
    assert (wanted.grad.sum(dim=1) > 0).all()


@MANY_EXAMPLES
@given(st.integers(0, 10_000), systems())
def test_pruned_is_the_network_built_narrow(seed: int, on: Hardware) -> None:
    genes = zip(RESNET.genes, RESNET.sample_genes(1, seed)[0], strict=True)
    drawn = {gene.name: gene.choices[index] for gene, index in genes}
    cut, wide = (
        RESNET.decode(
            RESNET.encode({n: ratio if "prune_ratio" in n else v for n, v in drawn.items()})
        ).blueprint
        for ratio in (0.5, 0.0)
    )

    def halved(node: Node) -> Node:
        (cin, h, w), (cout, out_h, out_w) = node.in_shape, node.out_shape
        cin = cin if node.inputs[0] == "input" else cin // 2
        cout = cout if node.op == "linear" else cout // 2
        return replace(node, in_shape=(cin, h, w), out_shape=(cout, out_h, out_w))

    built = replace(wide, nodes=tuple(halved(node) for node in wide.nodes))
    assert priced(built, on) == priced(cut, on)


@MANY_EXAMPLES
@given(networks(), systems())
def test_names_do_not_matter(network: Blueprint, on: Hardware) -> None:
    new = {"input": "input"} | {n.name: f"z{i}" for i, n in enumerate(network.nodes)}
    nodes = tuple(
        replace(node, name=new[node.name], inputs=tuple(new[name] for name in node.inputs))
        for node in network.nodes
    )
    price, renamed = priced(network, on), priced(replace(network, nodes=nodes), on)
    groups = tuple(
        replace(group, layers=tuple(new[name] for name in group.layers)) for group in price.groups
    )
    assert renamed.groups == groups
    for field in fields(CostReport):
        if field.name not in ("layers", "groups"):
            assert getattr(price, field.name) == getattr(renamed, field.name)
    for layer, other in zip(price.layers, renamed.layers, strict=True):
        signal = other.fidelity and replace(other.fidelity, name=layer.name)
        assert replace(other, name=layer.name, fidelity=signal) == layer


def identities(shape: tuple[int, int, int], x_bits: int) -> list[Node]:
    one = conv("identity", in_shape=shape, out_shape=shape, kernel=(1, 1), w_bits=8, x_bits=x_bits)
    return [
        one,
        replace(one, placement="digital"),
        *(Node("identity", op, ("input",), shape, shape) for op in ("batchnorm", "relu")),
        Node("identity", "avgpool", ("input",), shape, shape),
    ]


@MANY_EXAMPLES
@given(networks(), systems(), st.integers(0, 4), st.data())
def test_an_identity_layer_is_never_cheaper(
    network: Blueprint, on: Hardware, which: int, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(network.nodes) - 1))
    node = identities(network.nodes[at].out_shape, 8)[which]
    nodes = (*network.nodes[: at + 1], node, *network.nodes[at + 1 :])
    if on.system.execution == "fused":
        # Another layer moves the borders between groups, and so what is stored whole.
        on = with_system(on, execution="pipelined")
    alone, both = priced(network, on), priced(replace(network, nodes=nodes), on)
    assert both.macros >= alone.macros
    assert both.area_um2 >= alone.area_um2
    # A layer takes macros from copies: choosing among fewer of them is cheaper, and what is
    # nearly the best choice for one network may happen to be the best for another.
    filled = on.system.duplicates == "fill"
    for name in set(COMPONENTS) - {"control", "leakage", *(["interconnect"] if filled else [])}:
        assert both.components[name] >= alone.components[name] * NEVER_CHEAPER
    times = [sum(layer.latency_ns for layer in price.layers) for price in (alone, both)]
    assert times[1] >= times[0] * (0.9 if filled else NEVER_CHEAPER)
