"""Which rung's results a proposal of a study with rungs learns from."""

from dataclasses import replace
from functools import cache

import pytest

from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.proposing import proposed
from cimsearch.search.auto import FIRST_PRICED
from cimsearch.search.history import Seen
from cimsearch.search.pricing import price
from cimsearch.search.problem import UNIFORM
from cimsearch.spec import load_study
from cimsearch.spec.study import Sampler, SamplerName


@cache
def plan_of(name: SamplerName, population: int) -> Plan:
    """Return what a run of a study with three rungs needs."""
    study = load_study("digits_table")
    sampler = Sampler(name=name, population=population, unscreened_frac=0.0)
    spec = study.spec.model_copy(update={"sampler": sampler})
    return Plan(replace(study, spec=spec), None, "", 100)


def history(plan: Plan, at_rung: list[int]) -> list[Seen]:
    """Return so many results at each rung, the best of a rung below promoted."""
    genes = plan.space.sample_genes(at_rung[0], 0).tolist()
    found: list[Seen] = []
    for rung, n in enumerate(at_rung):
        for place, row in enumerate(genes[:n]):
            candidate = plan.space.decode(row)
            values = (0.5 + 0.01 * place, *price(plan.study, candidate).objectives)
            name, number = candidate.hash, len(found)
            found.append(Seen(number, tuple(row), name, True, "complete", values, (), {}, rung))
    return found


@pytest.mark.parametrize("name", ["auto", "nsga2"])
@pytest.mark.parametrize("promoted", [0, 3, 4, FIRST_PRICED - 1, FIRST_PRICED, 12])
def test_a_rung_with_few_results_does_not_bring_uniform_draws_back(
    name: SamplerName, promoted: int
) -> None:
    plan = plan_of(name, population=4)
    known = history(plan, [20, promoted, 0])
    found = proposed(plan, known)
    assert found is not None
    assert found.attrs != UNIFORM
    assert found.candidate.hash not in {trial.candidate_hash for trial in known}


def test_below_what_is_learnt_from_draws_are_uniform() -> None:
    plan = plan_of("auto", population=4)
    for n in (FIRST_PRICED - 1, FIRST_PRICED):
        found = proposed(plan, history(plan, [n, 0, 0]))
        assert found is not None
        assert (found.attrs == UNIFORM) == (n < FIRST_PRICED)
