"""Who is promoted, as a function of what may be known."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.orchestrate.run.halving import Ladder, next_promotion, of_one_rung, ranked
from cimsearch.search.history import Seen, State
from cimsearch.spec.study import Halving

LADDER = Ladder(Halving(cohort=9, eta=3), 3, ("maximize", "minimize"), (0.1, 10.0))

Values = tuple[float, float]


def seen(number: int, values: Values | None, rung: int = 0, name: str = "") -> Seen:
    """Return a trained trial; one without values is still running."""
    state: State = "running" if values is None else "complete"
    return Seen(
        number=number,
        genes=(float(number),),
        candidate_hash=name or f"c{number}",
        trained=True,
        state=state,
        values=values,
        constraints=(),
        attrs={},
        rung=rung,
    )


def infeasible(number: int) -> Seen:
    return replace(seen(number, (0.0, 1.0)), trained=False, constraints=(1.0,))


def accuracies(*values: float | None) -> list[Seen]:
    """Return trials of one price, so that the accuracy alone ranks them."""
    return [seen(n, None if v is None else (v, 5.0)) for n, v in enumerate(values)]


def promoted(ladder: Ladder, trials: Sequence[Seen], *, closed: bool) -> list[int]:
    """Return the numbers promoted one after another, none of which gets a result."""
    history, found = list(trials), []
    while isinstance(due := next_promotion(ladder, history, closed=closed), Seen):
        found.append(due.number)
        history.append(seen(len(history), None, due.rung + 1, due.candidate_hash))
    return found


NINE = (0.1, 0.9, 0.3, 0.8, 0.2, 0.7, 0.4, 0.5, 0.6)


def test_the_best_third_of_a_full_cohort_is_promoted_best_first() -> None:
    assert promoted(LADDER, accuracies(*NINE), closed=False) == [1, 3, 5]


def test_a_cohort_waits_for_its_last_result() -> None:
    assert promoted(LADDER, accuracies(*NINE[:8]), closed=False) == []
    assert promoted(LADDER, accuracies(*NINE[:8], None), closed=False) == []


def test_cohorts_are_of_trained_trials_in_order_of_number() -> None:
    trials = accuracies(*NINE, *NINE)
    for place in (0, 4, 12):
        trials.insert(place, infeasible(0))
    numbered = [replace(t, number=n, candidate_hash=f"c{n}") for n, t in enumerate(trials)]
    first = [t.number for t in numbered if t.trained][:9]
    second = [t.number for t in numbered if t.trained][9:]
    # The second cohort is as good as the first, whose best are promoted already.
    expected = [first[place] for place in (1, 3, 5)] + [second[place] for place in (1, 3, 5)]
    assert promoted(LADDER, numbered, closed=False) == expected


def test_a_cohort_that_is_better_leaves_no_place_for_the_one_before() -> None:
    better = [value + 0.05 for value in NINE]
    assert promoted(LADDER, accuracies(*NINE, *better), closed=False) == [1, 3, 5, 10, 12, 14]
    much_better = [0.9 + value / 10 for value in NINE]
    assert promoted(LADDER, accuracies(*NINE, *much_better), closed=False)[3:] == [10, 12, 14]


def test_a_cohort_that_is_worse_gives_its_quota_to_those_before() -> None:
    worse = [value / 100 for value in NINE]
    assert promoted(LADDER, accuracies(*NINE, *worse), closed=False) == [1, 3, 5, 8, 7, 6]


def test_failed_trials_take_a_place_and_are_never_promoted() -> None:
    failed = [replace(t, state="failed", values=None) for t in accuracies(*NINE)]
    assert promoted(LADDER, failed, closed=True) == []
    two = accuracies(*NINE)[:2] + failed[2:]
    assert promoted(LADDER, two, closed=False) == [1, 0]


def test_no_candidate_to_come_an_open_cohort_is_compared_as_it_is() -> None:
    for n, expected in ((1, [0]), (2, [1]), (5, [1]), (6, [1, 3]), (9, [1, 3, 5])):
        assert promoted(LADDER, accuracies(*NINE[:n]), closed=True) == expected
    assert next_promotion(LADDER, accuracies(0.3, None), closed=True) == "wait"
    assert next_promotion(LADDER, [], closed=True) is None


def test_upper_rungs_have_smaller_cohorts() -> None:
    trials = accuracies(*NINE)
    for number, name, accuracy in ((9, "c1", 0.1), (10, "c3", 0.9), (11, "c5", 0.3)):
        trials.append(seen(number, (accuracy, 5.0), 1, name))
    due = next_promotion(LADDER, trials, closed=False)
    assert isinstance(due, Seen)
    assert (due.number, due.rung) == (10, 1)
    trials.append(seen(12, (0.5, 5.0), 2, "c3"))
    for closed in (False, True):
        assert next_promotion(LADDER, trials, closed=closed) is None


def test_rank_goes_before_hypervolume_and_that_before_number() -> None:
    front = [(0.9, 9.0), (0.5, 4.0), (0.2, 1.0)]
    behind = [(0.4, 4.5), (0.4, 4.5)]
    beyond = [(0.05, 0.5)]  # on the front, but worth nothing up to the reference point
    cohort = [seen(n, v) for n, v in enumerate([*behind, *front, *beyond])]
    assert [t.number for t in ranked(LADDER, cohort)] == [3, 2, 4, 5, 0, 1]
    assert ranked(LADDER, []) == ()


value = st.one_of(st.none(), st.tuples(st.integers(0, 4), st.integers(1, 5)))


@given(results=st.lists(value, min_size=1, max_size=40), order=st.randoms(use_true_random=False))
def test_promotions_follow_from_results_and_not_from_when_they_come(
    results: list[tuple[int, int] | None], order: random.Random
) -> None:
    """Results come one by one in any order: what is promoted while cohorts close is the same."""
    ends = [
        replace(seen(n, None), state="failed") if v is None else seen(n, (v[0] / 4, float(v[1])))
        for n, v in enumerate(results)
    ]
    known = [seen(n, None) for n in range(len(ends))]
    found: list[int] = []
    missing = list(range(len(ends)))
    order.shuffle(missing)
    while True:
        due = next_promotion(LADDER, known, closed=True)
        if due == "wait":
            if missing:
                place = missing.pop()
                known[place] = ends[place]
            else:
                last = next(n for n, t in enumerate(known) if t.state == "running")
                known[last] = replace(known[last], state="failed")
        elif due is None:
            break
        elif isinstance(due, Seen):
            found.append(due.number)
            known.append(seen(len(known), None, due.rung + 1, due.candidate_hash))
    rung_0 = [number for number in found if number < len(ends)]
    assert rung_0 == promoted(replace(LADDER, rungs=2), ends, closed=True)
    assert len(set(found)) == len(found)


@given(candidates=st.integers(0, 200), cohort=st.integers(9, 40), eta=st.integers(2, 3))
def test_promotions_are_as_many_as_planned(candidates: int, cohort: int, eta: int) -> None:
    ladder = replace(LADDER, halving=Halving(cohort=cohort, eta=eta))
    known = [seen(n, (n / 200, 5.0)) for n in range(candidates)]
    while isinstance(due := next_promotion(ladder, known, closed=True), Seen):
        known.append(seen(len(known), (0.5, 5.0), due.rung + 1, due.candidate_hash))
    assert len(known) - candidates == ladder.promotions(candidates)


@pytest.mark.parametrize(("population", "shown"), [(3, 2), (4, 1), (6, 1), (7, 0), (99, 0)])
def test_a_sampler_sees_the_highest_rung_that_has_enough_results(
    population: int, shown: int
) -> None:
    trials = [seen(n, (0.5, 5.0), rung) for n, rung in enumerate([0] * 9 + [1] * 6 + [2] * 3)]
    trials += [infeasible(18), seen(19, None, 2), seen(20, None, 1)]
    found = of_one_rung(trials, 3, population)
    assert {t.rung for t in found if t.trained} == {shown}
    assert infeasible(18) in found
    assert [t.number for t in found] == sorted(t.number for t in found)
    assert sum(t.values is not None for t in found) == [9, 6, 3][shown] + 1
