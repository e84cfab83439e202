"""With nothing to lose, no sampler finds a network that is cheaper than it could be.

All candidates are given the same accuracy, so a search exploits whatever the cost model gets
wrong. What wins is frozen with its breakdown and the reason why it is physically sound.
"""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from cimsearch.space import Genes
from cimsearch.spec.study import SamplerName
from tests.golden.golden import HERE, check_golden
from tests.loopholes.breakdown import breakdown
from tests.loopholes.cheapest import BLIND, OBJECTIVES, SURVIVALS, climbed, field_of, searched
from tests.loopholes.reasons import WHY

# One macro of each compute model: charge summing, charge redistribution, current summing,
# resistive cells, digital.
MACROS = ("yu_cicc_2020", "jia_jssc_2020", "jiang_vlsi_2018", "wan_nature_2022", "chih_isscc_2021")
NETWORKS = ("any", "largest")
CANDIDATES = {"any": 10_000, "largest": 2_000}
# Every algorithm on one macro; on the others, whose prices differ and not the search, three.
ON_ONE: tuple[SamplerName, ...] = ("random", "qmc", "tpe", "auto", *SURVIVALS)
ON_OTHERS: tuple[SamplerName, ...] = ("random", "auto", "nsga2")
SEARCHES = [
    *((MACROS[0], sampler) for sampler in ON_ONE),
    *((macro, sampler) for macro in MACROS[1:] for sampler in ON_OTHERS),
]
# Optuna's TPE takes 25 ms and more to propose one candidate. Its Gaussian processes take seconds,
# and Optuna's own evolutions propose as ours do: they are not among the searches.
FEWER: dict[SamplerName, int] = {"tpe": 150, "qmc": 2_000}


@cache
def tried(macro: str, network: str, sampler: SamplerName) -> tuple[Genes, np.ndarray]:
    """Return what a sampler tries, and its prices."""
    n = min(CANDIDATES[network], FEWER.get(sampler, CANDIDATES[network]))
    return searched(field_of(macro, network), sampler, n)


def winners(macro: str, network: str) -> list[dict[str, Any]]:
    """Return the cheapest networks, each with what it is cheapest in and why that is sound."""
    field = field_of(macro, network)
    # The first of those that the whole search tries.
    genes, prices = (part[:2_000] for part in tried(macro, network, "nsga2"))
    cheapest: dict[tuple[int, ...], list[str]] = {}
    for objective, name in enumerate(OBJECTIVES):
        best = climbed(field, genes[prices[:, objective].argmin()], objective)
        cheapest.setdefault(best, []).append(name)
    # There is one reason a network: another winner needs one of its own.
    assert len(cheapest) == 1, f"{macro}, {network}: {cheapest}"
    return [
        {"cheapest_in": names, **breakdown(field, best), "why": WHY[macro, network].strip()}
        for best, names in cheapest.items()
    ]


def frozen(macro: str, network: str) -> dict[str, Any]:
    """Return the frozen winner in all objectives."""
    [winner] = json.loads((HERE / f"winners_{macro}.json").read_text(encoding="utf-8"))[network]
    assert winner["cheapest_in"] == list(OBJECTIVES)
    return dict(winner)


@pytest.mark.parametrize("macro", MACROS)
def test_the_winners_are_the_frozen_ones(macro: str) -> None:
    check_golden(
        f"winners_{macro}.json", {network: winners(macro, network) for network in NETWORKS}
    )


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("macro", "sampler"), SEARCHES)
def test_no_sampler_finds_anything_cheaper(macro: str, network: str, sampler: SamplerName) -> None:
    field, winner = field_of(macro, network), frozen(macro, network)
    genes, prices = tried(macro, network, sampler)
    least = field.prices(np.array([winner["genes"]]))[0]
    found = prices.min(axis=0)
    assert (found >= least * (1 - 1e-9)).all(), "a hole in the cost model, or a better winner"
    if sampler not in (*BLIND, "tpe"):
        assert (found <= least * (1 + 1e-9)).all()
    for objective in range(len(OBJECTIVES)):
        best = climbed(field, genes[prices[:, objective].argmin()], objective)
        assert list(best) == winner["genes"]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("macro", MACROS)
def test_a_winner_has_the_least_of_all_that_costs(macro: str, network: str) -> None:
    field, winner = field_of(macro, network), frozen(macro, network)
    for gene in field.space.genes:
        if gene.name in winner["choices"] and not gene.name.endswith("range_policy"):
            extreme = max if gene.name.endswith("prune_ratio") else min
            assert winner["choices"][gene.name] == extreme(gene.choices), gene.name


# Array calls of the layers on arrays in the smallest network: its 16 and 4 pixels, once for each
# of 2 input bits, or once where an input is a train of pulses.
CALLS = dict.fromkeys(MACROS, (32, 8)) | {"wan_nature_2022": (16, 4)}

# By hand, from the figures in the macros' files: what a call takes, ns.
CALL_NS = {
    "yu_cicc_2020": 5.0,
    "jia_jssc_2020": 1150.0 + 8 * 25.0,
    "jiang_vlsi_2018": 64 * 4 * 0.625,
    "wan_nature_2022": 2 * 1420.0 + 3 * 50.0,
    "chih_isscc_2021": 10.0,
}
# And what all converters of an array take in a call, pJ: k1 V^2 bits + k2 V^2 4^bits.
CONVERTERS_PJ = {
    "yu_cicc_2020": 128 * 0.254,
    "jia_jssc_2020": 256 * 0.85**2 * (0.301 * 8 + 1e-6 * 4**8),
    "jiang_vlsi_2018": 64 * 0.6**2 * (0.1 * 4 + 1e-6 * 4**4),
    "wan_nature_2022": 256 * 1.8**2 * (2 * 0.7 + 0.1 * 3 + 1e-6 * 4**3),
    "chih_isscc_2021": 0.0,
}


@pytest.mark.parametrize("macro", MACROS)
def test_what_the_smallest_network_costs_by_hand(macro: str) -> None:
    winner = frozen(macro, "any")
    on_arrays = [layer for layer in winner["layers"].values() if layer["arrays"]]
    assert [layer["arrays"] for layer in on_arrays] == [1, 1]
    assert winner["macros"] == 2
    for layer, calls in zip(on_arrays, CALLS[macro], strict=True):
        assert layer["latency_ns"] == pytest.approx(calls * CALL_NS[macro], rel=2e-3)
    converters_pj = sum(CALLS[macro]) * CONVERTERS_PJ[macro]
    assert winner["components"]["adc"] == pytest.approx(converters_pj, rel=1e-3)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("macro", MACROS)
def test_a_breakdown_adds_up(macro: str, network: str) -> None:
    winner = frozen(macro, network)
    energy_pj = winner["costs"]["energy_pj"]
    assert sum(winner["components"].values()) == pytest.approx(energy_pj, rel=1e-4)
    layers = winner["layers"].values()
    assert sum(layer["energy_pj"] for layer in layers) == pytest.approx(energy_pj, rel=1e-4)
    latency_ns = winner["costs"]["latency_ns"]
    assert sum(layer["latency_ns"] for layer in layers) == pytest.approx(latency_ns, rel=1e-4)
    # Every node has a price, and nothing is less than free.
    assert all(layer["energy_pj"] > 0 and layer["latency_ns"] > 0 for layer in layers)
    assert all(part >= 0 for part in winner["components"].values())
