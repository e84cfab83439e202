"""Explanations checked against the model they explain."""

from collections.abc import Iterator

import pytest

from cimsearch.blueprint import Blueprint
from cimsearch.cost import COMPONENTS, estimate
from cimsearch.cost.explain import Explanation, explain
from cimsearch.cost.explain_expression import FUNCTIONS
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics

DATA = Statistics(activity_frac=0.3, density_frac=0.4)


def explained_layers(
    network: Blueprint, machine: Hardware, data: Statistics = DATA
) -> Iterator[Explanation]:
    """Explain every layer, checking it against the model."""
    report = estimate(network, machine, data, allow_reload=True)
    for layer in report.layers:
        found = explain(network, machine, layer.name, data)
        assert [equation.component for equation in found.equations] == list(COMPONENTS)
        for equation in found.equations:
            energy_pj = layer.components[equation.component]
            assert equation.value_pj == pytest.approx(energy_pj, rel=1e-9, abs=1e-15)
            assert equation.products or equation.why_zero
        assert found.latency.value_ns == pytest.approx(layer.latency_ns, rel=1e-9)
        assert found.energy_pj == pytest.approx(layer.energy_pj, rel=1e-9)
        assert found.copies == layer.copies
        network_ns = {term.symbol: term.value for term in found.network}
        for name, value in (
            ("network latency", report.latency_ns),
            ("interval", report.interval_ns),
        ):
            assert network_ns.get(name, value) == pytest.approx(value, rel=1e-9)
        yield found


def check_arithmetic(found: Explanation) -> None:
    """Check that the printed arithmetic of every integer and of every term gives its value."""
    allowed = {"__builtins__": {}, **FUNCTIONS}
    for count in found.mapping:
        assert eval(count.arithmetic, allowed) == count.value, count.name
    for term in found.terms:
        if term.arithmetic:
            # Printed to ten digits; powers of them lose a few.
            assert eval(term.arithmetic, allowed) == pytest.approx(term.value, rel=1e-6), term
    symbols = [term.symbol for term in found.terms]
    assert len(set(symbols)) == len(symbols), "two terms of one name"
