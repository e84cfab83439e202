"""Samplers: pure functions from (study seed, k, visible history) to genes.

Nothing of a sampler is kept between proposals. Optuna's NSGA-II gets, for each proposal, a fresh
sampler seeded from k and an in-memory study that holds the visible history; the generation it
notes with a trial is part of that history.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    IntDistribution,
)
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from cimsearch.search.history import Seen
from cimsearch.seeds import stream, torch_seed
from cimsearch.space import Candidate, Gene, Space
from cimsearch.spec.study import Sampler

# After so many repeats of known candidates the sampler gives way to uniform draws, and after so
# many more of those the space counts as exhausted.
_SAMPLER_TRIES = 50
_RANDOM_TRIES = 1000

_STATES = {
    "complete": TrialState.COMPLETE,
    "failed": TrialState.FAIL,
    "running": TrialState.RUNNING,
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """Genes to try, the candidate they decode to, and what the sampler noted with them."""

    genes: tuple[int, ...]
    candidate: Candidate
    attrs: Mapping[str, Any]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return the Optuna distribution of every gene.

    An ordered gene is an integer, the index of its choice; an unordered one is categorical.
    """
    return {gene.name: _distribution(gene) for gene in space.genes}


def _distribution(gene: Gene) -> BaseDistribution:
    if gene.ordered:
        return IntDistribution(0, len(gene.choices) - 1)
    return CategoricalDistribution(gene.choices)


def params_of(space: Space, genes: Sequence[int]) -> dict[str, CategoricalChoiceType]:
    """Return genes (g,) as Optuna parameters."""
    return {
        gene.name: index if gene.ordered else gene.choices[index]
        for gene, index in zip(space.genes, genes, strict=True)
    }


def genes_of(space: Space, params: Mapping[str, Any]) -> tuple[int, ...]:
    """Return Optuna parameters as genes (g,): the inverse of ``params_of``."""
    return tuple(
        int(params[gene.name]) if gene.ordered else gene.choices.index(params[gene.name])
        for gene in space.genes
    )


def propose(
    sampler: Sampler,
    space: Space,
    directions: Sequence[str],
    *,
    seed: int,
    k: int,
    history: Sequence[Seen],
) -> Proposal | None:
    """Return proposal k: a candidate that no trial of ``history`` has, or None if none is left.

    Args:
        sampler: Which algorithm, with its settings.
        space: What to draw from.
        directions: ``maximize`` or ``minimize`` for each objective.
        seed: The study's seed.
        k: The number of the trial to propose.
        history: What the proposal may know, from ``visible``.
    """
    known = {trial.candidate_hash for trial in history}
    attrs: Mapping[str, Any] = {}
    view = _view(space, directions, history) if sampler.name == "nsga2" else None
    for attempt in range(_SAMPLER_TRIES + _RANDOM_TRIES):
        if view is not None and attempt < _SAMPLER_TRIES:
            draw_seed = torch_seed("proposal", seed, k, attempt) % 2**32
            genes, attrs = _nsga2(sampler, space, view, draw_seed)
        else:
            rng = stream("proposal", seed, k, attempt)
            # The generation that the sampler noted stays, so that the draw can become a parent.
            genes = tuple(space.sample_genes(1, rng)[0].tolist())
        candidate = space.decode(genes)
        if candidate.hash not in known:
            return Proposal(genes, candidate, attrs)
    return None


def _view(
    space: Space, directions: Sequence[str], history: Sequence[Seen]
) -> tuple[optuna.Study, InMemoryStorage]:
    """Return an Optuna study in memory that holds the visible history."""
    # A view that lives for one proposal is no news; Optuna would announce each.
    logging.getLogger("optuna.storages._in_memory").setLevel(logging.WARNING)
    storage = InMemoryStorage()
    wanted = [optuna.study.StudyDirection[direction.upper()] for direction in directions]
    study_id = storage.create_new_study(wanted, "view")
    dists = distributions(space)
    for trial in history:
        storage.create_new_trial(study_id, template_trial=_frozen(space, trial, dists))
    return optuna.Study("view", storage), storage


def _nsga2(
    sampler: Sampler, space: Space, view: tuple[optuna.Study, InMemoryStorage], seed: int
) -> tuple[tuple[int, ...], Mapping[str, Any]]:
    """Return one child of Optuna's NSGA-II and the generation it belongs to.

    The view keeps the child as a running trial, which NSGA-II does not look at.
    """
    study, storage = view
    study.sampler = optuna.samplers.NSGAIISampler(population_size=sampler.population, seed=seed)
    asked = study.ask(distributions(space))
    study_id = storage.get_study_id_from_name("view")
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, asked.number)
    return genes_of(space, asked.params), storage.get_trial_system_attrs(trial_id)


def _frozen(space: Space, trial: Seen, dists: dict[str, BaseDistribution]) -> FrozenTrial:
    """Return a trial of the history as Optuna keeps it."""
    constraints = {f"constraints:c{i}": value for i, value in enumerate(trial.constraints)}
    return create_trial(
        state=_STATES[trial.state],
        values=trial.values,
        params=params_of(space, trial.genes),
        distributions=dists,
        system_attrs=dict(trial.attrs) | constraints,
    )
