"""Which networks of a search are adapted: those of the front, then of the fronts behind it."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cimsearch.orchestrate.adapt.choose import chosen
from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.store import open_storage
from cimsearch.store import records as db
from tests.unit.orchestrate.adapting import HOW

BASELINE = 0.8


@pytest.fixture(scope="module")
def searched(finished_study: Path) -> StudyResult:
    with closing(open_storage(f"sqlite:///{finished_study / 'cimsearch.db'}")) as storage:
        (row,) = db.list_studies(storage)
        return read_result(storage, row.id)


def with_points(
    searched: StudyResult, points: list[tuple[float, float]], front: set[int]
) -> StudyResult:
    """Return a study whose trials have these accuracies and energies."""
    like = next(t for t in searched.trials if t.state == "complete")
    accuracy, second = searched.study.spec.objectives[:2]
    trials = tuple(
        replace(like, number=n, on_front=n in front, objectives={accuracy: a, second: e})
        for n, (a, e) in enumerate(points)
    )
    best = (
        replace(b, objectives={**b.objectives, "accuracy": BASELINE}) for b in searched.baselines
    )
    return replace(
        searched, trials=trials, baselines=tuple(best), directions=("maximize", "minimize")
    )


@pytest.mark.parametrize(
    ("networks", "numbers"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 0)), (4, (1, 2, 0, 4)), (9, (1, 2, 0, 4, 3, 5))],
)
def test_the_cheapest_accurate_ones_of_each_front(
    searched: StudyResult, networks: int, numbers: tuple[int, ...]
) -> None:
    """Front 0, 1, 2; behind it 3 and 4; then 5. Of each, 0 and 3 lose more than 5 points."""
    points = [(0.60, 1.0), (0.76, 2.0), (0.79, 4.0), (0.58, 1.5), (0.78, 5.0), (0.57, 6.0)]
    result = with_points(searched, points, {0, 1, 2})
    how = HOW.model_copy(update={"networks": networks, "max_accuracy_drop": 0.05})
    assert chosen(result, how) == numbers


def test_a_front_of_one_lucky_network_is_not_adapted_alone(searched: StudyResult) -> None:
    points = [(0.80, 1.0), (0.79, 2.0), (0.795, 3.0)]
    result = with_points(searched, points, {0})
    how = HOW.model_copy(update={"networks": 2, "max_accuracy_drop": 0.05})
    assert chosen(result, how) == (0, 1)


def test_networks_that_miss_a_constraint_or_failed_are_not_chosen(searched: StudyResult) -> None:
    result = with_points(searched, [(0.8, 1.0), (0.79, 2.0), (0.78, 3.0), (0.77, 4.0)], {0})
    first, missing, failed, fine = result.trials
    bad = (
        replace(missing, constraints={"energy_pj <= 1": 0.5}),
        replace(failed, state="failed", objectives={}),
    )
    result = replace(result, trials=(first, *bad, fine))
    how = HOW.model_copy(update={"networks": 4, "max_accuracy_drop": 0.05})
    assert chosen(result, how) == (0, 3)
