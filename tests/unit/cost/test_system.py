"""Options of a system, each against a price computed by hand, and what a system may not be.

The layer is that of ``conv``: 18 rows in 3 tiles and 5 row groups, 6 columns, 16 vectors, 2
planes. Array calls take 16 ns, 64 of them follow each other.
"""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cimsearch.blueprint import Blueprint, Node, Op
from cimsearch.cost import CostReport, estimate
from cimsearch.cost.logic import REGISTER_CAPS
from cimsearch.cost.system_energy import read_pj_per_bit
from cimsearch.errors import SpecError
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Hardware

from .tiny import conv, hardware

TO_MACROS = 16 * 18 * 2 + 16 * 9 * 7
FAST: dict[str, Any] = {"digital": {"clock_mhz": 1e6}}
FJ = 1e-3


def more_bus_pj(on: Hardware, than: Hardware) -> float:
    a, b = (estimate(conv(), each).components["interconnect"] for each in (on, than))
    return a - b


def mesh(**changes: Any) -> dict[str, Any]:
    """Return a system with a mesh of a macro a tile."""
    tiles = {
        "macros_per_tile": 1,
        "hop_mm": 0.5,
        "router_pj_per_bit": 0.25,
        "router_ns": 3.0,
        "link_gbps": 1000.0,
    }
    macros = changes.pop("macros", "enough")
    barrier = {"layer_barrier_ns": changes.pop("layer_barrier_ns", 0.0)}
    return FAST | {"macros": macros, "interconnect": barrier | {"mesh": tiles | changes}}


def hops_of(side: int) -> float:
    """Return the mean distance of two tiles, by trying every pair."""
    tiles = list(product(range(side), repeat=2))
    away = [abs(a - c) + abs(b - d) for (a, b), (c, d) in product(tiles, repeat=2)]
    return float(np.mean(away))


@pytest.mark.parametrize(("macros", "per_tile", "side"), [(64, 4, 4), (9, 1, 3), (16, 4, 2)])
def test_hops_cost_wire_and_router(macros: int, per_tile: int, side: int) -> None:
    on = hardware(system=mesh(macros=macros, macros_per_tile=per_tile))
    plain = hardware(system={"macros": macros})
    hop = 0.5 * 50.0 * 1.0**2 * FJ + 0.25
    more = more_bus_pj(on, plain)
    assert more == pytest.approx(TO_MACROS * hops_of(side) * hop)
    assert hops_of(side) == pytest.approx(2 / 3 * (side - 1 / side))
    waits = estimate(conv(), on).latency_ns - estimate(conv(), hardware(system=FAST)).latency_ns
    assert waits == pytest.approx(hops_of(side) * 3.0)


def test_one_tile_has_no_hops() -> None:
    on = hardware(system=mesh(macros_per_tile=3))
    plain = estimate(conv(), hardware(system=FAST))
    assert estimate(conv(), on) == plain


def test_a_chip_sized_to_the_network_has_a_mesh_of_its_size() -> None:
    """3 macros are on 3 tiles: a square of them has a side of the root of 3."""
    more = more_bus_pj(hardware(system=mesh()), hardware(system=FAST))
    hops = 2 / 3 * (3**0.5 - 3**-0.5)
    assert more == pytest.approx(TO_MACROS * hops * (0.5 * 50.0 * FJ + 0.25))


def test_what_is_not_on_arrays_stays_in_its_tile() -> None:
    node = conv(placement="digital")
    on, plain = (estimate(node, hardware(system=s)) for s in (mesh(), FAST))
    assert on == plain


def test_the_slower_of_bus_and_link_bounds_a_layer() -> None:
    slow = estimate(conv(), hardware(system=mesh(link_gbps=0.01, router_ns=0.0)))
    assert slow.latency_ns == pytest.approx(TO_MACROS / 0.01)
    fast = estimate(conv(), hardware(system=mesh(link_gbps=1e6, router_ns=0.0)))
    assert fast.latency_ns == 1024


def test_a_layer_waits_at_its_barrier() -> None:
    plain = estimate(conv(), hardware(system=FAST)).latency_ns
    bus = FAST | {"interconnect": {"layer_barrier_ns": 100.0}}
    assert estimate(conv(), hardware(system=bus)).latency_ns == pytest.approx(plain + 100)
    digital = conv(placement="digital")
    assert estimate(digital, hardware(system=bus)) == estimate(digital, hardware(system=FAST))


