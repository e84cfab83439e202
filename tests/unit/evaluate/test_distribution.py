"""What so many chips allow to be said of an accuracy."""

from math import comb, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.evaluate import Score
from cimsearch.evaluate.distribution import (
    chip_standard_error,
    distribution,
    image_standard_error,
    percentile_5,
    sample_std,
    statistic_of,
    tolerance_95_95,
    yield_at,
)
from tests.golden.test_contracts import a_score

ACCURACIES = st.lists(st.integers(0, 200).map(lambda n: n / 200), min_size=1, max_size=150)
RISING = [i / 1000 for i in range(1, 1001)]


def binomial(counts: range, n: int, share: float) -> float:
    return sum(comb(n, i) * share**i * (1 - share) ** (n - i) for i in counts)


def test_two_chips_by_hand() -> None:
    found = a_score().distribution
    assert (found.chips, found.images, found.mean, found.worst) == (2, 100, 0.625, 0.5)
    assert found.sample_std == pytest.approx(0.125 * sqrt(2))
    assert found.chip_standard_error == pytest.approx(0.125)
    assert found.image_standard_error == pytest.approx(sqrt(0.625 * 0.375 / 100))
    assert found.percentile_5 is None
    assert found.tolerance_95_95 is None


def test_one_chip_has_no_spread() -> None:
    assert sample_std([0.5]) is None
    assert chip_standard_error([0.5]) is None
    assert image_standard_error(1.0, 10) == 0.0


@pytest.mark.parametrize(("chips", "rank"), [(20, 1), (21, 2), (40, 2), (41, 3), (140, 7)])
def test_the_fifth_percentile_is_a_chip(chips: int, rank: int) -> None:
    assert percentile_5(RISING[:chips][::-1]) == RISING[rank - 1]
    assert percentile_5(RISING[:19]) is None


# Sample sizes at which Wilks' bound moves on by one rank, as tables of it have them.
@pytest.mark.parametrize(
    ("chips", "rank"), [(59, 1), (92, 1), (93, 2), (123, 2), (124, 3), (153, 4), (181, 5)]
)
def test_the_tolerance_bound_has_the_published_ranks(chips: int, rank: int) -> None:
    assert tolerance_95_95(RISING[:chips]) == RISING[rank - 1]
    assert tolerance_95_95(RISING[:58]) is None


def test_yield_of_few_chips_by_hand() -> None:
    none, half, every = (yield_at(t, [0.5, 0.75]) for t in (0.8, 0.75, 0.5))
    assert (none.passed, half.passed, every.passed) == (0, 1, 2)
    assert (none.low, every.high) == (0.0, 1.0)
    assert every.low == pytest.approx(sqrt(0.025))
    assert none.high == pytest.approx(1 - sqrt(0.025))
    assert half.yield_frac == 0.5
    assert half.low == pytest.approx(1 - sqrt(0.975))


@given(ACCURACIES, st.floats(0, 1))
def test_the_interval_of_the_yield_is_the_exact_one(
    accuracies: list[float], target: float
) -> None:
    found = yield_at(target, accuracies)
    n, k = found.chips, found.passed
    if k > 0:
        assert binomial(range(k, n + 1), n, found.low) == pytest.approx(0.025)
    if k < n:
        assert binomial(range(k + 1), n, found.high) == pytest.approx(0.025)
    assert found.low <= found.yield_frac <= found.high


@given(ACCURACIES)
def test_statistics_are_in_order(accuracies: list[float]) -> None:
    found = distribution(accuracies, images=200)
    rounding = 1e-12
    assert found.worst - rounding <= found.mean <= max(accuracies) + rounding
    for low in (found.percentile_5, found.tolerance_95_95):
        assert low is None or found.worst <= low
    if found.tolerance_95_95 is not None:
        assert found.percentile_5 is not None
        assert found.tolerance_95_95 <= found.percentile_5


@given(ACCURACIES, st.data())
def test_a_better_chip_makes_nothing_worse(accuracies: list[float], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(accuracies) - 1))
    better = [*accuracies]
    better[index] = data.draw(st.floats(better[index], 1))
    before, after = (distribution(a, images=200) for a in (accuracies, better))
    assert after.worst >= before.worst
    assert after.mean >= before.mean - 1e-12
    assert (after.percentile_5 or 0) >= (before.percentile_5 or 0)
    assert (after.tolerance_95_95 or 0) >= (before.tolerance_95_95 or 0)
    assert yield_at(0.5, better).low >= yield_at(0.5, accuracies).low


@given(ACCURACIES, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_target_has_no_higher_yield(
    accuracies: list[float], one: float, other: float
) -> None:
    low, high = (yield_at(target, accuracies) for target in sorted((one, other)))
    assert high.yield_frac <= low.yield_frac
    assert high.low <= low.low
    assert high.high <= low.high


def test_the_statistic_of_a_study() -> None:
    assert statistic_of("mean", [0.5, 0.75]) == 0.625
    assert statistic_of("worst", [0.5, 0.75]) == 0.5
    assert statistic_of("percentile_5", RISING[:25]) == RISING[1]
    with pytest.raises(ValueError, match="found 2 chips; percentile_5 needs 20"):
        statistic_of("percentile_5", [0.5, 0.75])
    with pytest.raises(ValueError, match="found no accuracies"):
        statistic_of("mean", [])


def test_a_score_gives_the_statistic_of_its_chips() -> None:
    score = Score.from_json(a_score().to_json())
    assert score.accuracy_by("mean") == score.accuracy
    assert score.accuracy_by("worst") == score.accuracy_worst
