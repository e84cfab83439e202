"""Copies of layers against every choice there is, on workloads small enough to try them all."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cimsearch.cost.copies import Workload, copies_that_count, least_longest, least_sum

Floats = NDArray[np.float64]

NEAR = 2.0
"""How far the least sum may be from the best choice: the worst seen in searches for it is 1.8."""
EQUAL = 1 + 1e-9


def row(*values: float) -> Floats:
    return np.array([values], dtype=np.float64)


@st.composite
def workloads(draw: st.DrawFn, *, least_spare: int = 0) -> Workload:
    """Draw one network of up to three nodes, some of them not on arrays."""
    arrays = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3))

    def of_layers(values: st.SearchStrategy[float]) -> Floats:
        return row(*(draw(values) if a else 0.0 for a in arrays))

    return Workload(
        arrays_ns=of_layers(st.floats(1, 1000)),
        other_ns=of_layers(st.floats(0.01, 300)),
        arrays=row(*arrays),
        vectors=of_layers(st.integers(1, 20).map(float)),
        spare=np.array([float(draw(st.integers(least_spare, 12)))]),
    )


def node_ns(work: Workload, copies: Floats) -> Floats:
    """Return the times of nodes: copies share whole input vectors."""
    vectors = np.maximum(work.vectors, 1)
    arrays_ns = work.arrays_ns * np.ceil(vectors / copies) / vectors
    return np.maximum(arrays_ns, work.other_ns)


def choices(work: Workload) -> Floats:
    """Return every choice of copies that the spare macros hold, (choices, nodes)."""
    most = np.where(work.arrays > 0, work.spare[0] // np.maximum(work.arrays, 1) + 1, 1)
    found = np.array(list(product(*(range(1, int(m) + 1) for m in most[0]))), dtype=np.float64)
    fitting: Floats = found[(work.arrays * (found - 1)).sum(axis=1) <= work.spare[0]]
    return fitting


def check(work: Workload, copies: Floats) -> None:
    assert (copies == np.floor(copies)).all()
    assert (copies >= 1).all()
    assert (copies <= np.maximum(work.vectors, 1)).all()
    assert (copies[work.arrays == 0] == 1).all()
    assert (work.arrays * (copies - 1)).sum() <= work.spare[0]
    assert work.fits(copies).all()
    # No copy is idle: one less would take another step.
    vectors, more = np.maximum(work.vectors, 1), copies > 1
    steps, before = np.ceil(vectors / copies), np.ceil(vectors / np.maximum(copies - 1, 1))
    assert (before[more] > steps[more]).all()


@settings(deadline=None)
@given(workloads())
def test_the_least_sum(work: Workload) -> None:
    copies = least_sum(work)
    check(work, copies)
    found, best = node_ns(work, copies).sum(), node_ns(work, choices(work)).sum(axis=1).min()
    assert best / EQUAL <= found <= best * NEAR
    assert found <= node_ns(work, np.ones_like(copies)).sum()


@settings(deadline=None)
@given(workloads(), st.floats(0, 200))
def test_the_least_longest_is_the_best_there_is(work: Workload, floor_ns: float) -> None:
    copies = least_longest(work, np.array([floor_ns]))
    check(work, copies)
    found = max(floor_ns, node_ns(work, copies).max())
    best = max(floor_ns, node_ns(work, choices(work)).max(axis=1).min())
    assert best / EQUAL <= found <= best * EQUAL
    # No copy that the longest does not need: one less would be longer.
    fewer = node_ns(work, np.maximum(copies - 1, 1))
    assert (fewer[copies > 1] > found / EQUAL).all()


@settings(deadline=None)
@given(workloads(), st.floats(0, 200), st.integers(1, 5))
def test_more_macros_never_lengthen_the_longest(
    work: Workload, floor_ns: float, more: int
) -> None:
    larger = Workload(work.arrays_ns, work.other_ns, work.arrays, work.vectors, work.spare + more)
    floor = np.array([floor_ns])
    times = [node_ns(w, least_longest(w, floor)).max() for w in (work, larger)]
    assert max(times[1], floor_ns) <= max(times[0], floor_ns) * EQUAL


@settings(deadline=None)
@given(workloads(), st.integers(1, 3))
def test_copies_of_one_layer_only_are_the_best_there_are(work: Workload, arrays: int) -> None:
    """With one layer there is nothing to choose: both ask for as many copies as help."""
    alone = Workload(
        arrays_ns=work.arrays_ns[:, :1] + 1,
        other_ns=work.other_ns[:, :1],
        arrays=row(arrays),
        vectors=work.vectors[:, :1] + 1,
        spare=work.spare,
    )
    best = node_ns(alone, choices(alone)).min()
    for copies in (least_sum(alone), least_longest(alone, np.zeros(1))):
        check(alone, copies)
        assert node_ns(alone, copies)[0, 0] <= best * EQUAL


def test_by_hand() -> None:
    """Layers of 120 ns on 2 arrays and of 40 ns on one; 4 macros are left.

    An array of a second copy saves 60 / 2 and 40 / 2 ns, one of a third 60 / 6 and 40 / 6.
    """
    work = Workload(
        arrays_ns=row(120, 40, 0),
        other_ns=row(1, 1, 0),
        arrays=row(2, 1, 0),
        vectors=row(60, 60, 0),
        spare=np.array([4.0]),
    )
    # Both second copies take 3 macros; the last has no room for a third copy of the first layer.
    assert least_sum(work).tolist() == [[2, 3, 1]]
    assert least_longest(work, np.zeros(1)).tolist() == [[3, 1, 1]]
    # Nothing helps below what all layers share.
    assert least_longest(work, np.array([60.0])).tolist() == [[2, 1, 1]]
    assert least_longest(work, np.array([500.0])).tolist() == [[1, 1, 1]]


def test_no_copy_beyond_another_unit_or_beyond_the_vectors() -> None:
    def one(other_ns: float, vectors: float) -> Workload:
        return Workload(row(100), row(other_ns), row(1), row(vectors), np.array([1000.0]))

    for solve in (least_sum, lambda work: least_longest(work, np.zeros(1))):
        assert solve(one(other_ns=25.0, vectors=64)).tolist() == [[4]]
        assert solve(one(other_ns=200.0, vectors=64)).tolist() == [[1]]
        assert solve(one(other_ns=0.1, vectors=6)).tolist() == [[6]]
        # 11 vectors in one step take 9.1 ns, in two 18.2: 10 copies would still take two.
        assert solve(one(other_ns=10.0, vectors=11)).tolist() == [[11]]
        assert solve(one(other_ns=20.0, vectors=11)).tolist() == [[6]]


@pytest.mark.parametrize(
    ("vectors", "copies", "count"), [(11, 10, 6), (11, 11, 11), (10, 4, 4), (12, 5, 4), (0, 1, 1)]
)
def test_copies_that_save_no_step_do_not_count(vectors: int, copies: int, count: int) -> None:
    assert copies_that_count(row(copies), row(vectors)).tolist() == [[count]]


@settings(deadline=None)
@given(workloads(), st.integers(1, 9))
def test_a_network_that_does_not_fit_has_no_copies(work: Workload, missing: int) -> None:
    short = Workload(
        work.arrays_ns, work.other_ns, work.arrays, work.vectors, np.array([-float(missing)])
    )
    assert (least_sum(short) == 1).all()
    assert (least_longest(short, np.zeros(1)) == 1).all()


@settings(deadline=None, max_examples=30)
@given(st.lists(workloads(), min_size=2, max_size=6), st.floats(0, 200))
def test_a_batch_is_solved_like_each_of_it(works: list[Workload], floor_ns: float) -> None:
    width = max(work.arrays.shape[1] for work in works)

    def padded(values: Floats) -> Floats:
        return np.pad(values, [(0, 0), (0, width - values.shape[1])])

    def of_all(name: str) -> Floats:
        return np.concatenate([padded(getattr(work, name)) for work in works])

    batch = Workload(
        arrays_ns=of_all("arrays_ns"),
        other_ns=of_all("other_ns"),
        arrays=of_all("arrays"),
        vectors=of_all("vectors"),
        spare=np.concatenate([work.spare for work in works]),
    )
    floor = np.full(len(works), floor_ns)
    for solved, alone in (
        (least_sum(batch), [least_sum(work) for work in works]),
        (least_longest(batch, floor), [least_longest(work, floor[:1]) for work in works]),
    ):
        for index, copies in enumerate(alone):
            assert (solved[index, : copies.shape[1]] == copies[0]).all()
            assert (solved[index, copies.shape[1] :] == 1).all()
