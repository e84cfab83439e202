"""Asking for a proposal without a study: a space, directions, settings."""

from collections.abc import Sequence

from cimsearch.search.domain import domain_of
from cimsearch.search.history import Seen
from cimsearch.search.problem import Draws, Problem
from cimsearch.search.samplers import Proposal, propose
from cimsearch.space import Space
from cimsearch.spec.study import Sampler


def ask(
    settings: Sampler,
    space: Space,
    directions: Sequence[str],
    *,
    seed: int,
    k: int,
    history: Sequence[Seen],
) -> Proposal | None:
    """Return proposal k where nothing is known before training."""
    problem = Problem(domain_of(space), tuple(directions))
    return propose(space, problem, settings, Draws(seed, k), history)
