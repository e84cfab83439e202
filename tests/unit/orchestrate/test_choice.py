"""Choosing from a front: how sure each point is, and the one network of most fitness."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cimsearch import pareto
from cimsearch.cost.scales import draw_scales, scale_errors
from cimsearch.errors import StudyError, UsageError
from cimsearch.orchestrate.read.answer import best_network, fittest
from cimsearch.orchestrate.read.results import StudyResult
from cimsearch.orchestrate.read.uncertain import front_odds, uncertain_front
from cimsearch.seeds import stream
from tests.unit.orchestrate.repriced import quick_study, result_of


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a database with a finished study."""
    return quick_study(tmp_path_factory.mktemp("chosen"), trials=16)


@pytest.fixture(scope="module")
def result(url: str) -> StudyResult:
    """Return that study."""
    return result_of(url, "tiny")


def with_components(result: StudyResult, energies: list[dict[str, float]]) -> StudyResult:
    """Return the study with these energies, in as many trials of equal latency and accuracy."""
    trials = []
    for trial, parts in zip(result.trials, energies, strict=False):
        assert trial.cost is not None
        components = dict.fromkeys(trial.cost["components"], 0.0) | parts
        cost: dict[str, Any] = {**trial.cost, "components": components}
        values = {"accuracy": 0.5, "energy_pj": sum(parts.values()), "latency_ns": 1.0}
        trials.append(replace(trial, cost=cost, objectives=values, on_front=False))
    return replace(result, trials=tuple(trials))


def test_the_shares_are_those_of_fronts_drawn_one_by_one(result: StudyResult) -> None:
    found = front_odds(result, draws=50)
    errors = scale_errors(result.study.hardware)
    scales = draw_scales(errors, 50, stream("uncertain", result.study.spec.seed))
    counted = dict.fromkeys(range(len(result.trials)), 0)
    for draw in range(50):
        values = []
        for trial in result.trials:
            assert trial.cost is not None
            parts = trial.cost["components"]
            static = sum(parts[n] * scales[n][draw] for n in ("off_chip", "leakage"))
            dynamic = sum(
                parts[n] * scales[n][draw] for n in scales if n not in ("off_chip", "leakage")
            )
            energy = static + dynamic * (1 + result.study.hardware.macro.control_frac)
            accuracy, _, latency = trial.objectives.values()
            values.append((accuracy, energy, latency))
        for number in np.flatnonzero(pareto.front_mask(pareto.signed(values, result.directions))):
            counted[int(number)] += 1
    shares = {point.trial.number: point.on_front_frac for point in found.points}
    expected = {number: count / 50 for number, count in counted.items() if count}
    assert {number: share for number, share in shares.items() if share} == pytest.approx(expected)


def test_all_of_the_modelled_front_is_listed_and_sorted_by_energy(result: StudyResult) -> None:
    found = front_odds(result, draws=200)
    assert {t.number for t in result.front} <= {p.trial.number for p in found.points}
    energies = [point.trial.objectives["energy_pj"] for point in found.points]
    assert energies == sorted(energies)
    # Whoever is best in what no draw changes is on every front.
    best = max(result.trials, key=lambda t: (t.objectives["accuracy"], -t.number))
    assert next(p for p in found.points if p.trial.number == best.number).on_front_frac == 1.0
    assert sum(point.on_front_frac for point in found.points) >= 1


def test_equal_shares_of_parts_are_never_turned_around(result: StudyResult) -> None:
    alike = with_components(result, [{"adc": 10.0, "cells": 5.0}, {"adc": 12.0, "cells": 6.0}])
    (point,) = front_odds(alike, draws=300).points
    assert point.trial.number == 0
    assert point.on_front_frac == 1.0


def test_networks_of_other_parts_change_places_as_often_as_their_scales_do(
    result: StudyResult,
) -> None:
    other = with_components(result, [{"adc": 10.0}, {"cells": 10.0}])
    found = {p.trial.number: p.on_front_frac for p in front_odds(other, draws=2000).points}
    assert found[0] == pytest.approx(0.5, abs=0.04)
    assert found[0] + found[1] == pytest.approx(1.0)


def test_the_draws_follow_from_the_study_alone(url: str, result: StudyResult) -> None:
    one, two = uncertain_front("tiny", storage=url, draws=40), front_odds(result, draws=40)
    assert [p.on_front_frac for p in one.points] == [p.on_front_frac for p in two.points]
    assert one.draws == 40
    assert 0 < one.assumed_frac < 1
    assert "array_call" not in one.parts
    assert "buffers" in one.assumed


def test_without_energy_there_is_nothing_to_draw(result: StudyResult) -> None:
    spec = result.study.spec.model_copy(update={"objectives": ("accuracy", "latency_ns")})
    other = replace(result, study=replace(result.study, spec=spec))
    with pytest.raises(UsageError, match=r"--uncertain: tiny has the objectives accuracy, lat"):
        front_odds(other)


def test_the_answer_is_the_fittest_trial_and_on_the_front(url: str, result: StudyResult) -> None:
    front = {trial.number for trial in result.front}
    for alpha, beta in ((0.0, 0.0), (0.3, 0.1), (5.0, 0.0), (0.0, 50.0)):
        answer = best_network("tiny", alpha=alpha, beta=beta, storage=url)
        of = {
            t.number: answer.fitness.of(
                t.objectives["accuracy"], t.objectives["energy_pj"], t.objectives["latency_ns"]
            )
            for t in result.trials
        }
        assert answer.value == max(of.values()) == of[answer.trial.number]
        assert answer.trial.number in front
        assert set(answer.baselines) == {"uniform 8 bit", "uniform 4 bit"}
    cheapest = min(result.trials, key=lambda t: t.objectives["energy_pj"])
    greedy = fittest(result, alpha=1e6, beta=0.0)
    assert greedy.trial.number == cheapest.number


def test_bad_weights_and_empty_studies_are_refused(result: StudyResult) -> None:
    with pytest.raises(UsageError, match=r"fitness: found -1 and 0; allowed is 0 or more"):
        fittest(result, alpha=-1, beta=0)
    with pytest.raises(StudyError, match="tiny: no trial has an accuracy"):
        fittest(replace(result, trials=()), alpha=1, beta=0)
