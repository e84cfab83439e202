"""NSGA-II's proposals are those of Optuna's sampler on a study that holds the whole history."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import optuna
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from cimsearch.search import generations
from cimsearch.search.domain import domain_of
from cimsearch.search.generations import GENERATION, descent
from cimsearch.search.history import Seen, State, visible
from cimsearch.search.samplers import distributions, genes_of, params_of
from cimsearch.seeds import stream, torch_seed
from cimsearch.space import Space
from cimsearch.spec import load_space_spec
from cimsearch.spec.space import SpaceSpec
from cimsearch.spec.study import Sampler
from tests.proposals import ask

DIRECTIONS = ("maximize", "minimize", "minimize")
STATES: tuple[State, ...] = get_args(State)
OPTUNA_STATES = {
    "complete": TrialState.COMPLETE,
    "failed": TrialState.FAIL,
    "running": TrialState.RUNNING,
}
WIDE = Space(load_space_spec("vgg_tiny"))


def narrow() -> Space:
    """Return a space of few candidates, with an unordered gene among the ordered."""
    spec = WIDE.spec.model_dump(mode="python", by_alias=True)
    spec["stages"] = ({"width": (4, 6, 8), "depth": (1, 2), "downsample": True},)
    spec["genes"] |= {
        "weight_bits": (4,),
        "activation_bits": (4, 6, 8),
        "prune_ratio": (0.0, 0.5),
        "range_policy": ("full_scale", "layer"),
    }
    return Space(SpaceSpec.model_validate(spec))


NARROW = narrow()


class Whole:
    """What proposals are defined by: a new Optuna study with every trial, for each of them."""

    def __init__(self, space: Space, history: Sequence[Seen]) -> None:
        self.space = space
        self.study = optuna.create_study(
            directions=[optuna.study.StudyDirection[name.upper()] for name in DIRECTIONS]
        )
        dists = distributions(space)
        for trial in history:
            constraints = {f"constraints:c{i}": v for i, v in enumerate(trial.constraints)}
            self.study.add_trial(
                create_trial(
                    state=OPTUNA_STATES[trial.state],
                    values=trial.values,
                    params=params_of(space, trial.genes),
                    distributions=dists,
                    system_attrs=dict(trial.attrs) | constraints,
                )
            )

    def child(self, population: int, seed: int) -> tuple[tuple[int, ...], Mapping[str, Any]]:
        self.study.sampler = optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
        asked = self.study.ask(distributions(self.space))
        noted = self.study.get_trials(deepcopy=False)[asked.number].system_attrs
        return genes_of(self.space, asked.params), noted


def propose_from_whole(
    sampler: Sampler, space: Space, *, seed: int, k: int, history: Sequence[Seen]
) -> tuple[tuple[int, ...], Mapping[str, Any], int] | None:
    """Return genes, attributes and the number of draws that ``propose`` has to come to."""
    known = {trial.candidate_hash for trial in history}
    whole = Whole(space, history)
    attrs: Mapping[str, Any] = {}
    for attempt in range(50 + 1000):
        if attempt < 50:
            draw_seed = torch_seed("proposal", seed, k, attempt) % 2**32
            genes, attrs = whole.child(sampler.population, draw_seed)
        else:
            rng = stream("proposal", seed, k, attempt)
            genes = tuple(map(int, domain_of(space).sample(1, rng)[0]))
        if space.decode(genes).hash not in known:
            return genes, attrs, attempt
    return None


def assert_same(sampler: Sampler, space: Space, seed: int, history: Sequence[Seen]) -> None:
    k = len(history)
    ours = ask(sampler, space, DIRECTIONS, seed=seed, k=k, history=history)
    theirs = propose_from_whole(sampler, space, seed=seed, k=k, history=history)
    if theirs is None:
        assert ours is None
    else:
        assert ours is not None
        assert (ours.genes, ours.attrs) == theirs[:2]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def drawn(space: Space, number: int, genes_seed: int, data: Any) -> Seen:
    """Draw a trial: any state, few different values (ties), any constraints, any generation."""
    genes = tuple(space.sample_genes(1, genes_seed)[0].tolist())
    state = data.draw(st.sampled_from(STATES), label="state")
    value = st.sampled_from((0.0, 0.25, 0.5, 1.0, float("inf")))
    noted = data.draw(st.none() | st.integers(number // 5, number // 3), label="generation")
    return Seen(
        number=number,
        genes=genes,
        candidate_hash=space.decode(genes).hash,
        trained=data.draw(st.booleans(), label="trained"),
        state=state,
        values=data.draw(st.tuples(value, value, value)) if state == "complete" else None,
        constraints=data.draw(st.sampled_from(((), (0.0,), (-1.0, 0.0), (0.5, 0.0), (2.0, -1.0)))),
        attrs={} if noted is None else {GENERATION: noted},
    )


@given(st.data(), st.sampled_from((WIDE, NARROW)), st.integers(0, 24), st.integers(2, 6))
@settings(max_examples=100, deadline=None)
def test_any_history_leads_to_the_same_genes(
    data: Any, space: Space, trials: int, population: int
) -> None:
    seeds = data.draw(st.lists(st.integers(0, 40), min_size=trials, max_size=trials))
    history = [drawn(space, number, seed, data) for number, seed in enumerate(seeds)]
    # Optuna cannot breed from a single parent; a generation of a study leaves two at least.
    assume(len(descent(history, population, DIRECTIONS).parents) != 1)
    sampler = Sampler(name="optuna_nsga2", population=population)
    assert_same(sampler, space, data.draw(st.integers(0, 3), label="seed"), history)


@pytest.mark.parametrize("case", range(6))
def test_a_study_goes_the_same_way_whatever_finishes_first(case: int) -> None:
    """Results come late and out of order, fail, are infeasible; selections are remembered."""
    rng = random.Random(case)
    space = (WIDE, NARROW)[case % 2]
    sampler = Sampler(name="optuna_nsga2", population=(3, 5, 8)[case % 3], lag=(1, 4, 9)[case % 3])
    trials: list[Seen] = []
    ends: dict[int, Seen] = {}
    while len(trials) < 60:
        history = visible(trials, sampler.lag)
        if history is None or (ends and rng.random() < 0.4):
            number = rng.choice(list(ends))
            trials[number] = ends.pop(number)
            continue
        assert_same(sampler, space, case, history)
        k = len(trials)
        proposal = ask(sampler, space, DIRECTIONS, seed=case, k=k, history=history)
        if proposal is None:
            break
        values = (rng.choice((0.1, 0.2, 0.9)), rng.random(), float(rng.randrange(4)))
        done = (proposal.genes, proposal.candidate.hash)
        kind = rng.choice(("complete", "complete", "complete", "infeasible", "failed"))
        if kind == "infeasible":
            row = Seen(k, *done, False, "complete", values, (rng.random(),), proposal.attrs)
        else:
            row = Seen(k, *done, True, "running", None, (), proposal.attrs)
            state: State = "complete" if kind == "complete" else "failed"
            seen_values = values if state == "complete" else None
            ends[k] = Seen(k, *done, True, state, seen_values, (-0.5,), proposal.attrs)
        trials.append(row)
    assert max(trial.attrs[GENERATION] for trial in trials) >= 2


def test_the_draws_after_a_known_candidate_are_the_same_too() -> None:
    """Of histories that hold most of a small space, some need several draws of the sampler."""
    attempts = set()
    for seed in range(30):
        history = settled(NARROW, trials=14, population=4, seed=seed)
        sampler = Sampler(name="optuna_nsga2", population=4)
        assert_same(sampler, NARROW, seed, history)
        theirs = propose_from_whole(sampler, NARROW, seed=seed, k=14, history=history)
        attempts.add(theirs[2] if theirs else None)
    assert {0, 1, 2} <= attempts


def settled(space: Space, *, trials: int, population: int, seed: int = 0) -> list[Seen]:
    """Return a history of complete trials, ``population`` in each generation."""
    rng = random.Random(seed)
    found = []
    for number, row in enumerate(space.sample_genes(trials, seed).tolist()):
        genes = tuple(row)
        values = (rng.random(), rng.random(), rng.random())
        attrs = {GENERATION: number // population}
        name = space.decode(genes).hash
        found.append(Seen(number, genes, name, True, "complete", values, (), attrs))
    return found


def test_what_is_remembered_is_not_taken_for_another_history() -> None:
    """Histories of the same numbers that differ in one result, in any order of asking."""
    sampler = Sampler(name="optuna_nsga2", population=4)
    histories = [settled(WIDE, trials=16, population=4, seed=seed) for seed in range(4)]
    histories += [[*histories[0][:3], histories[1][3], *histories[0][4:]]]
    generations._select.cache_clear()
    for history in [*histories, *reversed(histories)]:
        assert_same(sampler, WIDE, 0, history)


def test_a_proposal_selects_only_where_results_are_new() -> None:
    history = settled(WIDE, trials=41, population=4)
    descent(history[:40], 4, DIRECTIONS)
    before = generations._select.cache_info().misses
    descent(history, 4, DIRECTIONS)
    assert generations._select.cache_info().misses == before
    equal = settled(WIDE, trials=41, population=4)
    descent(equal, 4, DIRECTIONS)
    assert generations._select.cache_info().misses == before


def test_a_study_of_very_many_generations_has_a_next_one() -> None:
    history = settled(NARROW, trials=2400, population=2)
    assert descent(history, 2, DIRECTIONS).generation == 1200
