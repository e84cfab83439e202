"""Staircases: boundaries by hand on the tiny macro, savings against pricing both networks."""

import json
from dataclasses import asdict, replace
from math import inf
from typing import Any

import pytest
from click.testing import CliRunner

from cimsearch.blueprint import Blueprint, Node, Op
from cimsearch.cli import cli
from cimsearch.cost import estimate
from cimsearch.cost.changes import changed_table, changes_of
from cimsearch.cost.staircase import FREE_ENERGY_FRAC, Step, staircase
from cimsearch.layer_table import layer_table
from cimsearch.search.baselines import uniform_candidate
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import Hardware
from tests.unit.cost.tiny import conv, hardware

SHARED = {"adc": {"columns_per_adc": 4}}
"""Outputs of 2 columns: an array of 8 columns holds 4 of them, a converter serves 2."""


def network(first: int, second: int) -> Blueprint:
    """Return two 1 x 1 convolutions with a residual addition, of the given widths."""

    def same(name: str, op: Op, *inputs: str, width: int) -> Node:
        return replace(
            conv(name, in_shape=(width, 4, 4), out_shape=(width, 4, 4), kernel=(1, 1)),
            op=op,
            inputs=inputs,
            placement="",
            w_bits=0,
            x_bits=0,
        )

    a = conv("a", out_shape=(first, 4, 4), kernel=(1, 1), prune_group="first")
    b = conv("b", in_shape=(first, 4, 4), out_shape=(second, 4, 4), kernel=(1, 1))
    c = conv("c", in_shape=(first, 4, 4), out_shape=(second, 4, 4), kernel=(1, 1))
    return Blueprint(
        (2, 4, 4),
        3,
        (
            a,
            same("norm", "batchnorm", "a", width=first),
            same("relu", "relu", "norm", width=first),
            replace(b, inputs=("relu",), prune_group="second"),
            replace(c, inputs=("relu",), prune_group="second"),
            same("add", "add", "b", "c", width=second),
            Node("flat", "flatten", ("add",), (second, 4, 4), (16 * second, 1, 1)),
            Node(
                "classifier",
                "linear",
                ("flat",),
                (16 * second, 1, 1),
                (3, 1, 1),
                placement="digital",
                w_bits=8,
                x_bits=8,
            ),
        ),
    )


def widths(steps: tuple[Step, ...], where: str) -> dict[int, set[str]]:
    return {s.after: set(s.crosses) for s in steps if s.where == where and s.kind == "width"}


@pytest.mark.parametrize("array", [{}, {"gating": ["columns"]}])
def test_boundaries_by_hand(array: dict[str, Any]) -> None:
    found = widths(staircase(network(4, 4), hardware(**SHARED, array=array)).steps, "first")
    # 4 outputs fill an array and 4 rows a row group: one more starts the next of both.
    assert found[5] == {"column tile", "row group", "macro"}
    # 8 rows fill an array of the readers.
    assert found[9] == {"column tile", "row group", "row tile", "macro"}
    # Converters sweep all columns, so fewer outputs free none of them.
    assert set(found) == {5, 9}


def test_bits_stand_first_and_the_greatest_saving_before_all() -> None:
    found = staircase(network(6, 6), hardware(**SHARED))
    free = [step for step in found.steps if step.worth == inf]
    assert found.steps[: len(free)] == tuple(free)
    savings = [step.energy_saved_pj for step in free]
    assert savings == sorted(savings, reverse=True)
    assert savings[0] > savings[-1] > 0
    assert {step.weights_lost_frac for step in free} == {0.0}
    paid = [step for step in found.steps if 0 < step.worth < inf]
    assert {step.kind for step in paid} == {"width"}


MANY = {"layers_per_array": "many"}
COPIES = {"macros": 40, "duplicates": "fill", "digital": {"lanes": 256}}
SYSTEMS: tuple[dict[str, Any], ...] = (
    {"macros": 4},
    MANY,
    {"execution": "pipelined", "digital": {"lanes": 256}},
    COPIES,
    COPIES | {"execution": "pipelined"},
    COPIES | MANY,
    # Fits now, and with one output more no longer.
    COPIES | {"execution": "pipelined", "macros": 7},
)