def test_row_tiles_in_several_tiles_wait_at_every_vector() -> None:
    for per_tile, waits in ((1, 16 * 20.0), (2, 16 * 20.0), (3, 0.0)):
        system = mesh(macros_per_tile=per_tile, tile_barrier_ns=20.0, router_ns=0.0)
        assert estimate(conv(), hardware(system=system)).latency_ns == 1024 + waits
    # One row tile has nothing to join, on however many arrays its columns are.
    tile = conv(in_shape=(8, 4, 4), out_shape=(30, 4, 4), kernel=(1, 1))
    system = mesh(tile_barrier_ns=20.0, router_ns=0.0)
    assert estimate(tile, hardware(system=system)).latency_ns == 1024


def test_copies_share_the_barriers() -> None:
    system = mesh(tile_barrier_ns=20.0, router_ns=0.0, macros=6) | {"duplicates": "fill"}
    assert estimate(conv(), hardware(system=system)).latency_ns == 512 + 8 * 20


@pytest.mark.parametrize(
    ("size_kib", "pj"), [(2, 0.01), (8, 0.02), (128, 0.08), (4, 0.01 * 2**0.5), (32, 0.04)]
)
def test_a_read_costs_what_the_table_says(size_kib: float, pj: float) -> None:
    """Between 2 and 8 KiB, and between 8 and 128, it grows with the root of the size."""
    on = hardware(system={"buffers": {"size_kib": size_kib}})
    assert read_pj_per_bit(on.system.buffers) == pytest.approx(pj)
    written, read = 2 * 16 * 2, 16 * 18 * 2
    found = estimate(conv(), on).components["buffers"]
    assert found == pytest.approx((read + 0.5 * written) * pj)


def test_a_table_of_one_size() -> None:
    only = {"size_kib": 16.0, "reads": [{"size_kib": 16.0, "pj_per_bit": 0.03}]}
    assert read_pj_per_bit(hardware(system={"buffers": only}).system.buffers) == 0.03


def reads(*sizes: float) -> list[dict[str, float]]:
    return [{"size_kib": size, "pj_per_bit": 0.01} for size in sizes]


@pytest.mark.parametrize(
    ("system", "message"),
    [
        (
            {"buffers": {"size_kib": 256}},
            "found 256; allowed are the 2 to 128 KiB of its table reads",
        ),
        ({"buffers": {"size_kib": 1}}, "found 1; allowed are the 2 to 128 KiB"),
        ({"buffers": {"reads": reads(8, 2)}}, "found sizes out of order or repeated; allowed is"),
        ({"buffers": {"reads": reads(8, 8)}}, "found sizes out of order or repeated; allowed is"),
        ({"buffers": {"reads": []}}, "at least 1 item"),
        (
            {"duplicates": "fill"},
            "found fill; allowed is none where macros is enough: a chip sized to the network has",
        ),
        *(
            (
                {"layers_per_array": "many", "execution": how},
                f"found many; allowed is one where execution is {how}: layers that share an array",
            )
            for how in ("pipelined", "fused")
        ),
        ({"execution": "parallel"}, "Input should be 'layer_by_layer', 'pipelined' or 'fused'"),
        ({"interconnect": {"mesh": {"macros_per_tile": 0}}}, "greater than or equal to 1"),
        ({"interconnect": {"layer_barrier_ns": -1}}, "greater than or equal to 0"),
    ],
)
def test_refused(system: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        hardware(system=system)


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["duplicates: fill"], "7:1: duplicates: found fill; allowed is none where macros is"),
        (
            ["execution: pipelined", "layers_per_array: many"],
            "8:1: layers_per_array: found many; allowed is one where execution is pipelined",
        ),
        (
            ["buffers:", "  size_kib: 1000.0"],
            "8:3: buffers.size_kib: found 1000; allowed are the 2 to 512 KiB of its table reads",
        ),
        (
            [
                "buffers:",
                "  reads:",
                "    - {size_kib: 64, pj_per_bit: 1.0}",
                "    - {size_kib: 32, pj_per_bit: 1.0}",
            ],
            "8:3: buffers.reads: found sizes out of order or repeated; allowed is growing",
        ),
    ],
)
def test_a_bad_system_file_is_one_error_at_its_place(
    tmp_path: Path, lines: list[str], error: str
) -> None:
    path = tmp_path / "mine.yaml"
    head = [
        "schema: cimsearch/hardware/1",
        "kind: system",
        "extends: systems/enough_macros",
        "name: mine",
        "summary: mine",
        "source: me",
    ]
    basis = ["macro: macros/yu_cicc_2020", "basis: {buffers: assumed}"]
    path.write_text("\n".join([*head, *lines, *basis]), encoding="utf-8")
    with pytest.raises(SpecError) as found:
        load_hardware(str(path))
    assert str(found.value).startswith(f"{path}:{error}")
    assert "\n" not in str(found.value)


