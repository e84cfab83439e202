"""A look-up table of array calls: a full grid in any order, one error for each fault."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.cost.array_call import grids_of
from cimsearch.errors import SpecError
from cimsearch.spec.array_call import ArrayCall
from cimsearch.spec.document import Document, Position
from cimsearch.spec.validation import validate

Place = tuple[int, int, float]

PLACES: list[Place] = [(b, r, a) for b in (4, 5) for r in (64, 128) for a in (0.1, 0.5)]


def point(place: Place, **changes: Any) -> dict[str, Any]:
    bits, rows, activity = place
    priced = {"energy_pj": 1.0 + bits + rows * activity, "delay_ns": 2.0 * bits}
    return {"bits": bits, "rows": rows, "activity_frac": activity} | priced | changes


def table(points: list[dict[str, Any]], **changes: Any) -> ArrayCall:
    data = {"components": ["cells", "adc"], "density_frac": 0.5, "points": points}
    return validate(ArrayCall, _document(data | changes))


def _document(data: dict[str, Any]) -> Document:
    return Document(Path("m.yaml"), data, {(name,): Position("m.yaml", 1, 1) for name in data})


def fault(points: list[dict[str, Any]], **changes: Any) -> str:
    """Return the one line that says what is wrong."""
    with pytest.raises(SpecError) as caught:
        table(points, **changes)
    (line,) = caught.value.message.splitlines()
    return line.removeprefix("m.yaml:1:1: ")


FULL = [point(place) for place in PLACES]


def test_the_grids_hold_every_point() -> None:
    found = grids_of(table(FULL))
    assert [list(axis) for axis in found.axes] == [[4, 5], [64, 128], [0.1, 0.5]]
    assert found.energy_pj.shape == found.delay_ns.shape == (2, 2, 2)
    assert found.energy_pj[1, 0, 1] == 1 + 5 + 64 * 0.5
    assert found.delay_ns[1, 0, 1] == 10
    assert found.energy_pj.dtype == np.float64


@given(st.permutations(FULL))
def test_the_order_of_the_points_is_free(points: list[dict[str, Any]]) -> None:
    np.testing.assert_array_equal(
        grids_of(table(points)).energy_pj, grids_of(table(FULL)).energy_pj
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_axis_may_have_one_value(count: int) -> None:
    points = [point((4, 64 * n, 0.5)) for n in range(1, count + 1)]
    assert grids_of(table(points)).energy_pj.shape == (1, count, 1)


@pytest.mark.parametrize("hole", PLACES)
def test_a_hole_is_named(hole: Place) -> None:
    bits, rows, activity = hole
    assert fault([p for p in FULL if p != point(hole)]) == (
        f"points: missing the point bits {bits}, rows {rows}, activity_frac {activity}; a table "
        "has every combination of its bits 4, 5, rows 64, 128, activity_frac 0.1, 0.5"
    )


def test_the_first_of_many_holes_is_named() -> None:
    found = fault([point((4, 64, 0.1)), point((5, 128, 0.5))])
    assert found.startswith(
        "points: missing the point bits 4, rows 64, activity_frac 0.5; a table"
    )


def test_scattered_points_are_refused_at_once() -> None:
    found = fault([point((1 + n % 16, 1 + n, n / 999)) for n in range(999)])
    assert found.startswith("points: missing the point bits 1, rows 1, activity_frac ")


def test_a_repeated_point_is_named_whatever_its_values() -> None:
    twice = point((5, 64, 0.5), energy_pj=9.0)
    assert (
        fault([*FULL, twice]) == "points: found the point bits 5, rows 64, activity_frac 0.5 twice"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"energy_pj": 0.0}, "points.7.energy_pj: found 0.0; allowed is greater than 0"),
        ({"energy_pj": -1.0}, "points.7.energy_pj: found -1.0; allowed is greater than 0"),
        ({"delay_ns": 0}, "points.7.delay_ns: found 0; allowed is greater than 0"),
        ({"delay_ns": "8 ns"}, 'points.7.delay_ns: found "8 ns"; allowed is a valid number'),
        ({"bits": 0}, "points.7.bits: found 0; allowed is 1 to 16"),
        ({"bits": 17}, "points.7.bits: found 17; allowed is 1 to 16"),
        ({"bits": 4.5}, "points.7.bits: found 4.5; allowed is a valid integer"),
        ({"rows": 0}, "points.7.rows: found 0; allowed is greater than or equal to 1"),
        ({"activity_frac": 50}, "points.7.activity_frac: found 50; allowed is 0 to 1"),
        ({"delay": 1.0}, "points.7.delay: unknown field; did you mean delay_ns?"),
    ],
)
def test_each_fault_of_a_point_is_one_line(changes: dict[str, Any], expected: str) -> None:
    assert fault([*FULL[:-1], FULL[-1] | changes]).startswith(expected)


def test_a_point_without_its_delay_is_one_line() -> None:
    last = {name: value for name, value in FULL[-1].items() if name != "delay_ns"}
    assert fault([*FULL[:-1], last]) == "points.7.delay_ns: missing; this field is needed"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"components": []},
            "components: found none; allowed are cells, drivers, adc, adder_tree",
        ),
        ({"components": ["cells", "adc", "cells"]}, "components: found cells twice; allowed is"),
        ({"components": ["control"]}, "components.0: found \"control\"; allowed is 'cells', "),
        ({"density_frac": 1.5}, "density_frac: found 1.5; allowed is 0 to 1"),
    ],
)
def test_each_fault_of_the_table_is_one_line(changes: dict[str, Any], expected: str) -> None:
    assert fault(FULL, **changes).startswith(expected)


def test_no_points_are_one_line() -> None:
    assert fault([]) == "points: found none; needed are one or more"


def test_the_fault_of_the_only_point_is_one_line() -> None:
    assert fault([FULL[0] | {"rows": -1}]).startswith("points.0.rows: found -1; allowed is")