@pytest.mark.parametrize(
    "on", [hardware(**SHARED), *(hardware(system=system) for system in SYSTEMS)]
)
def test_a_saving_is_the_difference_of_two_prices(on: Hardware) -> None:
    now = network(6, 5)
    found = staircase(now, on)
    before = estimate(now, on)
    told = [step for step in (*found.steps, *found.free) if step.kind == "width"]
    assert {step.where for step in told} == {"first", "second"}
    for step in told:
        changed = network(step.after, 5) if step.where == "first" else network(6, step.after)
        after = estimate(changed, on)
        assert step.energy_saved_pj == pytest.approx(before.energy_pj - after.energy_pj)
        assert step.latency_saved_ns == pytest.approx(before.latency_ns - after.latency_ns)
        assert step.interval_saved_ns == pytest.approx(before.interval_ns - after.interval_ns)
        assert step.area_saved_um2 == pytest.approx(before.area_um2 - after.area_um2)
        assert step.arrays_saved == before.macros - after.macros
        assert step.weights_lost_frac == pytest.approx(1 - changed.weights / now.weights)
        assert step.energy_saved_frac == pytest.approx(1 - after.energy_pj / before.energy_pj)
        copies = [[layer.copies for layer in report.layers] for report in (before, after)]
        assert ("copies" in step.crosses) == (copies[0] != copies[1])
        assert ("macro" in step.crosses) == (before.macros != after.macros)


def test_every_row_is_the_network_built_that_way() -> None:
    now, on = network(6, 5), hardware()
    changes = changes_of(now, on)
    table = changed_table(now, changes)
    for row, change in enumerate(changes, start=1):
        if change.kind != "width":
            continue
        pair = (change.after, 5) if change.where == "first" else (6, change.after)
        built = layer_table([network(*pair)])
        for name in ("in_channels", "out_channels", "groups", "kernel_width", "w_bits"):
            assert (getattr(table, name)[row] == getattr(built, name)[0]).all()


def test_bits_go_to_the_next_settings_of_the_chip() -> None:
    now, on = network(4, 4), hardware()
    steps = [s for s in staircase(now, on).steps if s.where == "b" and s.kind != "width"]
    # 2 bits down to 1 would store no sign; the converter's own setting is 3 bits.
    assert {(s.kind, s.before, s.after) for s in steps} == {
        ("weight_bits", 2, 3),
        ("activation_bits", 2, 1),
        ("activation_bits", 2, 3),
        ("adc_bits", 3, 2),
        ("adc_bits", 3, 4),
    }
    by_kind = {(s.kind, s.after): s for s in steps}
    assert "weight slice" in by_kind["weight_bits", 3].crosses
    assert by_kind["activation_bits", 1].crosses == ("input plane",)
    index = next(i for i, node in enumerate(now.nodes) if node.name == "b")
    less = list(now.nodes)
    less[index] = replace(less[index], x_bits=1)
    price = estimate(now, on).energy_pj - estimate(replace(now, nodes=tuple(less)), on).energy_pj
    assert by_kind["activation_bits", 1].energy_saved_pj == pytest.approx(price)


def test_steps_are_sorted_and_free_gains_are_free() -> None:
    gap = {"values": [2, 8], "follows": "columns"}
    asked = network(3, 3)
    asked = replace(
        asked, nodes=tuple(replace(n, w_bits=3) if n.name == "b" else n for n in asked.nodes)
    )
    found = staircase(asked, hardware(configurable={"weight_bits": gap}))
    worths = [(step.worth, step.energy_saved_pj) for step in found.steps]
    assert worths == sorted(worths, reverse=True)
    for step in found.steps:
        if not step.weights_lost_frac:
            assert step.worth in (inf, -inf, 0.0)
        elif step.energy_saved_pj > 0 < step.weights_lost_frac:
            assert step.worth == step.energy_saved_frac / step.weights_lost_frac
    # The chip stores 3 bits as 8 already.
    free = next(step for step in found.free if step.where == "b" and step.kind == "weight_bits")
    assert (free.before, free.after) == (3, 8)
    for step in found.free:
        assert step.after > step.before
        assert not step.crosses
        assert -step.energy_saved_frac <= FREE_ENERGY_FRAC


