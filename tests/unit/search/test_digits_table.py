"""The table in the repository: it is of the study in the catalogue, at today's prices."""

from pathlib import Path

import numpy as np
import pytest

from cimsearch import load_study
from cimsearch.search.pricing import estimate_batch
from cimsearch.search.table import PRICES, Table, every_candidate, load_table
from cimsearch.space import Space

FILE = Path(__file__).parents[3] / "benchmarks" / "tables" / "digits.npz"


@pytest.fixture(scope="module")
def table() -> Table:
    return load_table(FILE)


def test_it_is_the_whole_space_of_its_study(table: Table) -> None:
    assert table.study.spec.name == "digits_table"
    assert len(table) == 1200
    assert np.array_equal(table.genes, every_candidate(table.space))
    assert table.space.hash == Space(load_study("digits_table").space).hash


def test_its_prices_are_those_of_the_cost_model(table: Table) -> None:
    costs = estimate_batch(table.space, table.space.repair(table.genes), table.study.hardware)
    for name in PRICES:
        np.testing.assert_allclose(table.prices[name], getattr(costs, name), rtol=1e-9)


def test_a_repeated_evaluation_is_less_noisy_the_longer_it_is_trained(table: Table) -> None:
    noise = [table.noise_std(rung) for rung in range(3)]
    assert noise == sorted(noise, reverse=True)
    assert noise[-1] < 0.01


def test_rungs_rank_candidates(table: Table) -> None:
    assert 0.5 < table.rank_agreement(0, 2) < table.rank_agreement(1, 2) < 1.0
