"""Proposals: pure functions from (study seed, k, visible history) to genes.

Nothing of a sampler is kept between proposals: what an algorithm notes with a trial is part of
the history, and its randomness comes from the study's seed and the trial's number.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    IntDistribution,
)

from cimsearch.search.algorithms import algorithm_of, then_uniform
from cimsearch.search.history import Seen, hashes_of
from cimsearch.search.problem import Draws, Problem
from cimsearch.space import AnySpace, Candidate, Gene
from cimsearch.spec.study import Sampler

# After so many uniform draws of known candidates the space counts as exhausted.
_RANDOM_TRIES = 1000


@dataclass(frozen=True, slots=True)
class Proposal:
    """Genes to try, the candidate they decode to, and what the sampler noted with them."""

    genes: tuple[int, ...]
    candidate: Candidate
    attrs: Mapping[str, Any]


def distributions(space: AnySpace) -> dict[str, BaseDistribution]:
    """Return the Optuna distribution of every gene.

    An ordered gene is an integer, the index of its choice; an unordered one is categorical.
    """
    return {gene.name: _distribution(gene) for gene in space.genes}


def _distribution(gene: Gene) -> BaseDistribution:
    if gene.ordered:
        return IntDistribution(0, len(gene.choices) - 1)
    return CategoricalDistribution(gene.choices)


def params_of(space: AnySpace, genes: Sequence[float]) -> dict[str, CategoricalChoiceType]:
    """Return genes (g,) as Optuna parameters."""
    return {
        gene.name: int(index) if gene.ordered else gene.choices[int(index)]
        for gene, index in zip(space.genes, genes, strict=True)
    }


def genes_of(space: AnySpace, params: Mapping[str, Any]) -> tuple[int, ...]:
    """Return Optuna parameters as genes (g,): the inverse of ``params_of``."""
    return tuple(
        int(params[gene.name]) if gene.ordered else gene.choices.index(params[gene.name])
        for gene in space.genes
    )


def propose(
    space: AnySpace,
    problem: Problem,
    settings: Sampler,
    draws: Draws,
    history: Sequence[Seen],
    taken: Container[str] = (),
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
    known = hashes_of(history)
    children = algorithm_of(settings.name)(problem, settings, history, draws)
    tried: set[tuple[int, ...]] = set()
    for child in then_uniform(children, problem.domain, draws, _RANDOM_TRIES):
        genes = tuple(map(int, child.vector))
        if genes in tried:
            continue
        tried.add(genes)
        candidate = space.decode(genes)
        if candidate.hash not in known and candidate.hash not in taken:
            return Proposal(genes, candidate, child.attrs)
    return None