STREAMS: tuple[Op, ...] = ("relu", "batchnorm")
SMALL: dict[str, Any] = FAST | {"buffers": {"size_kib": 2.0}}
LARGE: dict[str, Any] = FAST | {"buffers": {"size_kib": 128.0}}
BEYOND = 64 * 256 * 2 - 8192
"""Bits of 64 channels on 16 x 16 images that half of 2 KiB does not hold."""


@pytest.mark.parametrize("placement", ["cim", "digital"])
def test_activations_beyond_the_buffer_are_moved_off_the_chip(placement: Any) -> None:
    """Weights of the digital unit take room from both halves."""
    node = conv(in_shape=(64, 16, 16), out_shape=(3, 16, 16), placement=placement)
    weights = 64 * 9 * 3 * 2 if placement == "digital" else 0
    beyond = BEYOND + weights / 2
    small, large = (estimate(node, hardware(system=s)) for s in (SMALL, LARGE))
    assert small.components["off_chip"] == pytest.approx(2 * beyond * 3.0)
    assert large.components["off_chip"] == 0
    slow = SMALL | {"off_chip": {"bandwidth_gbps": 0.01}}
    assert estimate(node, hardware(system=slow)).latency_ns == pytest.approx(2 * beyond / 0.01)


def test_digital_weights_beyond_half_the_buffer_are_read_at_every_inference() -> None:
    """32768 bits of weights, of which half of 2 KiB, 8192, stay; none are free."""
    shape: dict[str, Any] = {"in_shape": (128, 1, 1), "out_shape": (128, 1, 1), "kernel": (1, 1)}
    nodes = [conv(name, placement="digital", **shape) for name in ("a", "b")]
    network = Blueprint((128, 1, 1), 128, tuple(nodes))
    small = estimate(network, hardware(system=SMALL))
    loaded = 2 * 128 * 128 * 2 - 8192
    assert small.components["off_chip"] == pytest.approx(loaded * 3.0)
    slow = SMALL | {"off_chip": {"bandwidth_gbps": 0.01}}
    assert estimate(network, hardware(system=slow)).latency_ns == pytest.approx(loaded / 0.01)
    assert estimate(network, hardware(system=LARGE)).components["off_chip"] == 0


def test_what_fits_half_the_buffer_stays() -> None:
    """8192 bits are 16 channels of 16 x 16 values of 2 bits, however many come out."""
    on = hardware(system=SMALL)
    fits = conv(in_shape=(16, 16, 16), out_shape=(40, 16, 16))
    assert estimate(fits, on).components["off_chip"] == 0
    spills = conv(in_shape=(17, 16, 16), out_shape=(3, 16, 16))
    assert estimate(spills, on).components["off_chip"] == pytest.approx(2 * 512 * 3.0)


def test_pooling_and_additions_spill_words_and_streams_spill_nothing() -> None:
    on, shape, values = hardware(system=SMALL), (4, 16, 16), 4 * 256
    beyond = values * 16 - 8192
    pool = Node("pool", "maxpool", ("input",), shape, (4, 8, 8), kernel=(2, 2), stride=(2, 2))
    two, three = (
        Node("add", "add", ("input", "b", "c")[:count], shape, shape) for count in (2, 3)
    )
    streams = (Node("n", op, ("input",), shape, shape) for op in STREAMS)
    for node, bits in (
        (pool, beyond),
        # An addition keeps all inputs but the first.
        (two, beyond),
        (three, beyond + values * 16),
        *((node, 0) for node in streams),
    ):
        found = estimate(node, on).components["off_chip"]
        assert found == pytest.approx(2 * bits * 3.0), node.op


