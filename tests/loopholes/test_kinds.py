"""With nothing to lose, no sampler finds a hole in machines of other kinds.

As ``test_machines.py``, on overlays of shipped macros of every compute model with all fields that
they may open, and on a system with a number of macros.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimsearch.space import Genes
from cimsearch.spec import load_hardware, load_study
from cimsearch.spec.study import SamplerName
from tests.golden.golden import HERE as GOLDEN
from tests.golden.golden import check_golden
from tests.loopholes.breakdown import breakdown
from tests.loopholes.cheapest import OBJECTIVES, climbed, searched
from tests.loopholes.kind_reasons import why
from tests.loopholes.kinds import HERE, KINDS, field_on

NETWORKS = ("any", "largest")
SEARCHES: list[tuple[SamplerName, int]] = [("random", 500), ("nsga2", 1_000)]

STUDY = """\
schema: cimsearch/study/1
name: open
summary: all fields that a kind of machine opens
source: for tests of loopholes
space: vgg_tiny
hardware: {hardware}
data: {{kind: digits, shape: [1, 8, 8], classes: 10}}
genes: {{{bits}hardware: {opened}}}
objectives: [accuracy, energy_pj]
sampler: {{name: random}}
recipe: {{batch: 128, parent_epochs: 1, parent_lr: 0.2, qat_lr: 0.05}}
rungs:
  - {{epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}}
budget: {{trials: 4}}
workers: 1
"""


@cache
def tried(kind: str, network: str, sampler: SamplerName, n: int) -> tuple[Genes, np.ndarray]:
    """Return what a sampler tries, and its prices."""
    return searched(field_on(kind, network), sampler, n)


def winners(kind: str, network: str) -> dict[str, Any]:
    """Return the cheapest in each price, with the reason why that is sound."""
    field = field_on(kind, network)
    # The first of those that the longest search tries.
    genes, prices = (part[:500] for part in tried(kind, network, "nsga2", 1_000))
    found = {}
    for objective, name in enumerate(OBJECTIVES):
        best = climbed(field, genes[prices[:, objective].argmin()], objective)
        found[name] = breakdown(field, best) | {"why": why(kind, network, name)}
    return found


@cache
def frozen(kind: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the frozen winner of each network and price."""
    text = (GOLDEN / f"winners_kind_{kind}.json").read_text("utf-8")
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(text)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_may_open_these_fields(kind: str, tmp_path: Path) -> None:
    opened = {name: list(values) for name, values in KINDS[kind].items()}
    bits = "weight_bits: [4, 8], " if kind == "digital" else ""
    hardware = HERE / f"{kind}.yaml"
    text = STUDY.format(hardware=hardware, bits=bits, opened=json.dumps(opened))
    (tmp_path / "open.yaml").write_text(text, encoding="utf-8")
    machines = load_study(str(tmp_path / "open.yaml")).machines
    assert machines is not None
    assert {name for name, _ in machines.fields} == set(opened)


@pytest.mark.parametrize("kind", KINDS)
def test_the_winners_are_the_frozen_ones(kind: str) -> None:
    found = {network: winners(kind, network) for network in NETWORKS}
    check_golden(f"winners_kind_{kind}.json", found)


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "n"), SEARCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_sampler_finds_anything_cheaper(kind: str, sampler: SamplerName, n: int) -> None:
    for network in NETWORKS:
        field, (_, prices) = field_on(kind, network), tried(kind, network, sampler, n)
        for objective, name in enumerate(OBJECTIVES):
            winner = np.array([frozen(kind)[network][name]["genes"]])
            least = field.prices(winner)[0, objective]
            found = prices[:, objective].min()
            assert found >= least * (1 - 1e-9), "a hole in the cost model, or a better winner"


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_winner_is_cheapest_in_its_own_price(kind: str, network: str) -> None:
    costs = {name: winner["costs"] for name, winner in frozen(kind)[network].items()}
    for name, own in costs.items():
        assert own[name] == min(other[name] for other in costs.values())
    assert costs["latency_ns"] != costs["area_um2"], "time is free of area"
    assert costs["latency_ns"] != costs["energy_pj"], "time is free of energy"


# By hand, from the figures in the files: fJ of a conversion at the supply of the fastest machine,
# of 3 bits (QS, IS) or 4.
CONVERSION_FJ = {
    "qs": 254.0 * 7 * (0.5 / 0.45) ** 2,
    "is": (100.0 * 3 + 0.001 * 4**3) * 0.7**2,
    "resistive": (100.0 * 4 + 0.001 * 4**4) * 1.05**2,
    "pulses": (2 * 700.0 + 100.0 * 4 + 0.001 * 4**4) * 1.8**2,
    "system": (100.0 * 4 + 0.001 * 4**4) * 0.9**2,
}
# How long the converter sweeps, and the lines settle, ns: settling times, shares of bitlines by
# rows and converter bits, of wordlines by columns and levels.
CALL_NS = {
    "qs": 7 * 5.0 + 2.0 * (0.1 + 0.7 * 0.5 * 3 / 5 + 0.2 * 0.5 * 3 / 2),
    "is": 16 * 3 * 0.625 + 2.0 * (0.1 + 0.7 * 0.25 * 3 / 4 + 0.2 * 3 / 2),
    "resistive": 8 * 4 * 1.852 + 2.0 * (0.1 + 0.7 * 0.25 * 4 / 6 + 0.2 * 0.25),
    "pulses": 4 * 50.0 + 2 * 1420.0 * (0.8 + 0.1 * 0.5 * 4 / 6 + 0.1 * 0.25),
    "system": 4 * 4 * 0.64 + 6.0 * (0.833 * 0.5 * 4 / 6 + 0.167 * 0.5 * 3 / 2),
}
# The supply of the fastest machine over that of the file.
FASTER = {"qs": 0.5 / 0.45, "is": 0.7 / 0.6, "resistive": 1.0, "pulses": 1.0, "system": 1.0}


@pytest.mark.parametrize("kind", CALL_NS)
def test_what_the_fastest_machine_costs_by_hand(kind: str) -> None:
    """The smallest network: 16 and 4 pixels, 2 bits at once, on arrays of 64 lines."""
    winner = frozen(kind)["any"]["latency_ns"]
    converted_pj = (16 + 4) * 64 * CONVERSION_FJ[kind] * 1e-3
    assert winner["components"]["adc"] == pytest.approx(converted_pj, rel=1e-4)
    technology = load_hardware(str(HERE / f"{kind}.yaml")).macro.technology
    call_ns = CALL_NS[kind] / FASTER[kind] ** technology.delay_voltage_exponent
    on_arrays = [layer for layer in winner["layers"].values() if layer["arrays"]]
    for layer, pixels in zip(on_arrays, (16, 4), strict=True):
        assert layer["latency_ns"] == pytest.approx(pixels * call_ns, rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_breakdown_adds_up(kind: str) -> None:
    for network in NETWORKS:
        for winner in frozen(kind)[network].values():
            energy_pj = winner["costs"]["energy_pj"]
            assert sum(winner["components"].values()) == pytest.approx(energy_pj, rel=1e-4)
            assert all(layer["energy_pj"] > 0 for layer in winner["layers"].values())
            assert all(part >= 0 for part in winner["components"].values())
