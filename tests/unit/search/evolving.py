"""A mixed domain and histories of trials, as evolution sees them."""

from typing import get_args

import numpy as np

from cimsearch.search.domain import Domain, Variable
from cimsearch.search.history import Seen, State
from cimsearch.search.population import Survival

NAMES: tuple[Survival, ...] = get_args(Survival)
MIN3 = ("minimize",) * 3

DOMAIN = Domain(
    tuple(
        variable
        for i in range(4)
        for variable in (
            Variable(f"real{i}", "real", 0, f"group{i}"),
            Variable(f"ordinal{i}", "ordinal", 9, f"group{i}"),
            Variable(f"categorical{i}", "categorical", 5, f"group{i}"),
        )
    ),
    lambda vectors: np.ones(vectors.shape, bool),
    lambda vectors: vectors,
)


def trial(
    number: int,
    values: tuple[float, ...] | None,
    *,
    state: State = "complete",
    constraints: tuple[float, ...] = (),
    genes: tuple[float, ...] = (),
) -> Seen:
    return Seen(number, genes, str(number), True, state, values, constraints, {})


def dealt(seed: int, n: int, objectives: int) -> list[Seen]:
    """Return a history of trials of every kind."""
    rng = np.random.default_rng(seed)
    history = []
    for number in range(n):
        values = tuple(np.round(rng.random(objectives), 1).tolist())
        kind = rng.choice(
            ["good", "bad", "infinite", "failed", "running"], p=[0.5, 0.2, 0.1, 0.1, 0.1]
        )
        vector = tuple(DOMAIN.sample(1, rng)[0].tolist())
        if kind in ("failed", "running"):
            history.append(trial(number, None, state=kind, genes=vector))
        elif kind == "bad":
            history.append(trial(number, values, constraints=(rng.random(), -1.0), genes=vector))
        else:
            first = np.inf if kind == "infinite" else values[0]
            history.append(
                trial(number, (first, *values[1:]), constraints=(-0.5, 0.0), genes=vector)
            )
    return history


def draws_of(objectives: int, n: int) -> list[list[float]]:
    drawn: list[list[float]] = np.random.default_rng(objectives).random((n, objectives)).tolist()
    return drawn
