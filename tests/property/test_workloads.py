"""Prices of several workloads on one chip, on random networks and systems."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint
from cimsearch.cost import CostReport, estimate
from cimsearch.search.pricing import estimate_batch, price, problem_of
from cimsearch.space import StudySpace, space_of
from cimsearch.space.joint import joined_blueprint
from cimsearch.spec import load_hardware, load_study
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics
from tests.property.systems import (
    RESNET,
    VGG,
    bounded,
    networks,
    statistics,
    systems,
    with_system,
)

SPACE = StudySpace((("digits", VGG), ("photos", RESNET)))
MACHINES = ("macros/yu_cicc_2020", "macros/jia_jssc_2020", "systems/edge_soc")
TOLERANCE = 1e-9


def on(machine: Hardware, network: Blueprint, data: Statistics | None = None) -> CostReport:
    return estimate(network, machine, data, allow_reload=True)


@given(st.sampled_from(MACHINES), st.integers(0, 10_000))
@settings(max_examples=30)
def test_many_at_once_cost_what_each_costs(name: str, seed: int) -> None:
    machine, genes = load_hardware(name), SPACE.sample_genes(6, seed)
    bits = {"weight_bits": 4, "activation_bits": 4}
    fixed = [
        gene.choices.index(bits[kind]) if (kind := gene.name.rsplit(".", 1)[-1]) in bits else None
        for gene in SPACE.genes
    ]
    for column, index in enumerate(fixed):
        if index is not None:
            genes[:, column] = index
    costs = estimate_batch(SPACE, genes, machine)
    for row, vector in enumerate(genes):
        report = on(machine, SPACE.decode(vector).blueprint)
        for quantity in ("energy_pj", "latency_ns", "interval_ns", "area_um2", "macros"):
            assert getattr(costs, quantity)[row] == getattr(report, quantity), quantity


@given(systems(), networks(), networks(), statistics())
@settings(max_examples=60)
def test_a_chip_for_both_costs_no_less_than_for_one(
    system: Hardware, first: Blueprint, second: Blueprint, data: Statistics
) -> None:
    machine = with_system(system, execution="layer_by_layer")
    pair = {"a": bounded(first, machine), "b": bounded(second, machine)}
    both = on(machine, joined_blueprint(pair), data)
    alone = [on(machine, network, data) for network in pair.values()]
    for quantity in ("energy_pj", "latency_ns", "interval_ns", "area_um2", "macros"):
        most = max(getattr(one, quantity) for one in alone)
        assert getattr(both, quantity) >= most * (1 - TOLERANCE), quantity


@given(networks(), networks())
@settings(max_examples=20)
def test_where_all_weights_stay_the_rest_adds_up_but_for_what_is_shared(
    first: Blueprint, second: Blueprint
) -> None:
    machine = load_hardware("macros/yu_cicc_2020")
    pair = {"a": bounded(first, machine), "b": bounded(second, machine)}
    both = on(machine, joined_blueprint(pair))
    alone = [on(machine, network) for network in pair.values()]
    assert both.macros == sum(one.macros for one in alone)
    # The buffer keeps the digital weights of both, so it has less room for what flows.
    assert both.latency_ns >= sum(one.latency_ns for one in alone) * (1 - TOLERANCE)
    # A larger chip leaks more and has longer wires, and its control is a share of the rest.
    grown = {"leakage", "interconnect", "control", "off_chip"}
    for name, energy_pj in both.components.items():
        parts = sum(one.components[name] for one in alone)
        assert energy_pj >= parts * (1 - TOLERANCE), name
        assert name in grown or energy_pj == pytest.approx(parts), name


def test_times_of_networks_that_the_buffer_has_room_for_add_up() -> None:
    machine = load_hardware("macros/yu_cicc_2020")
    pair = {name: VGG.sample(seed).blueprint for seed, name in enumerate("ab")}
    pair = {name: bounded(network, machine) for name, network in pair.items()}
    both = on(machine, joined_blueprint(pair))
    alone = [on(machine, network).latency_ns for network in pair.values()]
    assert both.components["off_chip"] == 0
    assert both.latency_ns == pytest.approx(sum(alone))


@given(systems(), networks(), networks(), statistics())
@settings(max_examples=30)
def test_names_do_not_matter_to_a_price(
    system: Hardware, first: Blueprint, second: Blueprint, data: Statistics
) -> None:
    machine = with_system(system, execution="layer_by_layer")
    first, second = bounded(first, machine), bounded(second, machine)
    one = on(machine, joined_blueprint({"a": first, "b": second}), data)
    other = on(machine, joined_blueprint({"x.y": first, "z": second}), data)
    assert (one.energy_pj, one.latency_ns, one.area_um2) == (
        other.energy_pj,
        other.latency_ns,
        other.area_um2,
    )


def test_a_sampler_is_shown_the_prices_of_all_workloads_on_each_machine() -> None:
    study = load_study("macro_for_two")
    space = space_of(study)
    genes = space.sample_genes(40, 1)
    shown = problem_of(study, space, (0.1, 1.0, 1.0, 1.0)).price
    assert shown is not None
    prices = shown(space.repair(genes).astype(np.float64))
    for row, vector in enumerate(genes):
        priced = price(study, space.decode(vector))
        assert tuple(prices.objectives[row, 1:]) == priced.objectives
        machine = study.machine(priced.candidate.settings)
        parts = [on(machine, member.blueprint).energy_pj for _, member in priced.candidate.members]
        assert priced.report.energy_pj >= sum(parts) * (1 - TOLERANCE)