def test_fitting_the_chip_is_a_boundary() -> None:
    on = hardware(system={"macros": 3})
    assert estimate(network(4, 4), on).macros == 3
    up = next(s for s in staircase(network(4, 4), on).steps if s.where == "first" and s.after == 5)
    assert "chip" in up.crosses
    assert up.arrays_saved == -1
    assert up.area_saved_um2 == 0


def test_copies_are_a_boundary() -> None:
    on = hardware(system=COPIES)
    assert max(layer.copies for layer in estimate(network(4, 4), on).layers) > 1
    found = staircase(network(4, 4), on)
    up = next(s for s in found.steps if s.where == "first" and s.after == 5)
    # One more array of each layer, so fewer copies of them in the same chip.
    assert {"macro", "copies"} <= set(up.crosses)
    assert up.area_saved_um2 == 0
    assert not any("copies" in step.crosses for step in found.free)


def test_a_tile_in_a_shared_array_frees_none() -> None:
    alone, shared = (staircase(network(6, 1), hardware(system=system)) for system in ({}, MANY))
    narrower = [
        next(s for s in found.steps if s.where == "first" and s.after == 4)
        for found in (alone, shared)
    ]
    # Without the second tile of the first layer its readers have the shared array to themselves.
    assert all("column tile" in step.crosses for step in narrower)
    assert [step.arrays_saved for step in narrower] == [1, 0]


def test_widths_that_a_table_of_calls_does_not_tell_have_no_price() -> None:
    points = [
        {"bits": bits, "rows": rows, "activity_frac": 0.5, "energy_pj": rows, "delay_ns": bits}
        for bits in (1, 5)
        for rows in (2, 4)
    ]
    table = {"components": ["cells", "adc"], "density_frac": 0.5, "points": points}
    on = hardware(array_call=table, configurable={})
    found = staircase(network(4, 4), on)
    told = {s.after for s in (*found.steps, *found.free) if s.where == "first"}
    assert told
    # A reader's last row group is of after mod 4 rows: one row is not in the table.
    assert not {after for after in told if after % 4 == 1}


def test_a_depthwise_convolution_follows_its_input() -> None:
    wide = conv("d", in_shape=(4, 4, 4), out_shape=(4, 4, 4), groups=4)
    first = conv("a", out_shape=(4, 4, 4), kernel=(1, 1), prune_group="g")
    now = Blueprint((2, 4, 4), 1, (first, replace(wide, inputs=("a",))))
    changes = changes_of(now, hardware())
    table = changed_table(now, changes)
    row = next(i for i, c in enumerate(changes, start=1) if c.kind == "width" and c.after == 7)
    columns = (table.in_channels, table.out_channels, table.groups)
    assert [int(column[row, 1]) for column in columns] == [7, 7, 7]
    assert {c.where for c in changes if c.kind == "width"} == {"g"}


def test_the_verb_prints_what_the_function_returns() -> None:
    arguments = ["steps", "vgg_tiny", "--hardware", "macros/wan_nature_2022"]
    told = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
    machine = load_hardware("macros/wan_nature_2022")
    network = uniform_candidate(Space(load_space_spec("vgg_tiny")), machine, 8).blueprint
    found = staircase(network, machine)
    assert json.loads(told.stdout) == json.loads(json.dumps(asdict(found)))
    table = CliRunner().invoke(cli, [*arguments, "--top", "2"], catch_exceptions=False).stdout
    savings = sum(step.energy_saved_pj > 0 for step in found.steps)
    assert f"(2 of {savings})" in table
    header = table.splitlines()[3]
    for column in ("energy saved", "latency saved", "area saved", "arrays saved", "weights lost"):
        assert column in header
    assert "interval" not in header
    assert "(0 of 0)" not in table
    assert f"{found.steps[0].kind} {found.steps[0].before} -> {found.steps[0].after}" in table