def test_weights_and_activations_come_off_the_chip_in_one_component() -> None:
    node = conv(in_shape=(64, 16, 16), out_shape=(3, 16, 16))
    both, alone = (
        estimate(node, hardware(system=SMALL | {"macros": macros})).components["off_chip"]
        for macros in (1, 1000)
    )
    weights = 64 * 9 * 3
    assert both - alone == pytest.approx(weights * 2 * 3.0 + weights * 2 * 0.5)


def filled(macros: int, **system: Any) -> CostReport:
    on = hardware(system=FAST | {"macros": macros, "duplicates": "fill"} | system)
    return estimate(Blueprint((2, 4, 4), 3, (conv(),)), on)


@pytest.mark.parametrize(("macros", "copies"), [(3, 1), (6, 2), (8, 2), (12, 4), (16, 4)])
def test_programming_writes_every_copy(macros: int, copies: int) -> None:
    """54 weights of two cells at 0.5 pJ. 5 copies of 16 vectors would take 4 steps, as 4 do."""
    report = filled(macros)
    assert report.layers[0].copies == copies
    assert report.programming_pj == pytest.approx(54 * 2 * 0.5 * copies)
    assert report.latency_ns == pytest.approx(1024 / copies)
    assert report.macros == report.layers[0].arrays == 3
    assert report.area_um2 == filled(macros, duplicates="none").area_um2


def test_choosing_among_copies_costs_a_selection_for_every_doubling() -> None:
    """A selection switches like 1.5 NAND; 3 copies take two levels, as 4 do."""
    one, *more = (filled(macros).components["interconnect"] for macros in (3, 6, 9, 12, 18))
    selection = TO_MACROS * 1.5 * 1.0 * 1.0**2 * 0.5 * FJ
    assert [each - one for each in more] == pytest.approx([n * selection for n in (1, 2, 2, 3)])


def pooling(op: Op, kernel: tuple[int, int], stride: tuple[int, int], side: int) -> Node:
    return Node("pool", op, ("input",), (4, 8, 8), (4, side, side), kernel=kernel, stride=stride)


@pytest.mark.parametrize(
    "node",
    [
        pooling("maxpool", (2, 2), (2, 2), 4),
        pooling("avgpool", (8, 8), (8, 8), 1),
        pooling("maxpool", (2, 2), (3, 3), 3),
    ],
)
@pytest.mark.parametrize("execution", ["layer_by_layer", "pipelined"])
def test_pooling_in_the_stream_stores_nothing(node: Node, execution: str) -> None:
    """It keeps each value in a register; stored, words are written once and read in windows."""
    stored, in_stream = (
        estimate(node, hardware(system={"execution": execution, "digital": {"pooling": how}}))
        for how in ("stored", "in_stream")
    )
    words = 4 * 8 * 8 * 16, 4 * node.out_shape[1] ** 2 * node.kernel[0] ** 2 * 16
    buffers = (words[0] * 0.5 + words[1]) * 0.02
    assert stored.components["buffers"] == pytest.approx(buffers)
    assert stored.components["interconnect"] == pytest.approx(sum(words) * 2 * 50 * FJ)
    assert in_stream.components["buffers"] == in_stream.components["interconnect"] == 0
    more = in_stream.components["digital"] - stored.components["digital"]
    values, others = 4 * node.out_shape[1] ** 2, node.kernel[0] ** 2 - 1
    assert more == pytest.approx(values * others * REGISTER_CAPS * 16 * 0.5 * FJ)
    assert in_stream.latency_ns <= stored.latency_ns


@pytest.mark.parametrize("op", ["maxpool", "avgpool"])
def test_windows_that_overlap_are_pooled_from_the_buffer_all_the_same(op: Op) -> None:
    node = pooling(op, (3, 3), (2, 2), 3)
    stored, in_stream = (
        estimate(node, hardware(system={"digital": {"pooling": how}}))
        for how in ("stored", "in_stream")
    )
    assert in_stream == stored


def test_the_usual_pooling_leaves_the_hash_as_it_was() -> None:
    usual = hardware()
    assert "pooling" not in usual.model_dump()["system"]["digital"]
    assert hardware(system={"digital": {"pooling": "stored"}}).hash == usual.hash
    assert hardware(system={"digital": {"pooling": "in_stream"}}).hash != usual.hash
    assert Hardware.model_validate_json(usual.model_dump_json()) == usual
