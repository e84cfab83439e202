"""What every sampler keeps to where candidates are priced, some are forbidden, and machines vary.

As ``test_samplers.py``, on the problems of studies that are shipped. Nothing is trained: a
network is as accurate as it is large, and machines make a difference by their converters.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from cimsearch.orchestrate.run.plan import Plan
from cimsearch.search.auto import FIRST_PRICED
from cimsearch.search.history import Seen, visible
from cimsearch.search.pricing import price
from cimsearch.search.problem import Draws
from cimsearch.search.samplers import Proposal, propose
from cimsearch.space import Candidate
from cimsearch.spec import load_study
from cimsearch.spec.study import Bound, Sampler, SamplerName
from tests.contract.sampling import every_sampler, rebuilt, setting

# Of each study a bound that uniform draws often miss.
BOUNDS = {
    "quickstart": {"energy_pj": Bound(max=350_000.0)},
    "macro_search": {"area_um2": Bound(max=330_000.0), "latency_ns": Bound(max=20_000.0)},
}

every_study = pytest.mark.parametrize("study", BOUNDS)


@cache
def plan_of(study: str) -> Plan:
    """Return what a run of a study needs: its problem, with the reference point of its prices."""
    loaded = load_study(study)
    spec = loaded.spec.model_copy(update={"constraints": BOUNDS[study]})
    return Plan(replace(loaded, spec=spec), None, "", spec.budget.trials or 0)


def accuracy(candidate: Candidate) -> float:
    """Return what stands in for training."""
    network = candidate.blueprint
    bits = sum(node.w_bits + node.x_bits + node.adc_bits for node in network.nodes)
    return 1.0 - 0.7 * float(np.exp(-network.weights / 8000.0 - bits / 80.0))


def trial(plan: Plan, number: int, proposal: Proposal) -> Seen:
    """Return what becomes of a proposal, by the same steps as in a study."""
    priced = price(plan.study, proposal.candidate)
    score = accuracy(proposal.candidate) if priced.feasible else 0.0
    return Seen(
        number=number,
        genes=tuple(map(float, proposal.genes)),
        candidate_hash=proposal.candidate.hash,
        trained=priced.feasible,
        state="complete",
        values=(score, *priced.objectives),
        constraints=priced.constraints,
        attrs=proposal.attrs,
    )


def proposed(plan: Plan, settings: Sampler, done: list[Seen]) -> Proposal:
    """Return the next proposal of a study."""
    known = visible(done, settings.lag)
    assert known is not None
    found = propose(plan.space, plan.problem, settings, Draws(0, len(done)), known)
    assert found is not None
    return found


def run(plan: Plan, settings: Sampler, trials: int) -> list[Seen]:
    """Return the trials of a study."""
    done: list[Seen] = []
    while len(done) < trials:
        done.append(trial(plan, len(done), proposed(plan, settings, done)))
    return done


@every_study
@every_sampler
def test_a_study_trains_nothing_twice_and_goes_on_the_same_after_being_killed(
    name: SamplerName, study: str
) -> None:
    plan, n = plan_of(study), 12 if name == "gp" else 24
    done = run(plan, setting(name), n)
    assert len({seen.candidate_hash for seen in done}) == n
    assert any(seen.trained for seen in done)
    if name != "auto":  # It draws nothing that is forbidden, here.
        assert not all(seen.trained for seen in done)
    for k in (5, n - 1):
        again = proposed(plan, setting(name), rebuilt(done[:k]))
        assert (again.genes, again.attrs) == (done[k].genes, done[k].attrs)


@every_study
def test_what_a_sampler_is_told_before_training_is_what_the_trial_gets(study: str) -> None:
    plan = plan_of(study)
    done = run(plan, setting("random"), 20)
    prices = plan.problem.price
    assert prices is not None
    told = prices(np.array([seen.genes for seen in done]))
    got = np.array([seen.values for seen in done])
    assert np.isnan(told.objectives[:, 0]).all()
    np.testing.assert_allclose(told.objectives[:, 1:], got[:, 1:], rtol=1e-12)
    missed = np.array([seen.constraints for seen in done])
    np.testing.assert_allclose(told.violations, missed, rtol=1e-9, atol=1e-12)
    assert told.feasible.tolist() == [seen.trained for seen in done]


@every_study
def test_screening_proposes_nothing_that_is_forbidden(study: str) -> None:
    plan = plan_of(study)
    settings = setting("auto").model_copy(update={"unscreened_frac": 0.0})
    done = run(plan, setting("random"), 60)
    trained = [seen.number for seen in done if seen.trained]
    assert len(trained) >= FIRST_PRICED + settings.lag
    done = done[: trained[FIRST_PRICED + settings.lag - 1] + 1]
    for _ in range(4):
        done.append(trial(plan, len(done), proposed(plan, settings, done)))
        assert done[-1].trained
    assert len({seen.candidate_hash for seen in done}) == len(done)


def test_a_machine_that_differs_is_another_candidate() -> None:
    space = plan_of("macro_search").space
    genes = space.sample_genes(1, 0)[0]
    supply = space.gene_names.index("hardware.supply_v")
    found = set()
    for choice in range(len(space.genes[supply].choices)):
        genes[supply] = choice
        found.add(space.decode(genes).hash)
    assert len(found) == len(space.genes[supply].choices)


@every_sampler
def test_a_study_of_machines_looks_at_many_of_them(name: SamplerName) -> None:
    plan = plan_of("macro_search")
    done = run(plan, setting(name), 12)
    settings = {plan.space.decode(list(seen.genes)).settings for seen in done}
    assert len(settings) > 6
