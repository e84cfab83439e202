"""Looking up array calls: exact at points, linear between them, refused outside."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cimsearch.cost.array_call import call_delay_ns, call_pj, outside
from cimsearch.spec.array_call import ArrayCall, SimulatedCall

Floats = NDArray[np.float64]

HALF = np.array([[0.5]])
BITS, ROWS, ACTIVITY = (3, 5, 8), (16, 64, 100, 256), (0.05, 0.3, 0.31, 1.0)


def simulated(
    energy_pj: Callable[..., float],
    axes: Sequence[Sequence[Any]] = (BITS, ROWS, ACTIVITY),
    delay_ns: Callable[..., float] = lambda bits, *_: 2.0 * bits,
) -> ArrayCall:
    points = [
        SimulatedCall(
            bits=bits,
            rows=rows,
            activity_frac=activity,
            energy_pj=energy_pj(bits, rows, activity),
            delay_ns=delay_ns(bits, rows, activity),
        )
        for bits, rows, activity in product(*axes)
    ]
    return ArrayCall(components=("cells", "adc"), density_frac=0.5, points=tuple(points))


def curved(bits: float, rows: float, activity: float) -> float:
    return 0.02 * bits**3 + rows * (0.3 + activity) ** 2


def straight(bits: Any, rows: Any, activity: Any) -> Any:
    return 0.7 * bits + 0.02 * rows + 3.1 * activity + 0.4


def places(count: int = 400, seed: int = 3) -> tuple[Floats, Floats, Floats]:
    generator = np.random.default_rng(seed)
    bits, rows, activity = (
        generator.uniform(axis[0], axis[-1], (count // 8, 8)) for axis in (BITS, ROWS, ACTIVITY)
    )
    return bits, rows, activity


def test_a_point_is_exact() -> None:
    table = simulated(curved)
    at = np.array([(p.bits, p.rows, p.activity_frac) for p in table.points])
    bits, rows, activity = at.T[:, :, None]
    energies = call_pj(table, bits, rows, activity)
    delays = call_delay_ns(table, bits, rows, activity)
    assert energies[:, 0].tolist() == [point.energy_pj for point in table.points]
    assert delays[:, 0].tolist() == [point.delay_ns for point in table.points]


def test_a_straight_line_is_met() -> None:
    bits, rows, activity = places()
    found = call_pj(simulated(straight), bits, rows, activity)
    np.testing.assert_allclose(found, straight(bits, rows, activity), rtol=1e-13)


def test_a_product_of_lines_is_met() -> None:
    bits, rows, activity = places()
    found = call_pj(simulated(lambda b, r, a: b * r * (1 + a)), bits, rows, activity)
    np.testing.assert_allclose(found, bits * rows * (1 + activity), rtol=1e-13)


within = st.tuples(*(st.floats(axis[0], axis[-1]) for axis in (BITS, ROWS, ACTIVITY)))


@given(within, within, st.lists(st.floats(0.0, 50.0), min_size=48, max_size=48))
def test_rising_data_rises_between_its_points(
    here: tuple[float, ...], there: tuple[float, ...], steps: list[float]
) -> None:
    grid = np.reshape(steps, (3, 4, 4)).cumsum(0).cumsum(1).cumsum(2) + 1.0
    table = simulated(lambda b, r, a: float(grid[BITS.index(b), ROWS.index(r), ACTIVITY.index(a)]))
    low, high = (np.array(side(here, there)) for side in (np.minimum, np.maximum))
    lower, higher = (call_pj(table, *at.reshape(3, 1, 1)).item() for at in (low, high))
    assert lower <= higher * (1 + 1e-12)
    assert grid.min() * (1 - 1e-12) <= lower
    assert higher <= grid.max() * (1 + 1e-12)


def test_axes_of_one_value_are_held() -> None:
    table = simulated(curved, [(5,), ROWS, (0.3,)])
    bits, rows, activity = np.array([[5.0]]), np.array([[16.0, 40.0, 64.0]]), np.array([[0.3]])
    low, high = curved(5, 16, 0.3), curved(5, 64, 0.3)
    assert call_pj(table, bits, rows, activity).tolist() == [[low, (low + high) / 2, high]]
    alone = simulated(curved, [(5,), (64,), (0.3,)])
    assert call_pj(alone, bits, rows, activity).tolist() == [[high] * 3]
    assert call_delay_ns(alone, bits, rows, activity).tolist() == [[10.0] * 3]


def test_arrays_broadcast() -> None:
    bits, rows, activity = np.array([[4.0], [6.0]]), np.array([[20.0, 70.0, 90.0]]), HALF
    found = call_pj(simulated(straight), bits, rows, activity)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found, straight(bits, rows, activity), rtol=1e-13)


def test_a_batch_is_each_alone_bit_for_bit() -> None:
    table, (bits, rows, activity) = simulated(curved), places()
    for look_up in (call_pj, call_delay_ns):
        batch = look_up(table, bits, rows, activity)
        for n in range(len(batch)):
            alone = look_up(table, bits[n : n + 1], rows[n : n + 1], activity[n : n + 1])
            assert (alone[0] == batch[n]).all()
        turned = look_up(table, bits.T, rows.T, activity.T)
        assert (batch == turned.T).all()


def test_nothing_is_extrapolated() -> None:
    table = simulated(curved)
    low, high = np.zeros((1, 1)), np.full((1, 1), 1e3)
    assert call_pj(table, low, low, low).item() == curved(3, 16, 0.05)
    assert call_pj(table, high, high, high).item() == curved(8, 256, 1.0)


def tensors(arrays: Sequence[Floats]) -> list[Any]:
    return [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]


@pytest.mark.parametrize("axes", [(BITS, ROWS, ACTIVITY), ((5,), ROWS, (0.3,))])
def test_torch_equals_numpy(axes: Sequence[Sequence[Any]]) -> None:
    table, at = simulated(curved, axes), places()
    for look_up in (call_pj, call_delay_ns):
        found: Any = look_up(table, *tensors(at))
        assert found.dtype == torch.float64
        np.testing.assert_allclose(found.detach().numpy(), look_up(table, *at), rtol=1e-12)


def test_the_gradient_is_the_slope() -> None:
    table, at = simulated(curved), places()
    asked = tensors(at)
    call_pj(table, *asked).sum().backward()
    for axis, values in enumerate((BITS, ROWS, ACTIVITY)):
        index = np.searchsorted(values, at[axis], side="right") - 1
        low, high = (np.asarray(values, dtype=float)[index + end] for end in (0, 1))
        ends = [[*at[:axis], end, *at[axis + 1 :]] for end in (low, high)]
        below, above = (call_pj(table, *end) for end in ends)
        slope = (above - below) / (high - low)
        np.testing.assert_allclose(asked[axis].grad.numpy(), slope, rtol=1e-9)


def test_the_gradient_at_the_ends_is_that_within() -> None:
    table = simulated(straight)
    for end in (0, -1):
        asked = tensors([np.array([[float(axis[end])]]) for axis in (BITS, ROWS, ACTIVITY)])
        call_pj(table, *asked).sum().backward()
        found = [at.grad.item() for at in asked]
        assert found == pytest.approx([0.7, 0.02, 3.1])


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (
            (9, 64, 0.5),
            "bits 9 are outside the table of array calls of it: 3 to 8; add points there",
        ),
        (
            (2, 9, 0.5),
            "bits 2 are outside the table of array calls of it: 3 to 8; add points there",
        ),
        (
            (5, 9, 0.5),
            "rows 9 are outside the table of array calls of it: 16 to 256; add points there",
        ),
        (
            (5, 64, 0.01),
            "activity_frac 0.01 is outside the table of array calls of it: 0.05 to 1; "
            "add points there",
        ),
    ],
)
def test_what_is_outside_is_told(place: tuple[float, ...], expected: str) -> None:
    good = np.array([[5.0, 5.0], [3.0, 8.0]]), np.array([[64.0, 16.0], [256.0, 90.0]])
    bits, rows, activity = (*good, np.array([[0.3, 0.05], [1.0, 0.9]]))
    assert not outside(simulated(curved), bits, rows, activity, of="it")[0].any()
    for values, value in zip((bits, rows, activity), place, strict=True):
        values[1, 0] = value
    bad, text = outside(simulated(curved), bits, rows, activity, of="it")
    assert bad.tolist() == [[False, False], [True, False]]
    assert text(1, 0) == expected


def test_one_value_for_all_nodes_is_told_of_any() -> None:
    table = simulated(curved, [(5,), ROWS, (0.3,)])
    one: Floats = np.array([[5.0]])
    bad, text = outside(table, one, np.array([[64.0]]), HALF, of="it")
    assert bad.tolist() == [[True]]
    assert text(7, 3) == (
        "activity_frac 0.5 is outside the table of array calls of it: 0.3 alone; add points there"
    )
    bad, text = outside(table, one - 1, np.array([[64.0, 1.0]]), np.array([[0.3], [0.3]]), of="it")
    assert bad.tolist() == [[True, True]] * 2
    assert text(1, 1).startswith("bits 4 are outside the table of array calls of it: 5 alone")


def test_what_is_not_a_number_is_outside() -> None:
    nothing = np.array([[np.nan, 64.0]])
    assert outside(simulated(curved), 10 * HALF, nothing, HALF, of="it")[0].tolist() == [
        [True, False]
    ]


def test_tensors_outside_are_told_too() -> None:
    asked = tensors([np.array([[5.0]]), np.array([[300.0]]), np.array([[0.5]])])
    bad, text = outside(simulated(curved), *asked, of="it")
    assert bad.tolist() == [[True]]
    assert text(0, 0).startswith("rows 300 are outside the table of array calls of it: 16 to 256")
