"""Samplers: what to try next, as a pure function of what may be known."""

from cimsearch.search.history import Seen, visible
from cimsearch.search.samplers import Proposal, distributions, genes_of, params_of, propose

__all__ = [
    "Proposal",
    "Seen",
    "distributions",
    "genes_of",
    "params_of",
    "propose",
    "visible",
]
