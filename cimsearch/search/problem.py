"""What a sampler is asked: a domain, what is known of a vector before training, what is wanted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cimsearch.search.domain import Domain, Vectors
from cimsearch.search.history import Seen
from cimsearch.seeds import stream, torch_seed
from cimsearch.spec.study import Sampler


@dataclass(frozen=True)
class Prices:
    """What is known of vectors before anything is trained.

    Attributes:
        objectives: (n, m), all to be minimised; NaN where only training tells.
        violations: (n, c); <= 0 is feasible.
        features: (n, f): computed quantities that may tell of the accuracy.
    """

    objectives: NDArray[np.float64]
    violations: NDArray[np.float64]
    features: NDArray[np.float64]

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Which vectors (n,) hold every constraint."""
        return np.asarray((self.violations <= 0).all(axis=1))


@dataclass(frozen=True)
class Problem:
    """What is searched.

    Attributes:
        domain: The vectors.
        directions: ``maximize`` or ``minimize`` for each objective.
        reference: The hypervolume's reference point, in objective units; None if the study has
            none: then it follows from the results.
        price: What is known of vectors (n, v) before training; None if nothing is.
    """

    domain: Domain
    directions: tuple[str, ...]
    reference: tuple[float, ...] | None = None
    price: Callable[[Vectors], Prices] | None = None


@dataclass(frozen=True, slots=True)
class Draws:
    """Where the randomness of one proposal comes from: its study's seed and its number.

    Attributes:
        seed: The study's seed.
        k: The number of the trial to propose.
    """

    seed: int
    k: int

    def stream(self, attempt: int) -> np.random.Generator:
        """Return the stream of one attempt at the proposal."""
        return stream("proposal", self.seed, self.k, attempt)

    def number(self, attempt: int) -> int:
        """Return a 32-bit seed for one attempt, for samplers that seed themselves."""
        return torch_seed("proposal", self.seed, self.k, attempt) % 2**32


@dataclass(frozen=True, slots=True)
class Child:
    """A vector to try, as floats (v,), and what the sampler notes with its trial."""

    vector: tuple[float, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)


UNIFORM: Mapping[str, Any] = {"uniform": True}
"""What is noted with a uniform draw: all such trials of a study are a random search of its own."""


class Algorithm(Protocol):
    """An algorithm: a pure function of its arguments, without memory that changes an answer."""

    def __call__(
        self, problem: Problem, settings: Sampler, history: Sequence[Seen], draws: Draws
    ) -> Iterator[Child]:
        """Yield children, the most wanted first; the caller takes the first that is new.

        Args:
            problem: What is searched.
            settings: Population, screening and the like.
            history: What may be known: trials in order of number; values only of ended ones.
            draws: The proposal's randomness; streams of the first 50 attempts are the algorithm's.
        """
