"""What every sampler keeps to, whichever algorithm is behind its name.

A proposal is a pure function of (seed, k, visible history); no decoded candidate comes twice.
"""

import random
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cimsearch.search.domain import domain_of
from cimsearch.search.history import Seen, State, visible
from cimsearch.search.problem import Draws, Problem
from cimsearch.search.samplers import Proposal, propose
from cimsearch.space import Space
from cimsearch.spec import load_space_spec
from cimsearch.spec.space import SpaceSpec
from cimsearch.spec.study import SamplerName
from tests.contract.sampling import every_sampler, length, rebuilt, setting

WAYS = ("maximize", "minimize", "minimize", "minimize")


@cache
def space_of(depth: tuple[int, ...] = (1,), **genes: tuple[float | str, ...]) -> Space:
    """Return a space of two stages; ``genes`` have these choices, others have one."""
    spec = load_space_spec("vgg_tiny").model_dump(mode="python", by_alias=True)
    stage = {"width": genes.pop("width", (4,)), "depth": (1,), "downsample": True}
    one = {"weight_bits": (4,), "activation_bits": (4,), "prune_ratio": (0.0,)}
    spec["stages"] = (stage, stage | {"depth": depth})
    spec["genes"] |= one | genes
    return Space(SpaceSpec.model_validate(spec))


def small() -> Space:
    """Return a space of seven genes, of which two do not always count: 80 candidates."""
    policies = ("full_scale", "layer")
    return space_of(depth=(1, 2), width=(4, 6), weight_bits=(4, 8), range_policy=policies)


def problem(space: Space, objectives: int = 3) -> Problem:
    """Return a problem in which nothing is known before training."""
    return Problem(domain_of(space), WAYS[:objectives])


def values(space: Space, genes: tuple[float, ...], objectives: int = 3) -> tuple[float, ...]:
    """Return values that stand in for training: they trade off against each other."""
    blueprint = space.decode([int(gene) for gene in genes]).blueprint
    bits = sum(node.w_bits for node in blueprint.nodes)
    every = (
        1 - 1 / blueprint.weights - 0.1 / bits,
        float(blueprint.macs),
        float(bits),
        float(blueprint.weights * bits),
    )
    return every[:objectives]


def trial(space: Space, number: int, proposal: Proposal, objectives: int = 3) -> Seen:
    """Return the finished trial of a proposal."""
    scored = values(space, proposal.genes, objectives)
    return Seen(
        number,
        proposal.genes,
        proposal.candidate.hash,
        True,
        "complete",
        scored,
        (-0.5,),
        proposal.attrs,
    )


def run(name: SamplerName, trials: int, *, space: Space, objectives: int = 3) -> list[Seen]:
    """Return the trials of a study."""
    done: list[Seen] = []
    asked = problem(space, objectives)
    for k in range(trials):
        known = visible(done, setting(name).lag)
        assert known is not None
        proposal = propose(space, asked, setting(name), Draws(0, k), known)
        assert proposal is not None
        done.append(trial(space, k, proposal, objectives))
    return done


@every_sampler
def test_no_candidate_comes_twice_and_a_resumed_study_goes_on_the_same(name: SamplerName) -> None:
    space, n = small(), length(name)
    done = run(name, n, space=space)
    assert len({trial.candidate_hash for trial in done}) == n
    for k in (0, 8, n - 1):
        known = visible(rebuilt(done[:k]), setting(name).lag)
        assert known is not None
        again = propose(space, problem(space), setting(name), Draws(0, k), known)
        assert again is not None
        assert (again.genes, again.attrs) == (done[k].genes, done[k].attrs)


@every_sampler
def test_proposals_differ_from_seed_to_seed(name: SamplerName) -> None:
    space = small()
    done = run(name, 8, space=space)  # Later on the best may be the same for all seeds.
    proposals = [
        propose(space, problem(space), setting(name), Draws(s, 8), done) for s in range(4)
    ]
    assert len({proposal.genes for proposal in proposals if proposal is not None}) > 1


@every_sampler
@pytest.mark.parametrize("objectives", [1, 2, 4])
def test_any_number_of_objectives(name: SamplerName, objectives: int) -> None:
    done = run(name, 14, space=small(), objectives=objectives)
    assert len({trial.candidate_hash for trial in done}) == 14


@every_sampler
def test_a_space_of_one_gene_is_used_up(name: SamplerName) -> None:
    space = space_of(range_policy=("full_scale", "layer", "column"))
    assert [len(gene.choices) for gene in space.genes] == [3]
    done: list[Seen] = []
    for k in range(3):
        proposal = propose(space, problem(space), setting(name), Draws(0, k), done)
        assert proposal is not None
        done.append(trial(space, k, proposal))
    assert propose(space, problem(space), setting(name), Draws(0, 3), done) is None


@every_sampler
def test_global_random_state_is_left_alone(name: SamplerName) -> None:
    space = small()
    done = run(name, 13, space=space)
    before, threads = global_state(), torch.get_num_threads()
    first = propose(space, problem(space), setting(name), Draws(0, 13), done)
    assert global_state() == before
    assert torch.get_num_threads() == threads
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002 - the state that no sampler may look at
    torch.manual_seed(7)
    assert propose(space, problem(space), setting(name), Draws(0, 13), done) == first


def global_state() -> tuple[object, ...]:
    """Return the state of every random generator that belongs to no one."""
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
    return random.getstate(), name, np.asarray(keys).tobytes(), rest, bytes(torch.get_rng_state())


ENDS: dict[str, State] = {
    "complete": "complete",
    "infeasible": "complete",
    "failed": "failed",
    "running": "running",
}


@every_sampler
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(ends=st.lists(st.sampled_from(list(ENDS)), max_size=16), chance=st.integers(0, 99))
def test_any_mix_of_trials(name: SamplerName, ends: list[str], chance: int) -> None:
    """Whatever became of the trials, and whoever proposed them, there is a next one, and one."""
    space = small()
    history = [mixed(space, number, end, chance) for number, end in enumerate(ends)]
    k = len(history)
    proposal = propose(space, problem(space), setting(name), Draws(0, k), history)
    assert proposal is not None
    assert proposal.candidate.hash not in {trial.candidate_hash for trial in history}
    again = propose(space, problem(space), setting(name), Draws(0, k), rebuilt(history))
    assert again is not None
    assert (again.genes, again.attrs) == (proposal.genes, proposal.attrs)


def mixed(space: Space, number: int, end: str, chance: int) -> Seen:
    """Return a trial with that end, of genes that may repeat; some were enqueued by hand."""
    genes = tuple(map(float, space.sample_genes(1, 100 * chance + number)[0].tolist()))
    feasible = end != "infeasible"
    scored = values(space, genes)
    by_hand = number % 3 == 0
    attrs = {} if by_hand else {"NSGAIISampler:generation": 0, "NSGAIIISampler:generation": 0}
    return Seen(
        number=number,
        genes=genes,
        candidate_hash=space.decode([int(gene) for gene in genes]).hash,
        trained=feasible,
        state=ENDS[end],
        values=scored if end == "complete" else (0.0, *scored[1:]) if not feasible else None,
        constraints=() if end in ("failed", "running") else (-0.5 if feasible else 0.25,),
        attrs=attrs,
    )
