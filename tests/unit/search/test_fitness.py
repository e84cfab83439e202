"""The scalarised fitness: its normalisation, and that more is better."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.search.baselines import uniform_candidate
from cimsearch.search.fitness import Fitness, fitness_of
from cimsearch.search.pricing import price
from cimsearch.space import Space
from cimsearch.spec import Study, load_hardware

SHARES = st.floats(0, 2)


def test_the_reference_network_pays_the_weights(tiny_study: Study) -> None:
    fitness = fitness_of(tiny_study, alpha=0.3, beta=0.1)
    uniform = uniform_candidate(Space(tiny_study.space), tiny_study.hardware, 8)
    report = price(tiny_study, uniform).report
    assert fitness == Fitness(0.3, 0.1, report.energy_pj, report.latency_ns)
    assert fitness.of(0.9, report.energy_pj, report.latency_ns) == pytest.approx(0.5)
    assert fitness.of(0.9, 0.0, 0.0) == 0.9


def test_the_reference_is_of_the_studys_own_hardware(tiny_study: Study) -> None:
    wan = replace(tiny_study, hardware=load_hardware("macros/wan_nature_2022"))
    one, other = (fitness_of(study, alpha=1, beta=1) for study in (tiny_study, wan))
    assert one.energy_ref_pj != other.energy_ref_pj
    assert one.latency_ref_ns != other.latency_ref_ns


@given(SHARES, SHARES, SHARES, SHARES, SHARES, SHARES)
def test_a_network_that_dominates_is_never_less_fit(
    alpha: float, beta: float, energy: float, latency: float, more: float, longer: float
) -> None:
    fitness = Fitness(alpha, beta, 1e6, 1e4)
    better = fitness.of(0.8, energy * 1e6, latency * 1e4)
    worse = fitness.of(0.7, (energy + more) * 1e6, (latency + longer) * 1e4)
    assert better > worse
