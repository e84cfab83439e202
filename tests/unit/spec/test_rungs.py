"""Rungs in a study's file, and how candidates go from one to the next."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.errors import SpecError
from cimsearch.spec import Study, load_study
from cimsearch.spec.study import Halving
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

RUNG = "{epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}"


def text(rungs: int, more: str = "") -> str:
    (before, _, after) = TINY_STUDY.lstrip().partition(f"  - {RUNG}\n")
    return before + f"  - {RUNG}\n" * rungs + after + more


def study(write: Write, rungs: int, more: str = "") -> Study:
    return load_study(str(write("tiny.yaml", text(rungs, more))))


def test_the_last_rung_is_the_study_s(write: Write) -> None:
    two = text(2).replace("epochs: 1", "epochs: 0", 1)
    spec = load_study(str(write("tiny.yaml", two))).spec
    assert [rung.epochs for rung in spec.rungs] == [0, 1]
    assert spec.rung is spec.rungs[1]


def test_halving_is_that_of_several_rungs(write: Write) -> None:
    assert study(write, 1).spec.halving is None
    plain, stated = study(write, 2), study(write, 2, "halving: {cohort: 18, eta: 3}\n")
    assert plain.spec.halving == Halving(cohort=18, eta=3)
    assert plain.hash == stated.hash
    other = study(write, 2, "halving: {cohort: 12}\n")
    assert other.hash != plain.hash
    for each in (study(write, 1), plain, other):
        assert Study.from_json(each.to_json()).spec == each.spec


@pytest.mark.parametrize(
    ("rungs", "more", "expected"),
    [
        (1, "halving: {}", "halving: found with one rung; allowed is with several"),
        (4, "halving: {cohort: 26}", "halving.cohort: found 26; allowed is at least 27, so that"),
        (2, "halving: {eta: 1}", "halving.eta: found 1; allowed is 2 to 100"),
        (2, "halving: {cohorts: 9}", "halving.cohorts: unknown field; did you mean cohort?"),
        (5, "", "rungs: "),
    ],
)
def test_bad_rungs(write: Write, rungs: int, more: str, expected: str) -> None:
    with pytest.raises(SpecError) as told:
        study(write, rungs, more + "\n")
    assert expected in str(told.value)


def test_percentiles_need_chips_at_every_rung(write: Write) -> None:
    many = text(2, "accuracy_statistic: percentile_5\n").replace("chips: 2", "chips: 20", 1)
    with pytest.raises(SpecError, match="found percentile_5 of 2 chips; it needs 20"):
        load_study(str(write("tiny.yaml", many)))


def test_steps_of_partial_sums_need_l1_at_every_rung(write: Write) -> None:
    mixed = text(2).replace("train_level: L0", "train_level: L1", 1)
    learned = mixed.replace("qat_lr: 0.05", "qat_lr: 0.05, partial_sum_steps: learned")
    with pytest.raises(SpecError, match="found learned at train_level L0; allowed is L1"):
        load_study(str(write("tiny.yaml", learned)))


@given(cohort=st.integers(2, 500), eta=st.integers(2, 10), rungs=st.integers(1, 4))
def test_cohorts_shrink_by_eta(cohort: int, eta: int, rungs: int) -> None:
    halving = Halving(cohort=cohort, eta=eta)
    sizes = [halving.size(rung) for rung in range(rungs)]
    assert sizes[0] == cohort
    assert all(lower // eta == upper for lower, upper in pairwise(sizes))
