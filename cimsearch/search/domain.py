"""What samplers draw from: vectors of variables, whether they are a space's genes or Optuna's."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cimsearch.space import AnySpace

Vectors = NDArray[np.float64]
"""Points to evaluate (n, v). A ``real`` variable is in 0..1, others are an index of a choice."""

Kind = Literal["real", "ordinal", "categorical"]


@dataclass(frozen=True, slots=True)
class Variable:
    """One column of the vectors.

    Attributes:
        name: Of the gene or parameter.
        kind: ``real``; or, of choices, ``ordinal`` if neighbours are alike, else ``categorical``.
        size: How many choices it has; 0 if real.
        group: Variables of one group are parts of one thing, such as a stage of a network.
    """

    name: str
    kind: Kind
    size: int
    group: str


@dataclass(frozen=True)
class Domain:
    """All vectors that may be proposed.

    Attributes:
        variables: The columns.
        active: Which variables count in each vector: (n, v) to (n, v) booleans.
        repaired: The vectors with those that do not count made like what counts: (n, v) to (n, v).
    """

    variables: tuple[Variable, ...]
    active: Callable[[Vectors], NDArray[np.bool_]]
    repaired: Callable[[Vectors], Vectors]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """How many choices each variable has (v,); 0 where it is real."""
        return np.array([variable.size for variable in self.variables], dtype=np.int64)

    def is_kind(self, kind: Kind) -> NDArray[np.bool_]:
        """Return which variables (v,) are of a kind."""
        return np.array([variable.kind == kind for variable in self.variables], dtype=bool)

    def sample(self, n: int, rng: np.random.Generator) -> Vectors:
        """Return ``n`` uniformly drawn vectors (n, v)."""
        uniform = rng.random((n, len(self.variables)))
        return np.where(self.sizes > 0, np.floor(uniform * self.sizes), uniform)


def domain_of(space: AnySpace) -> Domain:
    """Return a space's genes as a domain; a gene's group is its stage, of its own workload."""
    variables = tuple(
        Variable(
            gene.name,
            "ordinal" if gene.ordered else "categorical",
            len(gene.choices),
            _group(gene.name),
        )
        for gene in space.genes
    )

    def active(vectors: Vectors) -> NDArray[np.bool_]:
        return space.active(vectors.astype(np.int64))

    def repaired(vectors: Vectors) -> Vectors:
        return space.repair(vectors.astype(np.int64)).astype(np.float64)

    return Domain(variables, active, repaired)


def _group(gene: str) -> str:
    workload, slash, name = gene.rpartition("/")
    return workload + slash + name.split(".", 1)[0]
