"""Fused execution: groups of layers that fit the macros together, one group after another."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import CostArrays, estimate, estimate_table
from cimsearch.cost.groups import opened
from cimsearch.cost.staircase import staircase
from cimsearch.layer_table import layer_table
from cimsearch.spec.study import Statistics
from tests.unit.space.grouped import VGG, with_share

from .tiny import conv, hardware

FAST: dict[str, Any] = {"digital": {"clock_mhz": 1e6}}
"""A digital unit that no layer waits for."""
FUSED: dict[str, Any] = {"execution": "fused"}
BATCH = 3


def priced(*nodes: Node, batch: int = BATCH, **system: Any) -> CostArrays:
    on = hardware(system=FAST | system)
    table = layer_table([Blueprint(nodes[0].in_shape, 3, nodes)])
    return estimate_table(table, on, Statistics(batch=batch))


def chain() -> tuple[Node, Node, Node]:
    """Return layers of 1, 4 and 4 arrays that take 512, 1024 and 256 ns."""
    wide = conv("wide", in_shape=(3, 4, 4))
    last = conv("last", in_shape=(3, 4, 4), out_shape=(3, 2, 2))
    point = conv("point", kernel=(1, 1))
    return point, replace(wide, inputs=("point",)), replace(last, inputs=("wide",))


def test_two_groups_by_hand() -> None:
    """Five macros hold the first two layers, then the third; an array call takes 16 ns.

    ``point`` has 2 rows, ``wide`` 27 in four row tiles of two row groups, two planes each.
    """
    costs = priced(*chain(), macros=5, **FUSED)
    assert costs.nodes.arrays.tolist() == [[1, 4, 4]]
    assert costs.groups is not None
    assert costs.groups.opens.tolist() == [[False, False, True]]
    # At 1 Gb/s: 6 and 81 weights of 2 bits. Writing 8 rows at 10 ns each takes less.
    loading = (6 + 81) * 2
    # wide needs three of four rows of what point makes in 512 ns; the next follows after 1024 ns.
    first = loading + (512 * 3 / 4 + 1024) + (BATCH - 1) * 1024
    second = 81 * 2 + BATCH * 256
    assert costs.latency_ns[0] == pytest.approx(first + second) == 4560
    assert costs.interval_ns[0] == pytest.approx((first + second) / BATCH)
    serial = priced(*chain(), macros=5)
    # By itself point is loaded in the time of writing its two rows.
    apart = 2 * 10 + 81 * 2 + 81 * 2
    assert serial.latency_ns[0] == pytest.approx(apart + BATCH * (512 + 1024 + 256))
    assert costs.components["leakage"][0] == pytest.approx(
        serial.components["leakage"][0] * costs.interval_ns[0] / serial.interval_ns[0]
    )
    for name in ("cells", "adc", "buffers", "interconnect", "digital", "off_chip"):
        assert costs.components[name] == serial.components[name]


def test_a_group_is_loaded_by_one_memory_into_all_arrays_at_once() -> None:
    """A fast memory leaves the writing: 8 rows at 10 ns, whatever layers there are."""
    memory = {"bandwidth_gbps": 1e9}
    costs = priced(*chain(), macros=5, off_chip=memory, **FUSED)
    assert costs.groups is not None
    assert costs.groups.loading_ns[0].tolist() == pytest.approx([20, 80, 80])


def test_ping_pong_loads_half_of_the_macros_while_the_others_compute() -> None:
    memory = {"ping_pong": True, "bandwidth_gbps": 0.1}
    costs = priced(*chain(), macros=10, off_chip=memory, **FUSED)
    assert costs.macros[0] == 9
    whole = priced(*chain(), macros=10, off_chip=memory, execution="pipelined")
    assert costs.latency_ns[0] == whole.latency_ns[0]
    costs = priced(*chain(), macros=8, off_chip=memory, **FUSED)
    assert costs.groups is not None
    # Four macros: point alone, then wide, then last.
    assert costs.groups.opens.tolist() == [[False, True, True]]
    times = [max(120, 3 * 512), max(1620, 3 * 1024), max(1620, 3 * 256)]
    assert costs.latency_ns[0] == pytest.approx(sum(times))


def test_what_does_not_fit_alone_runs_in_rounds_as_layer_by_layer() -> None:
    norm = Node("norm", "batchnorm", ("point",), (3, 4, 4), (3, 4, 4))
    point, wide, last = chain()
    nodes = (point, norm, replace(wide, inputs=("norm",)), last)
    costs, serial = (priced(*nodes, macros=2, **how) for how in (FUSED, {}))
    assert costs.groups is not None
    assert costs.groups.opens.tolist() == [[False, False, True, True]]
    assert costs.groups.fits.tolist() == [[True, True, False, False]]
    np.testing.assert_array_equal(costs.nodes.latency_ns, serial.nodes.latency_ns)
    batch = costs.groups.batch_ns[0]
    assert batch[2:] == pytest.approx(BATCH * serial.nodes.latency_ns[0, 2:])
    assert batch[1] == pytest.approx(2 * 10 + 512 * BATCH)


def spilled(costs: CostArrays, on: Any, weights: float) -> list[float]:
    """Return the bits of each node beyond the buffer, from the energy of the memory."""
    node_pj = costs.nodes.components["off_chip"][0] - weights
    bits: list[float] = (node_pj / on.off_chip.read_pj_per_bit).tolist()
    return bits


def small_buffer(kib: float) -> dict[str, Any]:
    return {"size_kib": kib, "reads": [{"size_kib": kib, "pj_per_bit": 0.01}]}


def test_between_groups_the_batch_is_stored_whole_beside_the_windows() -> None:
    """Windows: half of 64 bits of input, and all of 96; 96 bits lie between the groups."""
    room, node = 400, chain()
    system: dict[str, Any] = {"macros": 5, "buffers": small_buffer(room / 8192)}
    costs, serial, roomy = (
        priced(*node, **(system | how))
        for how in (FUSED, {}, {"buffers": small_buffer(8.0), **FUSED})
    )
    weights = roomy.nodes.components["off_chip"][0]
    on = hardware(system=FAST | system).system
    beyond = 96 - (room - 32 - 96) / (2 * BATCH)
    assert spilled(costs, on, weights) == pytest.approx([0, 0, 2 * beyond])
    of_half = [max(bits - room / (2 * BATCH), 0) for bits in (64, 96, 96)]
    assert spilled(serial, on, weights) == pytest.approx([2 * bits for bits in of_half])
    # Windows that find no room spill that share, and leave none to what is between groups.
    costs = priced(*node, macros=5, buffers=small_buffer(96 / 8192), **FUSED)
    assert spilled(costs, on, weights) == pytest.approx([2 * 64 / 4, 2 * 96 / 4, 2 * 96])


def block() -> tuple[Node, ...]:
    """Return a residual block: what the first layer makes waits for the addition."""
    second = replace(conv("second", in_shape=(3, 4, 4)), inputs=("first",))
    return conv("first"), second, Node("add", "add", ("second", "first"), (3, 4, 4), (3, 4, 4))


def test_a_shortcut_across_a_border_is_stored_for_the_whole_batch() -> None:
    """Layers of 3 and 4 arrays; 48 values of 16 bits wait, and 96 bits are read."""
    on = hardware().system
    assert layer_table([Blueprint((2, 4, 4), 3, block())]).reach.tolist() == [[0, 1, 2]]
    apart = {"macros": 4, "buffers": small_buffer(1200 / 8192), **FUSED}
    roomy = priced(*block(), macros=4, **FUSED).nodes.components["off_chip"][0]
    left = (1200 - 64) / (2 * BATCH)
    bits = spilled(priced(*block(), **apart), on, roomy)
    assert bits == pytest.approx([0, 0, 2 * (48 * 16 - left)])
    # In one group it is part of the windows, which have room: 64, 96 and 768 bits.
    together = priced(*block(), **(apart | {"macros": 7}))
    assert spilled(together, on, 0) == pytest.approx([0, 0, 0])


def test_the_network_input_is_no_tensor_between_groups() -> None:
    first, second, add = block()
    image = replace(add, inputs=("second", "input"))
    table = layer_table([Blueprint((2, 4, 4), 3, (first, second, image))])
    assert table.reach.tolist() == [[0, 1, 2]]


def test_groups_are_formed_in_order_for_every_network_by_itself() -> None:
    arrays = np.array(
        [[2, 0, 3, 0, 1, 4], [9, 0, 1, 1, 1, 0], [0, 6, 0, 5, 0, 0], [0, 1, 7, 0, 1, 1]]
    )
    second = np.zeros(arrays.shape, dtype=bool)
    second[3, 5] = True
    opens, fits = opened(arrays.astype(float), second, np.array([5.0, 2.0, np.inf, 5.0]))
    assert opens.astype(int).tolist() == [
        [0, 0, 0, 0, 1, 0],
        [0, 0, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 1, 0],
    ]
    assert fits.astype(int).tolist() == [
        [1, 1, 1, 1, 1, 1],
        [0, 0, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1],
        [1, 1, 0, 0, 1, 1],
    ]


@pytest.mark.parametrize("duplicates", ["none", "fill"])
def test_both_parts_of_a_layer_are_in_one_group(duplicates: str) -> None:
    network = with_share(VGG, 0.25, activation_bits=4, high_bits=8, weight_bits=4).blueprint
    for macros in range(1, 60, 3):
        on = hardware(system={"macros": macros, "duplicates": duplicates, **FUSED})
        groups = estimate(network, on).groups
        assert sum(len(group.layers) for group in groups) == len(network.nodes)
        of = {name: at for at, group in enumerate(groups) for name in group.layers}
        for node in network.nodes:
            if node.op == "concat":
                assert len({of[name] for name in (node.name, *node.inputs)}) == 1


def test_a_report_tells_the_groups() -> None:
    network = Blueprint((2, 4, 4), 3, chain())
    report = estimate(network, hardware(system=FAST | FUSED | {"macros": 5}))
    first, second = report.groups
    assert (first.layers, second.layers) == (("point", "wide"), ("last",))
    assert (first.macros, second.macros) == (5, 4)
    assert (first.loading_ns, first.latency_ns, first.interval_ns) == (174, 1408, 1024)
    assert first.batch_ns + second.batch_ns == report.latency_ns
    assert [group["macros"] for group in report.to_dict()["groups"]] == [5, 4]
    assert "groups" not in estimate(network, hardware()).to_dict()
    # Where all fits there is nothing to load, and one group.
    (whole,) = estimate(network, hardware(system=FAST | FUSED)).groups
    assert whole.loading_ns == 0
    assert whole.macros == 9


def test_steps_tell_where_other_layers_are_fused() -> None:
    network = Blueprint((2, 4, 4), 3, chain())
    found = staircase(network, hardware(system=FAST | FUSED | {"macros": 5}))
    crossed = {name for step in found.steps for name in step.crosses}
    assert "group" in crossed
    serial = staircase(network, hardware(system=FAST | {"macros": 5}))
    assert "group" not in {name for step in serial.steps for name in step.crosses}


def test_gradients_go_through_all_groups() -> None:
    table = layer_table([Blueprint((2, 4, 4), 3, chain())])
    tensors = table.map(lambda column: torch.tensor(column, dtype=torch.float64))
    bits: Any = tensors.x_bits
    bits.requires_grad_()
    on = hardware(system=FAST | FUSED | {"macros": 5})
    costs: Any = estimate_table(tensors, on, Statistics(batch=BATCH))
    exact = estimate_table(table, on, Statistics(batch=BATCH))
    assert costs.latency_ns.item() == pytest.approx(exact.latency_ns[0])
    (gradient,) = torch.autograd.grad(costs.latency_ns.sum(), bits)
    # A plane more takes half as long again; what point makes is needed at three quarters.
    assert gradient[0].tolist() == pytest.approx([256 * 3 / 4, 512 * BATCH, 128 * BATCH])
