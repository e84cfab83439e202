"""Variation: from vectors of parents to vectors of children, all rows at once.

Parents are found by binary tournament. A child mixes two of them, by whole groups (the stages of
a network) or variable by variable, and a few of its variables change. Only what counts is varied:
a variable that is not active is made like what is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimsearch.search.domain import Domain, Vectors

# A child is mixed by whole groups with this probability, else variable by variable.
_ALIGNED = 0.5

# An ordinal variable that changes takes the next choice with this probability, else any other.
_STEP = 0.8

# A real variable that changes is drawn anew with this probability, else it moves a little: by a
# polynomial of this index (K. Deb, S. Agrawal, "A niched-penalty approach for constraint handling
# in genetic algorithms", 1999), as NSGA-II has it.
_REDRAWN = 0.5
_ETA = 20.0

# So often is a child that equals a parent changed again; where this does not help, as in a space
# of two vectors, it stays.
_CHANGES = 8

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Parents:
    """Who children descend from.

    Attributes:
        vectors: (p, v).
        order: (p,) Which parent is better: the one with the smaller number; equal ones tie.
    """

    vectors: Vectors
    order: NDArray[np.int64]


def children_of(domain: Domain, parents: Parents, n: int, rng: np.random.Generator) -> Vectors:
    """Return ``n`` children (n, v) of parents, of whom there is at least one."""
    first, second = (parents.vectors[tournament(parents.order, n, rng)] for _ in range(2))
    mixed = crossed(domain, first, second, rng)
    children = domain.repaired(mutated(domain, mixed, chosen(domain, mixed, rng), rng))
    for _ in range(_CHANGES):
        same = is_like(domain, children, first) | is_like(domain, children, second)
        if not same.any():
            break
        copies = children[same]
        children[same] = domain.repaired(mutated(domain, copies, one_of(domain, copies, rng), rng))
    return children


def tournament(order: NDArray[np.int64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the winners (n,) of ``n`` binary tournaments, as indices into ``order`` (p,)."""
    drawn = rng.integers(0, len(order), (n, 2))
    left, right = order[drawn[:, 0]], order[drawn[:, 1]]
    return np.where(right < left, drawn[:, 1], drawn[:, 0])


def crossed(domain: Domain, first: Vectors, second: Vectors, rng: np.random.Generator) -> Vectors:
    """Return one child (n, v) of each pair of parents, rows of ``first`` and ``second`` (n, v).

    Each variable is that of one parent or the other. In a child that is mixed by groups all
    variables of a group are of one parent.
    """
    n, (groups, group_of) = len(first), _groups(domain)
    by_variable = rng.random(first.shape) < 0.5
    by_group = (rng.random((n, groups)) < 0.5)[:, group_of]
    aligned = (rng.random((n, 1)) < _ALIGNED) & (groups > 1)
    return np.where(np.where(aligned, by_group, by_variable), second, first)


def _groups(domain: Domain) -> tuple[int, NDArray[np.int64]]:
    """Return how many groups there are, and the number of each variable's group (v,)."""
    names, group_of = np.unique([v.group for v in domain.variables], return_inverse=True)
    return len(names), group_of


def chosen(domain: Domain, vectors: Vectors, rng: np.random.Generator) -> Mask:
    """Return which variables (n, v) change: each of those that count, one a vector on average."""
    may = _may_change(domain, vectors)
    rate = 1.0 / np.maximum(may.sum(axis=1, keepdims=True), 1)
    return np.asarray(may & (rng.random(vectors.shape) < rate))


def one_of(domain: Domain, vectors: Vectors, rng: np.random.Generator) -> Mask:
    """Return one variable of each vector to change (n, v): any of those that count."""
    may = _may_change(domain, vectors)
    picked = np.where(may, rng.random(vectors.shape), -1.0).argmax(axis=1)
    return np.asarray(may & (np.arange(vectors.shape[1]) == picked[:, None]))


def _may_change(domain: Domain, vectors: Vectors) -> Mask:
    return np.asarray(domain.active(vectors) & (domain.sizes != 1))


def mutated(domain: Domain, vectors: Vectors, change: Mask, rng: np.random.Generator) -> Vectors:
    """Return the vectors (n, v) with the variables of ``change`` (n, v) changed.

    A choice always becomes another one: the next up or down with probability 0.8 if it is
    ordinal, else any other. A real value is drawn anew or moves a little.
    """
    uniform = rng.random((4, *vectors.shape))
    sizes = np.maximum(domain.sizes, 2)
    other = (vectors + 1 + np.floor(uniform[0] * (sizes - 1))) % sizes
    step = np.where(uniform[1] < 0.5, -1.0, 1.0)
    inside = (vectors + step >= 0) & (vectors + step < sizes)
    stepped = vectors + np.where(inside, step, -step)
    ordinal = domain.is_kind("ordinal") & (uniform[2] < _STEP)
    moved = np.where(uniform[2] < _REDRAWN, uniform[0], _moved(vectors, uniform[3]))
    new = np.where(domain.sizes == 0, moved, np.where(ordinal, stepped, other))
    return np.where(change, new, vectors)


def _moved(values: Vectors, uniform: Vectors) -> Vectors:
    """Return real values in 0..1 moved by a polynomial, which leaves no value outside."""
    power = 1.0 / (_ETA + 1.0)
    values = np.clip(values, 0.0, 1.0)
    low = uniform < 0.5
    room = np.where(low, 1.0 - values, values) ** (_ETA + 1.0)
    part = np.where(low, 2.0 * uniform, 2.0 * (1.0 - uniform))
    distance = 1.0 - (part + (1.0 - part) * room) ** power
    return np.clip(np.where(low, values - distance, values + distance), 0.0, 1.0)


def is_like(domain: Domain, vectors: Vectors, others: Vectors) -> Mask:
    """Return which vectors (n, v) differ from their row of ``others`` in nothing that counts."""
    active = domain.active(vectors)
    return np.asarray(((vectors == others) | ~active).all(axis=1))
