"""What the contracts of samplers share: their names, their settings, how far to follow each."""

import pickle
from collections.abc import Sequence
from typing import get_args

import pytest

from cimsearch.search.history import Seen
from cimsearch.spec.study import Sampler, SamplerName

NAMES: tuple[SamplerName, ...] = get_args(SamplerName)
POPULATION = 4

every_sampler = pytest.mark.parametrize("name", NAMES)


def length(name: SamplerName) -> int:
    """Return how many trials show what a sampler does once it has results to go by."""
    return 14 if name == "gp" else 24  # From ten results on, its proposals take a second each.


def setting(name: SamplerName) -> Sampler:
    """Return the settings of a sampler in a short study."""
    return Sampler(name=name, population=POPULATION, lag=3)


def rebuilt(trials: Sequence[Seen]) -> list[Seen]:
    """Return equal trials of new objects, as after being read from a database."""
    copies: list[Seen] = [pickle.loads(pickle.dumps(trial)) for trial in trials]
    assert copies == list(trials)
    return copies
