"""Proposals are pure functions of (seed, k, visible history)."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.search.history import Seen, State, visible
from cimsearch.search.samplers import distributions, genes_of, params_of
from cimsearch.space import Space
from cimsearch.spec import load_space_spec
from cimsearch.spec.space import SpaceSpec
from cimsearch.spec.study import Sampler
from tests.proposals import ask

SPACE = Space(load_space_spec("vgg_tiny"))
DIRECTIONS = ("maximize", "minimize", "minimize")
SAMPLERS = {
    "random": Sampler(name="random", lag=3),
    "nsga2": Sampler(name="optuna_nsga2", population=4, lag=3),
}


def seen(number: int, *, state: State = "complete", trained: bool = True) -> Seen:
    genes = tuple(SPACE.sample_genes(1, number)[0].tolist())
    rng = random.Random(number)
    return Seen(
        number=number,
        genes=genes,
        candidate_hash=SPACE.decode(genes).hash,
        trained=trained,
        state=state,
        values=(rng.random(), 10 * rng.random(), 5 * rng.random())
        if state == "complete"
        else None,
        constraints=(0.0 if trained else 1.0,),
        attrs={"NSGAIISampler:generation": number // 4},
    )


def run(sampler: Sampler, trials: int, seed: int = 0) -> list[tuple[float, ...]]:
    """Return the proposals of a small study whose accuracy is a stand-in for training."""
    history: list[Seen] = []
    for k in range(trials):
        known = visible(history, sampler.lag)
        assert known is not None
        proposal = ask(sampler, SPACE, DIRECTIONS, seed=seed, k=k, history=known)
        assert proposal is not None
        blueprint = proposal.candidate.blueprint
        values = (1 - 1 / blueprint.weights, float(blueprint.macs), float(len(blueprint.nodes)))
        history.append(
            Seen(
                k,
                proposal.genes,
                proposal.candidate.hash,
                True,
                "complete",
                values,
                (0.0,),
                proposal.attrs,
            )
        )
    return [trial.genes for trial in history]


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_proposal_depends_on_nothing_but_its_arguments(name: str) -> None:
    history = [seen(i) for i in range(12)]
    before = random.getstate()
    first = ask(SAMPLERS[name], SPACE, DIRECTIONS, seed=5, k=12, history=history)
    random.seed(1)
    second = ask(SAMPLERS[name], SPACE, DIRECTIONS, seed=5, k=12, history=history)
    random.setstate(before)
    assert first == second
    other = ask(SAMPLERS[name], SPACE, DIRECTIONS, seed=6, k=12, history=history)
    assert other != first


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_no_candidate_is_proposed_twice_and_runs_repeat(name: str) -> None:
    genes = run(SAMPLERS[name], 30)
    assert len({SPACE.decode(g).hash for g in genes}) == 30
    assert run(SAMPLERS[name], 30) == genes
    assert run(SAMPLERS[name], 30, seed=1) != genes


def test_nsga2_breeds_from_what_it_sees() -> None:
    """With one parent gene pool, children after the first generation carry its genes."""
    history = [seen(i) for i in range(8)]
    proposal = ask(SAMPLERS["nsga2"], SPACE, DIRECTIONS, seed=0, k=8, history=history)
    assert proposal is not None
    assert proposal.attrs == {"NSGAIISampler:generation": 2}
    inherited = [
        any(trial.genes[i] == value for trial in history) for i, value in enumerate(proposal.genes)
    ]
    assert sum(inherited) >= len(SPACE.genes) - 3


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_any_mix_of_states_in_the_history_is_taken(name: str) -> None:
    states: list[State] = ["complete", "failed", "running"]
    history = [
        seen(i, state=states[i % 3], trained=i % 4 != 0 or states[i % 3] != "complete")
        for i in range(20)
    ]
    proposal = ask(SAMPLERS[name], SPACE, DIRECTIONS, seed=0, k=20, history=history)
    assert proposal is not None
    assert proposal.candidate.hash not in {t.candidate_hash for t in history}


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_an_exhausted_space_ends_the_proposals(name: str) -> None:
    spec = SPACE.spec.model_dump(mode="python", by_alias=True)
    spec["stages"] = ({"width": (4, 6), "depth": (1,), "downsample": True},)
    spec["genes"] |= {"weight_bits": (4,), "activation_bits": (4,), "prune_ratio": (0.0,)}
    space = Space(SpaceSpec.model_validate(spec))
    history: list[Seen] = []
    for k in range(space.size):
        proposal = ask(SAMPLERS[name], space, DIRECTIONS, seed=0, k=k, history=history)
        assert proposal is not None
        history.append(
            Seen(
                k,
                proposal.genes,
                proposal.candidate.hash,
                True,
                "complete",
                (0.5, 1.0 + k, 1.0),
                (),
                proposal.attrs,
            )
        )
    assert space.size == 2
    assert ask(SAMPLERS[name], space, DIRECTIONS, seed=0, k=2, history=history) is None


@given(st.integers(0, 30), st.integers(1, 10), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_visible_results_depend_on_the_number_alone(n: int, lag: int, rng: random.Random) -> None:
    """Whatever has finished early, what may be known is the same, or it must be waited for."""
    all_done = [seen(i, trained=i % 5 != 4) for i in range(n)]
    partly = [
        seen(t.number, state="running") if t.trained and rng.random() < 0.3 else t
        for t in all_done
    ]
    full, some = visible(all_done, lag), visible(partly, lag)
    assert full is not None
    trained = [t.number for t in all_done if t.trained]
    usable = set(trained[: max(0, len(trained) - lag)])
    assert {t.number for t in full if t.trained and t.values} == usable
    if any(t.state == "running" and t.number in usable for t in partly):
        assert some is None
    else:
        assert some == full


@pytest.mark.parametrize("lag", [0, 1, 3, 100])
def test_only_the_last_trained_results_are_hidden(lag: int) -> None:
    trials = [seen(i, trained=i % 3 != 2) for i in range(12)]
    last = {trial.number for trial in [t for t in trials if t.trained][max(0, 8 - lag) :]}
    known = visible(trials, lag)
    assert known is not None
    assert [trial.genes for trial in known] == [trial.genes for trial in trials]
    for before, after in zip(trials, known, strict=True):
        if before.number in last:
            assert (after.state, after.values, after.constraints) == ("running", None, ())
        else:
            assert after is before


def test_params_hold_every_gene_and_come_back() -> None:
    spec = SPACE.spec.model_dump(mode="python", by_alias=True)
    spec["genes"] |= {"range_policy": ("full_scale", "layer"), "adc_bits": (3, 4, 5)}
    space = Space(SpaceSpec.model_validate(spec))
    dists = distributions(space)
    assert set(dists) == set(space.gene_names)
    for row in space.sample_genes(50, 3):
        genes = tuple(row.tolist())
        params = params_of(space, genes)
        assert all(
            dists[name].to_internal_repr(value) == index
            for (name, value), index in zip(params.items(), genes, strict=True)
        )
        assert genes_of(space, params) == genes
