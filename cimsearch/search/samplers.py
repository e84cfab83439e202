"""Samplers: pure functions from (study seed, k, visible history) to genes.

Nothing of a sampler is kept between proposals. Optuna's NSGA-II gets, for each proposal, a fresh
sampler seeded from k and the parents that follow from the visible history; the generation it
notes with a trial is part of that history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    IntDistribution,
)

from cimsearch.search.generations import GENERATION, Breeder, descent, empty_study, frozen
from cimsearch.search.history import Seen
from cimsearch.seeds import stream, torch_seed
from cimsearch.space import Candidate, Gene, Space
from cimsearch.spec.study import Sampler

# After so many repeats of known candidates the sampler gives way to uniform draws, and after so
# many more of those the space counts as exhausted.
_SAMPLER_TRIES = 50
_RANDOM_TRIES = 1000


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
    origin = descent(history, sampler.population, directions) if sampler.name == "nsga2" else None
    if origin is not None:
        # It stays with a uniform draw, so that this can become a parent.
        attrs = {GENERATION: origin.generation}
    for attempt in range(_SAMPLER_TRIES + _RANDOM_TRIES):
        if origin is not None and attempt < _SAMPLER_TRIES:
            draw_seed = torch_seed("proposal", seed, k, attempt) % 2**32
            # Optuna has parents as selected at the first look and by number from then on.
            parents = sorted(origin.parents, key=_number) if attempt else origin.parents
            genes = _child(space, directions, sampler.population, parents, draw_seed)
        else:
            rng = stream("proposal", seed, k, attempt)
            genes = tuple(space.sample_genes(1, rng)[0].tolist())
        candidate = space.decode(genes)
        if candidate.hash not in known:
            return Proposal(genes, candidate, attrs)
    return None


def _number(trial: Seen) -> int:
    return trial.number


def _child(
    space: Space, directions: Sequence[str], population: int, parents: Sequence[Seen], seed: int
) -> tuple[int, ...]:
    """Return the genes of one child of Optuna's NSGA-II."""
    dists = distributions(space)
    alive = [frozen(trial, params_of(space, trial.genes)) for trial in parents]
    breeder = Breeder(population, alive, dists=dists, seed=seed)
    return genes_of(space, empty_study(directions, breeder).ask(dists).params)
