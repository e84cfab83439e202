"""The default algorithm: its phases, what screening may and may not yield, what it is worth."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from cimsearch.pareto import hypervolume, signed
from cimsearch.search import auto as module
from cimsearch.search import screening
from cimsearch.search.algorithms import uniform
from cimsearch.search.auto import FIRST, FIRST_PRICED, MOST, auto
from cimsearch.search.domain import Domain, Kind, Variable, Vectors
from cimsearch.search.evolution import nsga2, nsga3
from cimsearch.search.history import Group, Seen, State
from cimsearch.search.problem import Algorithm, Child, Draws, Prices, Problem
from cimsearch.spec.study import Sampler

AUTO = Sampler(name="auto", population=10, unscreened_frac=0.0)
REFERENCE = (0.1, 2.0, 2.0)


def small_domain(sizes: Sequence[int] = (5, 4, 4, 3, 3)) -> Domain:
    kinds: tuple[Kind, ...] = ("ordinal", "ordinal", "ordinal", "categorical", "ordinal")
    variables = tuple(
        Variable(f"v{i}", kind, size, f"g{i // 2}")
        for i, (kind, size) in enumerate(zip(kinds, sizes, strict=True))
    )
    return Domain(variables, lambda v: np.ones(v.shape, dtype=bool), lambda v: v)


def costs(vectors: Vectors) -> np.ndarray:
    """Return two known objectives (n, 2): both grow with what makes a network accurate."""
    return np.column_stack(
        [
            0.05 + vectors[:, 0] / 4 + vectors[:, 1] / 8,
            0.05 + vectors[:, 2] / 4 + vectors[:, 1] / 10 + vectors[:, 3] / 20,
        ]
    )


def accuracy(vectors: Vectors) -> np.ndarray:
    """Return what only training tells (n,)."""
    kind = np.array([0.0, 0.9, 0.5])[vectors[:, 3].astype(int)]
    effort = vectors[:, 0] / 4 + vectors[:, 2] / 3 + 0.6 * kind + vectors[:, 1] / 6
    return np.asarray(0.97 - 0.6 * np.exp(-effort) - 0.05 * vectors[:, 4])


def price(vectors: Vectors) -> Prices:
    known = costs(vectors)
    return Prices(
        objectives=np.column_stack([np.full(len(vectors), np.nan), known]),
        violations=known[:, :1] - 1.2,
        features=np.log(known),
    )


PRICED = Problem(small_domain(), ("maximize", "minimize", "minimize"), REFERENCE, price)
PLAIN = replace(PRICED, reference=None, price=None)


def trial(number: int, vector: Sequence[float], state: State = "complete") -> Seen:
    """Return a trial of a vector; one that is infeasible is complete and not trained."""
    at = np.array([vector])
    violation = float(price(at).violations[0, 0])
    trained = violation <= 0
    values = (float(accuracy(at)[0]) if trained else 0.0, *costs(at)[0].tolist())
    done = state == "complete" or not trained
    return Seen(
        number,
        tuple(vector),
        str(vector),
        trained,
        "complete" if done else state,
        values if done else None,
        (violation,),
        {},
    )


def random_history(problem: Problem, n: int, seed: int = 0) -> list[Seen]:
    vectors = problem.domain.sample(n, np.random.default_rng(seed))
    return [trial(number, vector) for number, vector in enumerate(vectors.tolist())]


def first(children: Algorithm, problem: Problem, history: Sequence[Seen], k: int) -> list[Child]:
    return list(islice(children(problem, AUTO, history, Draws(1, k)), 5))


def search(algorithm: Algorithm, sampler: Sampler, seed: int, trials: int) -> np.ndarray:
    """Return the trained points (n, 3), all minimised, of a search without repeats."""
    history: list[Seen] = []
    known: set[tuple[float, ...]] = set()
    while sum(t.trained for t in history) < trials:
        children = algorithm(PRICED, sampler, history, Draws(seed, len(history)))
        child = next(c for c in children if c.vector not in known)
        known.add(child.vector)
        history.append(trial(len(history), child.vector))
    values = np.array([t.values for t in history if t.trained], dtype=np.float64)
    return signed(values, PRICED.directions)


@pytest.mark.parametrize(("problem", "enough"), [(PLAIN, FIRST), (PRICED, FIRST_PRICED)])
def test_few_results_give_uniform_draws_and_many_give_evolution(
    problem: Problem, enough: int
) -> None:
    history = random_history(problem, MOST + 200)
    trained = [t.number for t in history if t.trained]
    few, some, many = (history[: trained[n - 1] + 1] for n in (enough - 1, enough, MOST + 1))
    drawn = list(islice(uniform(problem, AUTO, few, Draws(1, 99)), 50))
    if problem is PRICED:
        drawn = [c for c in drawn if price(np.array([c.vector])).feasible[0]]
    assert first(auto, problem, few, 99) == drawn[:5]
    assert first(auto, problem, some, 99)[0] not in drawn
    assert first(auto, problem, many, 99) == first(nsga2, problem, many, 99)


def test_what_is_known_to_be_infeasible_is_not_drawn() -> None:
    def forbidden(vectors: Vectors, most: float) -> Prices:
        prices = price(vectors)
        return replace(prices, violations=vectors[:, :1] - most)

    some = replace(PRICED, price=lambda v: forbidden(v, 0.0))
    drawn = [child.vector for k in range(40) for child in first(auto, some, [], k)]
    assert all(vector[0] == 0 for vector in drawn)
    allowed = {child.vector for k in range(40) for child in first(uniform, PRICED, [], k)}
    assert {vector for vector in allowed if vector[0] == 0} <= set(drawn)
    none = replace(PRICED, price=lambda v: forbidden(v, -1.0))
    assert first(auto, none, [], 0) == first(nsga2, PRICED, [], 0)


def test_four_objectives_are_evolved_by_nsga3() -> None:
    ways = ("minimize",) * 4
    problem = replace(PLAIN, directions=ways)
    history = [
        replace(t, trained=True, values=(*costs(np.array([t.genes]))[0], *t.genes[:2]))
        for t in random_history(PLAIN, MOST + 1)
    ]
    assert first(auto, problem, history, 400) == first(nsga3, problem, history, 400)
    assert len(first(auto, problem, history[:70], 70)) == 5


def test_screening_can_be_off() -> None:
    history = random_history(PRICED, 60)
    off = AUTO.model_copy(update={"screening": False})
    children = islice(auto(PRICED, off, history, Draws(1, 60)), 5)
    assert list(children) == first(nsga2, PRICED, history, 60)


@pytest.mark.parametrize("frac", [0.0, 0.1, 0.3, 1.0])
def test_the_stated_share_of_trials_ignores_the_surrogate(frac: float) -> None:
    ignore = [module._is_unscreened(k, frac) for k in range(200)]
    for n in (1, 10, 50, 200):
        assert sum(ignore[:n]) == pytest.approx(n * frac, abs=1)


def test_where_nothing_is_priced_evolution_shares_after_a_while() -> None:
    for problem in (PLAIN, PRICED):
        history = random_history(problem, 160)
        trained = [t.number for t in history if t.trained]
        before, after = (history[: trained[n - 1] + 1] for n in (100, 101))
        evolved = [
            first(auto, problem, after, k) == first(nsga2, problem, after, k) for k in (6, 7)
        ]
        assert evolved == [False, problem is PLAIN]
        assert first(auto, problem, before, 7) != first(nsga2, problem, before, 7)


def test_screened_children_are_feasible_new_and_able_to_gain() -> None:
    history = random_history(PRICED, 80)
    running = [replace(t, state="running", values=None) for t in history[70:] if t.trained]
    results = screening.usable_results(history[:70], MOST)
    vectors = screening.screened(PRICED, results, running, np.random.default_rng(0))
    prices = price(vectors)
    assert prices.feasible.all()
    assert len(np.unique(vectors, axis=0)) == len(vectors)
    # As good an accuracy as can be reached puts each on the front of what was seen.
    screen = screening.screen_of(PRICED, results, running)
    features = screen.lesson.encoder.encode(vectors, prices)
    mean, deviation = screen.surrogates[0].predict(features)
    best = 1 - np.exp(mean - screening.OPTIMISM * deviation)
    values = np.array([t.values for t in results], dtype=np.float64)
    seen = signed(values, PRICED.directions)
    for point in np.column_stack([-best, costs(vectors)]):
        assert not (seen <= point).all(axis=1).any()
    known = {t.genes for t in history}
    children = list(islice(auto(PRICED, AUTO, [*history[:70], *running], Draws(0, 80)), 30))
    assert not known & {child.vector for child in children[:10]}


@pytest.mark.parametrize("problem", [PRICED, PLAIN])
@pytest.mark.parametrize("same", [2.0, 0.3, 0.0])
def test_an_objective_that_is_the_same_for_all_is_no_obstacle(
    problem: Problem, same: float
) -> None:
    def price_same(vectors: Vectors) -> Prices:
        prices = price(vectors)
        objectives = prices.objectives.copy()
        objectives[:, 2] = same
        return replace(prices, objectives=objectives)

    if problem.price is not None:
        problem = replace(problem, price=price_same, reference=(0.1, 2.0, 2.2))
    results = screening.usable_results(random_history(problem, 60), MOST)
    equal = Group(replace(t, values=(*(t.values or ())[:2], same)) for t in results)
    assert len(screening.screened(problem, equal, [], np.random.default_rng(0))) > 20


def test_a_draw_with_variables_that_do_not_count_is_not_proposed_again() -> None:
    def repaired(vectors: Vectors) -> Vectors:
        return np.where(PLAIN.domain.is_kind("categorical") & (vectors[:, :1] > 0), 0, vectors)

    problem = replace(PLAIN, domain=replace(PLAIN.domain, repaired=repaired))
    history = random_history(problem, 60)
    known = {tuple(v) for v in repaired(np.array([t.genes for t in history])).tolist()}
    assert known != {t.genes for t in history}
    results = screening.usable_results(history, MOST)
    children = {child.vector for child in module._new(problem, history, results, Draws(0, 60))}
    assert children
    assert not known & children


def test_where_nothing_can_gain_evolution_goes_on() -> None:
    perfect = replace(trial(0, (0.0,) * 5), values=(1.0, 0.0, 0.0), trained=True)
    history = [
        replace(perfect, number=n, genes=(float(n % 5),) * 1 + (0.0,) * 4) for n in range(20)
    ]
    assert first(auto, PRICED, history, 20) == first(nsga2, PRICED, history, 20)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), n=st.integers(0, 40), plain=st.booleans())
def test_it_is_a_pure_function_of_any_history(seed: int, n: int, plain: bool) -> None:
    problem = PLAIN if plain else PRICED
    rng = np.random.default_rng(seed)
    states: list[State] = ["complete", "complete", "failed", "running"]
    vectors = problem.domain.sample(n, rng).tolist()
    history = [trial(k, v, states[rng.integers(4)]) for k, v in enumerate(vectors)]
    children = first(auto, problem, history, n)
    screening._fitted.cache_clear()
    screening.whole.cache_clear()
    assert first(auto, problem, [replace(t) for t in history], n) == children
    assert len(children) == 5
    sizes = problem.domain.sizes
    assert all((np.array(c.vector) < sizes).all() for c in children)


def test_constraints_that_only_trials_tell_are_learnt() -> None:
    # Of the choices of the first variable, which costs, only the two dearest are feasible.
    history = [
        replace(t, trained=True, constraints=(2.5 - t.genes[0],))
        for t in random_history(PLAIN, 60)
    ]
    at = [child.vector[0] for child in islice(auto(PLAIN, AUTO, history, Draws(0, 60)), 20)]
    assert np.mean(np.array(at) >= 3) > 0.9


def test_what_runs_is_not_proposed_by_a_neighbour_as_if_nothing_ran() -> None:
    history = random_history(PRICED, 40)
    wanted = first(auto, PRICED, history, 40)
    runs = replace(trial(40, wanted[0].vector), state="running", values=None)
    after = first(auto, PRICED, [*history, runs], 40)
    assert wanted[0] not in after
    assert after != wanted[1:]


def test_screening_needs_half_of_the_trainings() -> None:
    every = screening.whole(PRICED.domain)
    assert every is not None
    every = every[price(every).feasible]
    points = np.column_stack([-accuracy(every), costs(every)])
    limit = signed(REFERENCE, PRICED.directions)[0]
    goal = 0.99 * hypervolume(points, limit)
    sampler = AUTO.model_copy(update={"unscreened_frac": 0.1})
    screens = [hypervolume(search(auto, sampler, seed, 60), limit) for seed in range(5)]
    evolves = [hypervolume(search(nsga2, sampler, seed, 120), limit) for seed in range(5)]
    assert np.median(screens) >= goal
    assert np.median(evolves) < goal


def test_the_number_of_blas_threads_changes_no_answer() -> None:
    history = random_history(PLAIN, 120)
    controller = ThreadpoolController().select(user_api="blas")
    found = []
    for threads in (1, 2):
        screening._fitted.cache_clear()
        with controller.limit(limits=threads):
            found.append(first(auto, PLAIN, history, 120))
            assert {library["num_threads"] for library in controller.info()} == {threads}
    assert found[0] == found[1]


def test_the_promising_are_those_that_screening_keeps() -> None:
    history = random_history(PRICED, 60)
    results = screening.usable_results(history[:50], MOST)
    running = [replace(t, state="running", values=None) for t in history[50:] if t.trained]
    every = screening.whole(PRICED.domain)
    assert every is not None
    kept = screening.screened(PRICED, results, running, np.random.default_rng(0))
    hopeful = screening.promising(PRICED, results, running, every)
    assert 0 < hopeful.sum() < len(every)
    assert set(map(tuple, every[hopeful])) == set(map(tuple, kept))
    forbidden = every[~price(every).feasible]
    assert len(forbidden) > 0
    assert not screening.promising(PRICED, results, running, forbidden).any()


def test_once_all_that_was_screened_is_known_the_hopeful_of_evolution_come_first() -> None:
    problem = replace(PRICED, domain=small_domain((9, 9, 9, 3, 9)))
    assert screening.whole(problem.domain) is None
    history = random_history(PRICED, 60)
    results = screening.usable_results(history, MOST)
    # What failed is known, and neither a result nor running.
    for child in list(module._new(problem, history, results, Draws(1, 60))):
        failed = replace(history[0], genes=child.vector, state="failed", values=None)
        history.append(replace(failed, number=len(history), trained=True))
    children = list(islice(auto(problem, AUTO, history, Draws(1, 60)), 50))
    evolved = list(islice(nsga2(problem, AUTO, history, Draws(1, 60)), 50))
    assert children != evolved
    assert sorted(c.vector for c in children) == sorted(c.vector for c in evolved)
    vectors = np.array([child.vector for child in children])
    hopeful = screening.promising(problem, results, [], vectors).tolist()
    assert 0 < sum(hopeful) < 50
    assert hopeful == sorted(hopeful, reverse=True)
