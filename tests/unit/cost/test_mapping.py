"""The integers of the mapping: by hand, against loops, and grouped convolutions."""

from typing import Any

import pytest

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost.demand import demand_of
from cimsearch.cost.layer_integers import (
    columns_of_output,
    full_scale,
    input_planes,
    row_groups,
    weight_slices,
)
from cimsearch.cost.map_table import map_table
from cimsearch.cost.mapping import Mapping
from cimsearch.layer_table import layer_table
from cimsearch.spec.hardware import Hardware

from .tiny import DIGITAL, conv, hardware


def mapped(node: Node, on: Hardware) -> Mapping:
    table = layer_table([Blueprint(node.in_shape, node.out_shape[0], (node,))])
    return map_table(table, demand_of(table, on, lambda _n, _i: node.name), on.macro)


def integers(mapping: Mapping, *names: str) -> dict[str, int]:
    return {name: int(getattr(mapping, name)[0, 0]) for name in names}


def test_row_groups_stop_at_tiles() -> None:
    assert row_groups(18, 8, 4) == [(0, 4), (4, 8), (8, 12), (12, 16), (16, 18)]
    assert row_groups(18, 8, 3) == [(0, 3), (3, 6), (6, 8), (8, 11), (11, 14), (14, 16), (16, 18)]
    assert row_groups(3, 8, 8) == [(0, 3)]


def test_planes_and_slices() -> None:
    assert [input_planes(bits, 1) for bits in (1, 2, 8)] == [1, 2, 8]
    assert [input_planes(bits, 3) for bits in (1, 3, 8)] == [1, 1, 3]
    assert weight_slices(8, 1, "offset") == 8
    assert weight_slices(8, 3, "offset") == 3
    assert weight_slices(8, 1, "twos_complement") == 8
    assert weight_slices(8, 1, "differential") == 7
    assert weight_slices(8, 3, "differential_digital") == 3
    assert columns_of_output(8, 3, "differential") == 6
    assert columns_of_output(8, 1, "offset") == 8


def test_full_scale() -> None:
    assert full_scale(64, 1, 1, signed=False) == 64
    assert full_scale(128, 8, 3, signed=True) == 128 * 255 * 7 * 2


def test_convolution_by_hand() -> None:
    # 18 rows in tiles of 8 with 4 active: 2 + 2 + 1 row groups. Two columns a weight: 4 outputs an
    # array, so 3 outputs need one column tile and 6 of 8 columns.
    mapping = mapped(conv(), hardware())
    assert integers(
        mapping,
        *("rows", "outputs", "vectors", "planes", "slices", "columns", "row_tiles"),
        *("column_tiles", "row_groups", "arrays", "array_calls", "driven_rows", "conversions"),
        *("swept_conversions", "shift_adds", "scale_multiplies", "tile_adds", "input_sums"),
        *("corrections", "serial_calls", "used_cells", "cells"),
    ) == {
        "rows": 18,
        "outputs": 3,
        "vectors": 16,
        "planes": 2,
        "slices": 2,
        "columns": 6,
        "row_tiles": 3,
        "column_tiles": 1,
        "row_groups": 5,
        "arrays": 3,
        "array_calls": 16 * 2 * 5,
        "driven_rows": 16 * 2 * 18,
        "conversions": 16 * 2 * 5 * 6,
        "swept_conversions": 16 * 2 * 5 * 8,
        "shift_adds": 16 * 2 * 5 * 6,
        "scale_multiplies": 0,
        "tile_adds": 16 * 3 * 2,
        "input_sums": 0,
        "corrections": 0,
        "serial_calls": 16 * 2 * 2,
        "used_cells": 18 * 6,
        "cells": 3 * 64,
    }
    assert mapping.utilization[0, 0] == 108 / 192


@pytest.mark.parametrize(
    ("encoding", "columns", "conversions", "input_sums"),
    [
        ("offset", 9, 9, 16 * 18),
        ("twos_complement", 9, 9, 0),
        ("differential", 12, 6, 0),
        ("differential_digital", 12, 12, 0),
    ],
)
def test_encodings(encoding: str, columns: int, conversions: int, input_sums: int) -> None:
    found = mapped(conv(w_bits=3, encoding=encoding), hardware(array={"cols": 16}))
    assert integers(found, "columns", "conversions", "input_sums", "corrections") == {
        "columns": columns,
        "conversions": 16 * 2 * 5 * conversions,
        "input_sums": input_sums,
        "corrections": 16 * 3 if input_sums else 0,
    }


def test_shared_converter_sweeps_idle_columns() -> None:
    # Four columns an ADC: 6 used columns keep two ADCs busy for 8 conversions.
    found = mapped(conv(), hardware(adc={"columns_per_adc": 4}))
    assert integers(found, "conversions", "swept_conversions") == {
        "conversions": 16 * 2 * 5 * 6,
        "swept_conversions": 16 * 2 * 5 * 8,
    }
    # A differential pair is one line: 3 pairs on ADCs of two pairs sweep 4.
    paired = mapped(conv(encoding="differential"), hardware(adc={"columns_per_adc": 4}))
    assert int(paired.swept_conversions[0, 0]) == 16 * 2 * 5 * 4


def test_columns_of_a_weight_stay_in_one_array() -> None:
    # Three columns a weight: two outputs in eight columns, so three outputs take two tiles.
    found = mapped(conv(w_bits=3), hardware())
    assert integers(found, "columns", "column_tiles", "arrays", "driven_rows") == {
        "columns": 9,
        "column_tiles": 2,
        "arrays": 6,
        "driven_rows": 16 * 2 * 18 * 2,
    }


