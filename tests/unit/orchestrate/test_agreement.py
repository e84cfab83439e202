"""Kendall's tau between rungs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from cimsearch.orchestrate.read.agreement import agreements, kendall_tau
from cimsearch.store.rows import TrialRow


def trial(number: int, rung: int, name: str, accuracy: float | None) -> TrialRow:
    return TrialRow(
        number=number,
        trial_id=number,
        state="fail" if accuracy is None else "complete",
        params={},
        values=None if accuracy is None else (accuracy, 1.0),
        constraints=(),
        candidate_hash=name,
        rung=rung,
        promoted_from=None,
        fail_reason=None,
        user_attrs={},
        started=None,
        ended=None,
        evaluation_id=number,
    )


def rungs(*columns: list[float | None]) -> list[TrialRow]:
    """Return trials of the same candidates at each rung."""
    return [
        trial(rung * 100 + place, rung, f"c{place}", accuracy)
        for rung, column in enumerate(columns)
        for place, accuracy in enumerate(column)
    ]


RISING = [n / 20 for n in range(12)]


@given(pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=40))
def test_tau_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs).T
    found = kendall_tau([(float(a), float(b)) for a, b in pairs])
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)


def test_adjacent_rungs_are_compared_over_what_both_have() -> None:
    upper: list[float | None] = [*RISING[::-1], None]
    low, high = agreements(rungs([*RISING, 0.9], [*RISING, 0.1], upper), 3)
    assert (low.rung, low.shared, low.ranks) == (0, 13, True)
    assert (high.shared, high.tau, high.ranks) == (12, -1.0, False)
    assert high.text == (
        "rungs 1 and 2: Kendall's tau -1.00 over 12 candidates, below 0.4: rung 1 does not rank"
    )
    assert low.text.startswith("rungs 0 and 1: Kendall's tau 0.")


def test_of_too_few_or_equal_ones_nothing_is_known() -> None:
    (few,) = agreements(rungs(list(RISING), list(RISING[:11])), 2)
    assert (few.shared, few.tau, few.ranks) == (11, None, None)
    assert few.text == "rungs 0 and 1: Kendall's tau not known, too few: 11 candidates have both"
    (alike,) = agreements(rungs(list(RISING), [0.5] * 12), 2)
    assert "all alike: 12 candidates" in alike.text
    assert agreements(rungs(list(RISING)), 1) == ()
