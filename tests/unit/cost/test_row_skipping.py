"""Row groups without weights against prices computed by hand, on the layer of ``conv``.

It has 18 rows in 3 tiles of 8, 8 and 2 rows and 5 row groups of 4, 4, 4, 4 and 2 rows; 6 columns,
16 vectors, 2 planes.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import estimate, estimate_table, fidelity
from cimsearch.cost.area import array_um2
from cimsearch.cost.layer_integers import row_groups
from cimsearch.cost.row_skipping import skipped_in_tiles
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.spec.hardware import Hardware
from cimsearch.units import millionths

from .explaining import check_arithmetic, explained_layers
from .tiny import DIGITAL, conv, hardware

FJ = 1e-3
GATE_FJ = 1.0 * 0.5**2 * 2.0
PASSES = 16 * 2
SKIPS: dict[str, Any] = {"array": {"row_group_skipping": True}}
DIGITAL_SKIPS = DIGITAL | SKIPS
FAST: dict[str, Any] = {"digital": {"clock_mhz": 1e6}}
HALF = conv(row_sparsity=0.5)


def counts(node: Node, on: Hardware) -> dict[str, float]:
    mapping = estimate_table(layer_table([Blueprint((2, 4, 4), 3, (node,))]), on).mapping
    names = (
        *("row_groups", "serial_row_groups", "read_rows", "array_calls", "driven_rows"),
        *("conversions", "rows", "arrays", "used_cells", "tile_adds"),
    )
    return {name: float(getattr(mapping, name)[0, 0]) for name in names}


def test_the_counts_of_half_of_the_row_groups() -> None:
    """Two of five: of the tiles with 2, 2, 1 row groups the first two have one each to skip."""
    assert skipped_in_tiles((2, 2, 1), millionths(0.5)) == (1, 1, 0)
    dense, half = counts(conv(), hardware(**SKIPS)), counts(HALF, hardware(**SKIPS))
    assert (dense["row_groups"], half["row_groups"]) == (5, 3)
    assert (dense["serial_row_groups"], half["serial_row_groups"]) == (2, 1)
    assert half["read_rows"] == 18 - 2 * 4
    assert half["array_calls"] == PASSES * 3
    assert half["driven_rows"] == PASSES * 10
    assert half["conversions"] == PASSES * 3 * 3 * 2
    for stays in ("rows", "arrays", "used_cells", "tile_adds"):
        assert half[stays] == dense[stays]


def test_the_price_of_half_of_the_row_groups() -> None:
    on = hardware(**SKIPS)
    dense, half = (estimate(node, on).components for node in (conv(), HALF))
    assert half["adc"] == pytest.approx(3 / 5 * dense["adc"])
    calls, rows = PASSES * 2, PASSES * 2 * 4
    bitlines = calls * 8 * 8 * 1.0 * 0.5**2
    cells = rows * 6 * 8.0 * 0.5**2 * 0.5 * 0.5
    assert dense["cells"] - half["cells"] == pytest.approx((bitlines + cells) * FJ)
    lines, register = rows * 8 * 2.0 * 1.0 * 0.5, calls * 2 * 3.0 * GATE_FJ
    assert dense["drivers"] - half["drivers"] == pytest.approx((lines + register) * FJ)
    accumulated = calls * 3 * (4 * 6 + 7 * 9) * GATE_FJ * FJ
    # 2 lines of 3 bits: 3 + 2 x 0.5 full adders; 3 + 2 + 2 bits of an accumulator.
    assert dense["shift_add"] - half["shift_add"] == pytest.approx(accumulated)
    for same in ("buffers", "interconnect", "digital", "off_chip"):
        assert half[same] == dense[same]


def test_inputs_of_rows_that_are_not_read_are_not_summed() -> None:
    """Offset encoding takes the sum of 10 inputs off each output, instead of 18."""
    node = conv(encoding="offset", row_sparsity=0.5)
    on = hardware(**SKIPS)
    sums = [
        estimate_table(layer_table([Blueprint((2, 4, 4), 3, (each,))]), on).mapping.input_sums
        for each in (replace(node, row_sparsity=0.0), node)
    ]
    assert [float(each[0, 0]) for each in sums] == [16 * 18, 16 * 10]


def test_the_time_of_half_of_the_row_groups() -> None:
    on = hardware(**SKIPS, system=FAST)
    dense, half = (estimate(node, on).latency_ns for node in (conv(), HALF))
    assert half == pytest.approx(dense / 2)


def test_a_register_of_the_row_groups_is_paid_by_dense_layers_too() -> None:
    """Two bits an array, read at every call."""
    plain, skips = hardware(), hardware(**SKIPS)
    added = array_um2(skips.macro) - array_um2(plain.macro)
    assert added == pytest.approx(2 * 6.0 * 1.0)
    a, b = (estimate(conv(), each).components for each in (plain, skips))
    assert b["drivers"] - a["drivers"] == pytest.approx(PASSES * 5 * 2 * 3.0 * GATE_FJ * FJ)
    assert {n for n in a if a[n] != b[n]} == {"drivers", "control", "leakage"}


def test_a_macro_that_cannot_skip_refuses_by_name() -> None:
    with pytest.raises(HardwareError, match=r"conv: row sparsity: found 0\.5; allowed is 0, as"):
        estimate(HALF, hardware())
    with pytest.raises(HardwareError, match="found 1; allowed is 0 to below 1 on tiny"):
        estimate(conv(row_sparsity=1.0), hardware(**SKIPS))


def test_what_cannot_skip_has_the_hash_of_before() -> None:
    plain = hardware()
    assert "row_group_skipping" not in plain.model_dump_json()
    again = Hardware.model_validate_json(hardware(**SKIPS).model_dump_json())
    assert again.macro.array.row_group_skipping
    assert again.hash != plain.hash
    blueprint = Blueprint((2, 4, 4), 3, (conv(),))
    assert "row_sparsity" not in blueprint.to_json()
    half = replace(blueprint, nodes=(HALF,))
    assert Blueprint.from_json(half.to_json()) == half
    assert half.hash != blueprint.hash


def test_the_register_of_a_digital_macro_and_of_gated_trees() -> None:
    for changes in ({}, {"gating": ["rows"]}, {"gating": ["columns"]}):
        on = hardware(**DIGITAL, array={"row_group_skipping": True} | changes)
        dense, half = (estimate(node, on).components for node in (conv(), HALF))
        if not changes:
            assert half["adder_tree"] == pytest.approx(3 / 5 * dense["adder_tree"])
        for less in ("cells", "drivers", "adder_tree", "shift_add"):
            assert half[less] < dense[less]


SHARES = st.sampled_from([0.0, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.6, 0.75, 0.9, 0.99])
NODES = st.builds(
    lambda kernel, channels, outputs, groups: conv(
        in_shape=(channels * groups, 4, 4),
        out_shape=(outputs * groups, 4, 4),
        kernel=(kernel, kernel),
        groups=groups,
    ),
    st.sampled_from([1, 3]),
    st.integers(1, 12),
    st.integers(1, 4),
    st.sampled_from([1, 2]),
)
MACROS = st.builds(
    lambda rows, active, packing, digital: hardware(
        **(DIGITAL if digital else {}),
        array={"rows": rows, "active_rows": min(active, rows), "row_group_skipping": True},
        packing=packing,
    ),
    st.sampled_from([8, 12, 16, 20]),
    st.sampled_from([2, 3, 4, 8, 20]),
    st.sampled_from(["dense", "whole_kernel"]),
    st.booleans(),
)


def skipped_by_hand(node: Node, on: Hardware, rows: int, tile: int) -> tuple[list[int], int]:
    """Return the row groups that each tile keeps, and the rows of all of them: one by one."""
    active = on.macro.array.active_rows
    tiles: dict[int, list[int]] = {}
    for start, stop in row_groups(rows, tile, active):
        tiles.setdefault(start // tile, []).append(stop - start)
    counts = skipped_in_tiles([len(sizes) for sizes in tiles.values()], node.row_sparsity_ppm)
    kept = [sorted(sizes)[n:] for n, sizes in zip(counts, tiles.values(), strict=True)]
    return [len(sizes) for sizes in kept], sum(map(sum, kept))


@given(NODES, MACROS, SHARES)
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_row_groups_one_by_one(node: Node, on: Hardware, share: float) -> None:
    node = replace(node, row_sparsity=share)
    mapping = estimate_table(layer_table([Blueprint((2, 4, 4), 3, (node,))]), on).mapping
    rows, tile = (int(getattr(mapping, name)[0, 0]) for name in ("rows", "tile_rows"))
    kept, read = skipped_by_hand(node, on, rows, tile)
    assert mapping.row_groups[0, 0] == sum(kept)
    assert mapping.serial_row_groups[0, 0] == max(kept)
    assert mapping.read_rows[0, 0] == read
    sizes = mapping.row_group_sizes(on.macro.array.active_rows)
    assert all((count >= 0).all() for _, count in sizes)
    assert sum(count[0, 0] for _, count in sizes) == sum(kept)
    assert sum((size * count)[0, 0] for size, count in sizes) == read
    assert mapping.skipped_row_groups[0, 0] + sum(kept) == len(
        row_groups(rows, tile, on.macro.array.active_rows)
    )


@given(NODES, MACROS, SHARES, SHARES)
@settings(max_examples=60, deadline=None)
def test_more_sparsity_never_costs_more(
    node: Node, on: Hardware, share: float, other: float
) -> None:
    less, more = sorted((share, other))
    before, after = (estimate(replace(node, row_sparsity=s), on) for s in (less, more))
    assert after.energy_pj <= before.energy_pj * (1 + 1e-12)
    assert after.latency_ns <= before.latency_ns * (1 + 1e-12)
    assert (after.area_um2, after.macros) == (before.area_um2, before.macros)


@pytest.mark.parametrize("macro", ["analog", "digital", "gated", "column"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_explained_terms_are_the_price(macro: str, share: float) -> None:
    on = {
        "analog": hardware(**SKIPS),
        "digital": hardware(**DIGITAL_SKIPS),
        "gated": hardware(
            **DIGITAL, array={"row_group_skipping": True, "gating": ["rows", "columns"]}
        ),
        "column": hardware(array={"row_group_skipping": True}, packing="whole_kernel"),
    }[macro]
    policy = "column" if macro == "column" else ""
    encoding = "offset" if macro != "digital" else ""
    node = conv(row_sparsity=share, range_policy=policy, encoding=encoding)
    node = node if macro != "gated" else replace(node, encoding="")
    for found in explained_layers(Blueprint((2, 4, 4), 3, (node,)), on):
        check_arithmetic(found)


@pytest.mark.parametrize("macro", ["analog", "digital"])
def test_torch_prices_are_those_of_numpy(macro: str) -> None:
    on = hardware(**SKIPS) if macro == "analog" else hardware(**DIGITAL_SKIPS)
    nodes = (HALF, conv("dense", in_shape=(3, 4, 4)))
    table = layer_table([Blueprint((2, 4, 4), 3, nodes)])
    tensors = table.map(lambda column: torch.tensor(column, dtype=torch.float64))
    for name in ("energy_pj", "latency_ns"):
        wanted, found = (getattr(estimate_table(each, on), name) for each in (table, tensors))
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("policy", ["full_scale", "layer", "column"])
def test_signal_to_noise_is_that_of_the_row_groups_that_are_read(policy: str) -> None:
    """16 channels are two tiles of two row groups, each of which keeps one."""
    on = hardware(**SKIPS, noise={"cell_sigma_frac": 0.05, "adc_sigma_frac": 0.02})
    whole = conv(in_shape=(16, 4, 4), kernel=(1, 1), row_sparsity=0.5, range_policy=policy)
    half = conv(in_shape=(8, 4, 4), kernel=(1, 1), range_policy=policy)
    (found,), (wanted,) = (fidelity(node, on) for node in (whole, half))
    assert found == wanted