@pytest.mark.parametrize(
    ("policy", "multiplies"), [("full_scale", 0), ("layer", 16 * 3), ("column", 16 * 5 * 6)]
)
def test_scale_multiplies(policy: str, multiplies: int) -> None:
    found = mapped(conv(range_policy=policy), hardware())
    assert int(found.scale_multiplies[0, 0]) == multiplies


def test_depthwise_lies_on_the_diagonal() -> None:
    # Nine rows and two columns a group: two groups in an array of 18 x 8, driven in turn.
    node = conv(in_shape=(4, 4, 4), out_shape=(4, 4, 4), groups=4)
    found = mapped(node, hardware(array={"rows": 18, "active_rows": 9}))
    names = ("rows", "outputs", "diagonal", "arrays", "array_calls", "serial_calls", "used_cells")
    assert integers(found, *names) == {
        "rows": 9,
        "outputs": 1,
        "diagonal": 2,
        "arrays": 2,
        "array_calls": 16 * 2 * 4,
        "serial_calls": 16 * 2 * 2,
        "used_cells": 9 * 2 * 4,
    }
    assert found.utilization[0, 0] == 72 / (2 * 18 * 8)


DEPTHWISE: dict[str, Any] = {"in_shape": (7, 4, 4), "out_shape": (7, 4, 4), "groups": 7}
TURNS = ("diagonal", "abreast", "serial_turns", "turns", "array_calls", "conversions")
RESISTIVE: dict[str, Any] = {
    "device": "rram",
    "compute_model": "resistive",
    "cell": {
        "kind": "resistive",
        "g_on_us": 10.0,
        "on_off_ratio": 20.0,
        "v_read_v": 0.2,
        "t_read_ns": 2.0,
    },
}


@pytest.mark.parametrize(
    ("active_rows", "changes", "expected"),
    [
        (36, {}, (4, 4, 1, 2)),
        (35, {}, (4, 3, 2, 3)),
        (18, {}, (4, 2, 2, 4)),
        (17, {}, (4, 1, 4, 7)),
        (36, RESISTIVE, (4, 1, 4, 7)),
    ],
)
def test_groups_are_driven_together_where_nothing_leaks(
    active_rows: int, changes: dict[str, Any], expected: tuple[int, ...]
) -> None:
    """7 groups of nine rows and two columns: 4 in an array of 36 x 8, and 3 in another."""
    on = hardware(array={"rows": 36, "active_rows": active_rows}, **changes)
    found = integers(mapped(conv(**DEPTHWISE), on), *TURNS)
    calls = {"array_calls": 16 * 2 * expected[-1], "conversions": 16 * 2 * 7 * 2}
    assert found == dict(zip(TURNS, expected, strict=False)) | calls


def test_groups_that_are_driven_together_are_swept_together() -> None:
    """4 columns a call in one sweep of 4 converters that have 2 columns each."""
    on = hardware(array={"rows": 36, "active_rows": 36})
    found = mapped(conv(**DEPTHWISE), on)
    assert integers(found, "swept_lines", "swept_conversions") == {
        "swept_lines": 2 * 8,
        "swept_conversions": 16 * 2 * 2 * 8,
    }
    gated = hardware(array={"rows": 36, "active_rows": 36, "gating": ["columns"]})
    assert integers(mapped(conv(**DEPTHWISE), gated), "swept_conversions") == {
        "swept_conversions": 16 * 2 * 7 * 2
    }


def test_bits_round_up_to_a_setting_of_the_chip() -> None:
    found = mapped(conv(w_bits=5, x_bits=5), hardware())
    assert integers(found, "slices", "planes") == {"slices": 6, "planes": 6}


def test_digital_nodes_are_not_mapped() -> None:
    found = mapped(conv(placement="digital"), hardware())
    assert not any(
        integers(found, "rows", "arrays", "array_calls", "used_cells", "cells").values()
    )
    assert found.utilization[0, 0] == 0


@pytest.mark.parametrize(
    ("shape", "on"),
    [
        ({"rows": 8, "active_rows": 3}, {}),
        ({"rows": 5, "cols": 16, "active_rows": 5, "cell_bits": 1}, {"dac_bits": 2}),
        ({"rows": 64, "cols": 12, "active_rows": 16}, {}),
    ],
)
@pytest.mark.parametrize("w_bits", [2, 3, 4])
@pytest.mark.parametrize("groups", [1, 2])
def test_counts_equal_a_walk_over_every_call(
    shape: dict[str, Any], on: dict[str, Any], w_bits: int, groups: int
) -> None:
    given = hardware(array=shape, input=on)
    node = conv(in_shape=(4, 3, 3), out_shape=(6, 3, 3), w_bits=w_bits, x_bits=3, groups=groups)
    array = given.macro.array
    fan_in, outputs = 9 * 4 // groups, 6 // groups
    per_array = array.cols // w_bits
    counts = dict.fromkeys(("array_calls", "driven_rows", "conversions"), 0)
    for _ in range(9 * groups):
        for _ in range(input_planes(3, given.macro.input.dac_bits)):
            for start, stop in row_groups(fan_in, array.rows, array.active_rows):
                for first in range(0, outputs, per_array):
                    counts["array_calls"] += 1
                    counts["driven_rows"] += stop - start
                    counts["conversions"] += min(per_array, outputs - first) * w_bits
    assert integers(mapped(node, given), *counts) == counts


def test_digital_macro_has_no_scales() -> None:
    found = mapped(conv(), hardware(**DIGITAL))
    assert integers(found, "conversions", "scale_multiplies") == {
        "conversions": 16 * 2 * 5 * 6,
        "scale_multiplies": 0,
    }
