"""Two test problems of 30 mixed parameters, as objectives of plain Optuna studies.

Each has 10 parameters of every kind, and each parameter stands for a place in 0..1:

- ``real0`` to ``real9``: floats in 0..1, the place itself;
- ``step0`` to ``step9``: integers i in 0..10, at i / 10;
- ``choice0`` to ``choice9``: one of a, b, c, d, e. The j-th choice of the n-th such parameter is
  at ((2 j + n) mod 5) / 4: neighbours in a list are not neighbours in place.

All objectives are minimised. With x the places of the first parameters and z those of the others:

- Mixed DTLZ2, 3 objectives, x = real0, real1 and 28 others (K. Deb, L. Thiele, M. Laumanns,
  E. Zitzler, "Scalable multi-objective optimization test problems", CEC 2002):
  g = sum (z - 1/2)^2; f1 = (1 + g) cos(pi x0 / 2) cos(pi x1 / 2);
  f2 = (1 + g) cos(pi x0 / 2) sin(pi x1 / 2); f3 = (1 + g) sin(pi x0 / 2).
  The front is the unit sphere's positive part, at z = 1/2. Reference point (4, 4, 4): the front's
  hypervolume is 64 - pi / 6.
- Mixed ZDT1, 2 objectives, x = real0 and 29 others (E. Zitzler, K. Deb, L. Thiele, "Comparison of
  multiobjective evolutionary algorithms", Evolutionary Computation 8(2), 2000):
  g = 1 + 9 mean(z); f1 = x0; f2 = g (1 - sqrt(x0 / g)). The front is f2 = 1 - sqrt(f1), at z = 0.
  Reference point (1, 5): the front's hypervolume is 5 - 1/3.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import optuna
from optuna.study import StudyDirection

OF_EACH_KIND = 10
STEPS = 10
CHOICES = ("a", "b", "c", "d", "e")


@dataclass(frozen=True)
class MixedProblem:
    """A problem: a function of places, and from where its hypervolume is measured.

    Attributes:
        name: What tables call it.
        values: Objective values (m,) of places (30,), all to be minimised.
        reference: The hypervolume's reference point (m,).
        exact: The hypervolume of its whole front.
    """

    name: str
    values: Callable[[Sequence[float]], tuple[float, ...]]
    reference: tuple[float, ...]
    exact: float

    @property
    def directions(self) -> tuple[StudyDirection, ...]:
        """To minimise each objective."""
        return (StudyDirection.MINIMIZE,) * len(self.reference)

    def __call__(self, trial: optuna.Trial) -> tuple[float, ...]:
        """Return the objective values of a trial's parameters."""
        return self.values(places(trial))


def places(trial: optuna.Trial) -> list[float]:
    """Return the places (30,) of a trial's parameters: floats, integers, choices."""
    numbers = range(OF_EACH_KIND)
    reals = [trial.suggest_float(f"real{n}", 0.0, 1.0) for n in numbers]
    steps = [trial.suggest_int(f"step{n}", 0, STEPS) / STEPS for n in numbers]
    choices = [
        choice_place(n, str(trial.suggest_categorical(f"choice{n}", CHOICES))) for n in numbers
    ]
    return [*reals, *steps, *choices]


def choice_place(n: int, choice: str) -> float:
    """Return the place of a choice of the n-th categorical parameter."""
    return ((2 * CHOICES.index(choice) + n) % len(CHOICES)) / (len(CHOICES) - 1)


def dtlz2(at: Sequence[float]) -> tuple[float, float, float]:
    """Return the three objective values of DTLZ2 at places (n,)."""
    first, second, *others = at
    radius = 1 + math.fsum((place - 0.5) ** 2 for place in others)
    up, along = 0.5 * math.pi * first, 0.5 * math.pi * second
    flat = radius * math.cos(up)
    return flat * math.cos(along), flat * math.sin(along), radius * math.sin(up)


def zdt1(at: Sequence[float]) -> tuple[float, float]:
    """Return the two objective values of ZDT1 at places (n,)."""
    first, *others = at
    g = 1 + 9 * math.fsum(others) / len(others)
    return first, g * (1 - math.sqrt(first / g))


MIXED_DTLZ2 = MixedProblem("mixed DTLZ2", dtlz2, (4.0, 4.0, 4.0), 64 - math.pi / 6)
MIXED_ZDT1 = MixedProblem("mixed ZDT1", zdt1, (1.0, 5.0), 5 - 1 / 3)
