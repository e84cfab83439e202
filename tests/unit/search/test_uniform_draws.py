"""Which proposals are uniform draws, as each algorithm notes: they depend on no result."""

from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from itertools import islice
from typing import Any

import numpy as np
import pytest
from optuna.samplers import GPSampler, TPESampler

from cimsearch import load_space
from cimsearch.orchestrate.run.state import was_uniform
from cimsearch.search.algorithms import algorithm_of, then_uniform
from cimsearch.search.domain import domain_of
from cimsearch.search.history import Seen
from cimsearch.search.optuna_algorithms import STARTUP
from cimsearch.search.problem import UNIFORM, Child, Draws, Problem
from cimsearch.spec.study import Sampler, SamplerName

SPACE = load_space("vgg_tiny")
WAYS = ("maximize", "minimize", "minimize")
POPULATION = 6


def problem() -> Problem:
    return Problem(domain_of(SPACE), WAYS)


def history(n: int, noted: Mapping[str, Any], seed: int = 0) -> list[Seen]:
    """Return n complete trials with genes that are always the same and results that are not."""
    genes = SPACE.sample_genes(n, 1) if n else np.zeros((0, 0))
    values = np.random.default_rng(seed).random((n, 3))
    return [
        Seen(
            number=k,
            genes=tuple(map(float, genes[k])),
            candidate_hash=str(k),
            trained=True,
            state="complete",
            values=tuple(values[k].tolist()),
            constraints=(),
            attrs=noted,
        )
        for k in range(n)
    ]


def first(name: SamplerName, trials: list[Seen], screening: bool = True) -> Child:
    settings = Sampler(name=name, population=POPULATION, screening=screening)
    children = algorithm_of(name)(problem(), settings, trials, Draws(3, len(trials)))
    return next(iter(children))


def noted_first(name: SamplerName) -> Mapping[str, Any]:
    return first(name, []).attrs


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("auto", 16),
        ("nsga2", POPULATION),
        ("nsga3", POPULATION),
        ("sms_emoa", POPULATION),
        ("age_moea2", POPULATION),
        ("tpe", STARTUP),
        ("gp", STARTUP),
        ("optuna_nsga2", POPULATION),
        ("optuna_nsga3", POPULATION),
    ],
)
def test_an_algorithm_draws_until_it_has_its_results(name: SamplerName, drawn: int) -> None:
    noted = noted_first(name)
    for n in (0, 1, drawn - 1):
        child = first(name, history(n, noted))
        assert was_uniform(child.attrs), n
        # Other results, the same child: nothing of them was used.
        assert child == first(name, history(n, noted, seed=9)), n
    assert not was_uniform(first(name, history(drawn, noted)).attrs)


def test_all_of_random_search_is_drawn_and_nothing_of_qmc() -> None:
    assert was_uniform(first("random", history(30, UNIFORM)).attrs)
    assert not was_uniform(first("qmc", history(3, {})).attrs)


def test_without_screening_auto_draws_as_evolution_does() -> None:
    few, enough = history(POPULATION - 1, UNIFORM), history(POPULATION, UNIFORM)
    assert was_uniform(first("auto", few, screening=False).attrs)
    assert not was_uniform(first("auto", enough, screening=False).attrs)


def test_optuna_draws_as_many_as_is_noted() -> None:
    for sampler in (TPESampler, GPSampler):
        assert signature(sampler).parameters["n_startup_trials"].default == STARTUP


def test_what_follows_an_algorithms_repeats_keeps_its_note() -> None:
    settings, draws = Sampler(name="nsga2", population=POPULATION), Draws(3, 0)
    children = algorithm_of("nsga2")(problem(), settings, [], draws)
    asked = list(islice(then_uniform(children, problem().domain, draws, 10), 55))
    assert all(was_uniform(child.attrs) for child in asked)


def test_candidates_from_elsewhere_are_no_draws() -> None:
    assert not was_uniform({})
    assert not was_uniform({"from": "enqueued"})
    assert not was_uniform(replace(history(1, {})[0], attrs={"uniform": False}).attrs)
