"""Children: valid, mixed of their parents, changed a little, and different from both."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.search.domain import Domain, Variable, Vectors, domain_of
from cimsearch.search.operators import (
    Parents,
    children_of,
    chosen,
    crossed,
    is_like,
    mutated,
    one_of,
    tournament,
)
from cimsearch.space import Space
from cimsearch.spec import load_space_spec

SPACE = domain_of(Space(load_space_spec("vgg_tiny")))


def free(*variables: Variable) -> Domain:
    """Return a domain in which every variable counts."""
    return Domain(variables, lambda vectors: np.ones(vectors.shape, bool), lambda vectors: vectors)


def mixed() -> Domain:
    return free(
        Variable("share", "real", 0, "first"),
        Variable("bits", "ordinal", 6, "first"),
        Variable("kind", "categorical", 4, "second"),
        Variable("only", "categorical", 1, "second"),
        Variable("width", "ordinal", 3, "third"),
    )


def switched() -> Domain:
    """Return a domain whose second variable counts only where the first is 1."""

    def active(vectors: Vectors) -> np.ndarray:
        mask = np.ones(vectors.shape, bool)
        mask[:, 1] = vectors[:, 0] == 1
        return mask

    def repaired(vectors: Vectors) -> Vectors:
        return np.where(active(vectors), vectors, vectors[:, :1])

    variables = (
        Variable("depth", "ordinal", 2, "stage"),
        Variable("width", "ordinal", 5, "stage"),
        Variable("kind", "categorical", 3, "stage"),
    )
    return Domain(variables, active, repaired)


DOMAINS = {"mixed": mixed(), "switched": switched(), "space": SPACE}


def assert_valid(domain: Domain, vectors: Vectors) -> None:
    choices = vectors[:, domain.sizes > 0]
    assert np.array_equal(choices, np.floor(choices))
    assert ((choices >= 0) & (choices < domain.sizes[domain.sizes > 0])).all()
    real = vectors[:, domain.sizes == 0]
    assert ((real >= 0) & (real <= 1)).all()


@pytest.mark.parametrize("name", sorted(DOMAINS))
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), parents=st.integers(1, 12), n=st.integers(1, 12))
def test_children_are_valid_and_repaired(name: str, seed: int, parents: int, n: int) -> None:
    domain, rng = DOMAINS[name], np.random.default_rng(seed)
    vectors = domain.repaired(domain.sample(parents, rng))
    children = children_of(domain, Parents(vectors, np.arange(parents)), n, rng)
    assert children.shape == (n, len(domain.variables))
    assert_valid(domain, children)
    assert np.array_equal(domain.repaired(children), children)


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_a_child_of_equal_parents_is_not_like_them(name: str) -> None:
    domain, rng = DOMAINS[name], np.random.default_rng(3)
    parent = domain.repaired(domain.sample(1, rng))
    children = children_of(domain, Parents(parent, np.zeros(1, np.int64)), 300, rng)
    assert not is_like(domain, children, np.repeat(parent, 300, axis=0)).any()


def test_a_child_that_can_only_be_like_a_parent_is_still_a_child() -> None:
    domain = free(Variable("flag", "categorical", 2, "a"), Variable("only", "ordinal", 1, "a"))
    both = Parents(np.array([[0.0, 0.0], [1.0, 0.0]]), np.zeros(2, np.int64))
    children = children_of(domain, both, 50, np.random.default_rng(0))
    assert_valid(domain, children)


def test_a_tournament_is_won_by_the_better_and_a_tie_by_chance() -> None:
    rng = np.random.default_rng(1)
    shares = np.bincount(tournament(np.array([2, 0, 1]), 9000, rng), minlength=3) / 9000
    # Two draws with replacement: the best of three wins 5 of 9, the middle one 3, the last 1.
    assert shares == pytest.approx([1 / 9, 5 / 9, 3 / 9], abs=0.03)
    ties = np.bincount(tournament(np.array([7, 7]), 9000, rng), minlength=2) / 9000
    assert ties == pytest.approx([0.5, 0.5], abs=0.03)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_each_variable_of_a_mixed_child_is_of_a_parent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = SPACE.sample(20, rng), SPACE.sample(20, rng)
    children = crossed(SPACE, first, second, rng)
    assert ((children == first) | (children == second)).all()


def test_half_of_the_children_are_mixed_by_whole_groups() -> None:
    groups = [f"stage{i}" for i in range(4) for _ in range(6)]
    domain = free(*(Variable(f"v{i}", "ordinal", 2, g) for i, g in enumerate(groups)))
    n, rng = 2000, np.random.default_rng(5)
    zeros, ones = np.zeros((n, 24)), np.ones((n, 24))
    children = crossed(domain, zeros, ones, rng)
    by_stage = children.reshape(n, 4, 6).sum(axis=2)
    whole = np.isin(by_stage, (0, 6)).all(axis=1)
    assert whole.mean() == pytest.approx(0.5, abs=0.05)
    # Of either parent as often, also in one that is mixed variable by variable.
    assert children[whole].mean() == pytest.approx(0.5, abs=0.05)
    assert children[~whole].mean() == pytest.approx(0.5, abs=0.05)


def test_variables_of_one_group_are_still_mixed() -> None:
    domain = free(*(Variable(f"v{i}", "ordinal", 2, "all") for i in range(20)))
    children = crossed(domain, np.zeros((200, 20)), np.ones((200, 20)), np.random.default_rng(0))
    assert ((children.sum(axis=1) > 0) & (children.sum(axis=1) < 20)).mean() > 0.99


def test_one_variable_that_counts_changes_on_average() -> None:
    rng = np.random.default_rng(2)
    vectors = SPACE.repaired(SPACE.sample(3000, rng))
    change = chosen(SPACE, vectors, rng)
    assert change.sum(axis=1).mean() == pytest.approx(1.0, abs=0.08)
    assert not (change & ~SPACE.active(vectors)).any()


def test_the_one_to_change_is_any_that_counts_and_has_a_choice() -> None:
    rng, domain = np.random.default_rng(2), mixed()
    change = one_of(domain, domain.sample(4000, rng), rng)
    assert (change.sum(axis=1) == 1).all()
    assert change.mean(axis=0) == pytest.approx([0.25, 0.25, 0.25, 0.0, 0.25], abs=0.03)
    nothing = free(Variable("only", "ordinal", 1, "a"))
    assert not one_of(nothing, np.zeros((3, 1)), rng).any()


def changed(variable: Variable, value: float, n: int = 4000) -> np.ndarray:
    """Return what a value of one variable becomes, ``n`` times."""
    vectors = np.full((n, 1), value)
    return mutated(free(variable), vectors, vectors == value, np.random.default_rng(8))[:, 0]


@pytest.mark.parametrize("value", [0, 3, 7])
def test_an_ordinal_variable_mostly_takes_a_step(value: int) -> None:
    new = changed(Variable("bits", "ordinal", 8, "a"), value)
    assert set(new) == set(range(8)) - {value}
    steps = abs(new - value) == 1
    # Of the fifth that are drawn from the other 7, some are neighbours too.
    neighbours = 1 if value in (0, 7) else 2
    assert steps.mean() == pytest.approx(0.8 + 0.2 * neighbours / 7, abs=0.03)


def test_a_categorical_variable_becomes_any_other() -> None:
    new = changed(Variable("kind", "categorical", 4, "a"), 2)
    assert set(new) == {0, 1, 3}
    assert np.bincount(new.astype(int)) / len(new) == pytest.approx(
        [1 / 3, 1 / 3, 0, 1 / 3], abs=0.04
    )


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_a_real_variable_moves_a_little_or_is_drawn_anew(value: float) -> None:
    new = changed(Variable("share", "real", 0, "a"), value)
    assert ((new >= 0) & (new <= 1)).all()
    assert (new != value).mean() > 0.7
    far = abs(new - value) > 0.25
    assert 0.15 < far.mean() < 0.5
    assert np.median(abs(new - value)) < 0.2


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_else_changes(seed: int) -> None:
    rng, domain = np.random.default_rng(seed), mixed()
    vectors = domain.sample(15, rng)
    change = chosen(domain, vectors, rng)
    new = mutated(domain, vectors, change, rng)
    assert_valid(domain, new)
    assert np.array_equal(new[~change], vectors[~change])
    choice = change & (domain.sizes > 0)
    assert (new[choice] != vectors[choice]).all()


def test_inactive_variables_do_not_make_vectors_different() -> None:
    domain = switched()
    off, on = np.array([[0.0, 1.0, 2.0]]), np.array([[1.0, 1.0, 2.0]])
    assert is_like(domain, off, np.array([[0.0, 4.0, 2.0]])).all()
    assert not is_like(domain, on, np.array([[1.0, 4.0, 2.0]])).any()
    assert not is_like(domain, off, on).any()


def test_nothing_global_is_drawn_from() -> None:
    before = str(np.random.get_state(legacy=False)["state"])  # noqa: NPY002
    parents = Parents(SPACE.sample(5, np.random.default_rng(0)), np.arange(5))
    one, two = (children_of(SPACE, parents, 9, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, two)
    assert str(np.random.get_state(legacy=False)["state"]) == before  # noqa: NPY002
