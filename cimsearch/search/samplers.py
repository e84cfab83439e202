"""Proposals: pure functions from (study seed, k, visible history) to genes.

Nothing of a sampler is kept between proposals: what an algorithm notes with a trial is part of
the history, and its randomness comes from the study's seed and the trial's number.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    IntDistribution,
)

from cimsearch.search.algorithms import algorithm_of
from cimsearch.search.history import Seen
from cimsearch.search.problem import Draws, Problem
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


def params_of(space: Space, genes: Sequence[float]) -> dict[str, CategoricalChoiceType]:
    """Return genes (g,) as Optuna parameters."""
    return {
        gene.name: int(index) if gene.ordered else gene.choices[int(index)]
        for gene, index in zip(space.genes, genes, strict=True)
    }


def genes_of(space: Space, params: Mapping[str, Any]) -> tuple[int, ...]:
    """Return Optuna parameters as genes (g,): the inverse of ``params_of``."""
    return tuple(
        int(params[gene.name]) if gene.ordered else gene.choices.index(params[gene.name])
        for gene in space.genes
    )


def propose(
    space: Space,
    problem: Problem,
    settings: Sampler,
    draws: Draws,
    history: Sequence[Seen],
    taken: Collection[str] = (),
) -> Proposal | None:
    """Return a candidate that no trial of ``history`` has, or None if none is left.

    Args:
        space: What the problem's vectors mean.
        problem: What is searched, from ``problem_of``.
        settings: Which algorithm, with its settings.
        draws: The study's seed and the number of the trial to propose.
        history: What the proposal may know, from ``visible``: results of one rung.
        taken: Hashes of more candidates that are not to be proposed.
    """
    known = {*taken, *(trial.candidate_hash for trial in history)}
    children = algorithm_of(settings.name)(problem, settings, history, draws)
    attrs: Mapping[str, Any] = {}
    for child in islice(children, _SAMPLER_TRIES):
        attrs = child.attrs
        proposal = _decoded(space, child.vector, attrs)
        if proposal.candidate.hash not in known:
            return proposal
    for attempt in range(_SAMPLER_TRIES, _SAMPLER_TRIES + _RANDOM_TRIES):
        # What the sampler notes stays with a uniform draw, so that this can become a parent.
        proposal = _decoded(space, problem.domain.sample(1, draws.stream(attempt))[0], attrs)
        if proposal.candidate.hash not in known:
            return proposal
    return None


def _decoded(space: Space, vector: Iterable[float], attrs: Mapping[str, Any]) -> Proposal:
    genes = tuple(int(index) for index in vector)
    return Proposal(genes, space.decode(genes), attrs)
