"""Prices of candidates on machines of their own: one by one, many at once, through every door."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cimsearch.api import estimate
from cimsearch.cost import COMPONENTS, Totals
from cimsearch.cost.area import array_um2
from cimsearch.search.pricing import (
    estimate_batch,
    failing_constraints,
    price,
    problem_of,
)
from cimsearch.space import space_of
from cimsearch.spec import Study, load_study
from cimsearch.spec.settings import with_settings
from tests.studies import TINY_STUDY
from tests.unit.cost.explaining import check_arithmetic, explained_layers

Write = Callable[[str, str], Path]

STUDY = load_study("macro_search")
SPACE = space_of(STUDY)
SYSTEM = """\
schema: cimsearch/hardware/1
kind: system
extends: systems/edge_soc
name: few
summary: macros that a study counts
source: a test
macro: macros/charge_28nm
off_chip: {reload: refused}
duplicates: fill
basis: {macros: assumed}
macros: 4
"""


@examples(max_examples=15)
@given(st.integers(0, 10_000))
def test_many_at_once_are_as_each_by_itself(seed: int) -> None:
    genes = SPACE.sample_genes(12, seed)
    totals = estimate_batch(SPACE, genes, STUDY.hardware, STUDY.spec.statistics)
    for row, vector in enumerate(genes):
        candidate = SPACE.decode(vector)
        alone = price(STUDY, candidate)
        again = estimate(candidate, STUDY.hardware, STUDY.spec.statistics)
        assert again == alone.report
        for name in ("energy_pj", "latency_ns", "area_um2", "macros"):
            batch = getattr(totals, name)[row]
            assert getattr(alone.report, name) == pytest.approx(batch, rel=1e-12)
        for name in COMPONENTS:
            found = alone.report.components.get(name, 0.0)
            assert found == pytest.approx(totals.components[name][row], rel=1e-12, abs=1e-12)


def test_the_order_of_rows_does_not_matter() -> None:
    genes = SPACE.sample_genes(50, 1)
    order = np.random.default_rng(0).permutation(50)
    straight, mixed = (
        estimate_batch(SPACE, each, STUDY.hardware) for each in (genes, genes[order])
    )
    for field in fields(Totals):
        if field.name != "components":
            assert (getattr(straight, field.name)[order] == getattr(mixed, field.name)).all()
    for name in COMPONENTS:
        assert (straight.components[name][order] == mixed.components[name]).all()


def test_a_sampler_is_told_the_same_prices() -> None:
    genes = SPACE.sample_genes(30, 2)
    problem = problem_of(STUDY, SPACE, (-0.1, 1.0, 1.0, 1.0))
    assert problem.price is not None
    prices = problem.price(genes.astype(np.float64))
    for row, vector in enumerate(genes):
        alone = price(STUDY, SPACE.decode(vector))
        assert prices.objectives[row, 1:] == pytest.approx(alone.objectives, rel=1e-12)
        assert np.isnan(prices.objectives[row, 0])


def test_a_machine_is_not_the_band_of_the_measured_one() -> None:
    for seed in range(5):
        assert not price(STUDY, SPACE.sample(seed)).report.calibrated


def test_one_network_costs_what_its_machine_costs() -> None:
    """Every field moves some price: none is a gene in name alone."""
    middle = SPACE.repair(np.ones((1, len(SPACE.genes)), dtype=np.int64))[0]
    for column in range(len(SPACE.genes) - 6, len(SPACE.genes)):
        found = set()
        for index in range(len(SPACE.genes[column].choices)):
            vector = middle.copy()
            vector[column] = index
            candidate = SPACE.decode(vector)
            found.add((candidate.settings, price(STUDY, candidate).objectives))
        machines, prices = ({each[part] for each in found} for part in (0, 1))
        assert len(machines) == len(prices) > 1


def counted(write: Write, more: str) -> Study:
    write("few.yaml", SYSTEM)
    text = TINY_STUDY.replace("macros/yu_cicc_2020", "./few.yaml")
    genes = "genes: {hardware: {macros: [2, 8, 64]}}"
    text = text.replace("genes: {adc_bits: [3, 4, 5]}", genes)
    return load_study(str(write("tiny.yaml", text + more)))


def test_networks_have_to_fit_the_macros_of_their_own_machine(write: Write) -> None:
    study = counted(write, "")
    assert study.hardware.reload_refused
    assert set(study.bounds) == {"macros"}
    space = space_of(study)
    genes = space.sample_genes(60, 0)
    feasible, fails = failing_constraints(study, genes)
    expected = []
    for vector in genes:
        priced = price(study, space.decode(vector))
        owned = dict(priced.candidate.settings)["macros"]
        assert priced.constraints == ((priced.report.macros - owned) / owned,)
        expected.append(priced.feasible)
    assert feasible == sum(expected)
    assert fails == {"macros": 60 - sum(expected)}
    assert 0 < feasible < 60


def test_a_stated_bound_holds_on_every_machine(write: Write) -> None:
    study = counted(write, "constraints: {macros: {max: 4}}\n")
    bounds = [study.bounds_on(study.machine((("macros", n),)))["macros"].max for n in (2, 8)]
    assert bounds == [2, 4]


def test_macros_cost_area_and_spare_ones_save_time(write: Write) -> None:
    study = counted(write, "")
    space = space_of(study)
    genes = np.zeros(len(space.genes), dtype=np.int64)
    prices = []
    for index in range(3):
        genes[-1] = index
        prices.append(price(study, space.decode(genes)).report)
    fitting = [report for report in prices if report.macros <= 64]
    areas = [report.area_um2 for report in fitting]
    assert areas == sorted(set(areas))
    times = [report.latency_ns for report in fitting]
    assert times == sorted(times, reverse=True)
    assert times[-1] < times[0]


@examples(max_examples=5)
@given(st.integers(0, 1000), st.sampled_from([1, 2, 4]))
def test_the_equations_of_a_machine_s_price_are_those_that_are_told(seed: int, bits: int) -> None:
    candidate = SPACE.sample(seed)
    machine = with_settings(STUDY.hardware, (*candidate.settings, ("dac_bits", bits)))
    for found in explained_layers(candidate.blueprint, machine):
        check_arithmetic(found)
        areas = [term.value for term in found.terms if term.symbol == "array area"]
        assert areas in ([], [pytest.approx(array_um2(machine.macro), rel=1e-9)])
        told = {term.symbol for term in found.terms}
        assert ("DAC area" in told) == (bits > 1 and bool(areas))
