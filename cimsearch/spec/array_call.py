"""A look-up table of a whole array call, from circuit simulation: bits, rows, activity."""

from collections import Counter
from collections.abc import Iterable
from itertools import product
from typing import Any, Literal, Self, get_args

from pydantic import model_validator

from cimsearch.spec.base import Bits, Count, Fraction, Positive, Spec
from cimsearch.spec.document import FieldError

AXES = ("bits", "rows", "activity_frac")
"""What a point is told for, in the order of the grids."""

SimulatedComponent = Literal["cells", "drivers", "adc", "adder_tree", "shift_add"]
COMPONENTS: tuple[SimulatedComponent, ...] = get_args(SimulatedComponent)


class SimulatedCall(Spec):
    """One simulated array call: one input plane on ``rows`` driven rows, and its results.

    ``bits`` are those of the converter on an analog macro, of the weights on a digital one.
    """

    bits: Bits
    rows: Count
    activity_frac: Fraction
    energy_pj: Positive
    delay_ns: Positive


class ArrayCall(Spec):
    """Energy and time of an array call by its bits, driven rows and activity.

    Between its points a table is linear along each axis; outside them it is refused. An axis of
    one value allows that value alone. ``components`` are what the energy covers, ``density_frac``
    the share of stored bits that are 1 in the simulation: other densities are not interpolated.
    """

    components: tuple[SimulatedComponent, ...]
    density_frac: Fraction
    points: tuple[SimulatedCall, ...]

    @model_validator(mode="after")
    def _components_differ(self) -> Self:
        if not self.components:
            raise FieldError("components", f"found none; allowed are {_listed(COMPONENTS)}")
        if repeated := _repeated(self.components):
            raise FieldError("components", f"found {repeated} twice; allowed is once")
        return self

    @model_validator(mode="after")
    def _grid_is_full(self) -> Self:
        if not self.points:
            raise FieldError("points", "found none; needed are one or more")
        places = [place_of(point) for point in self.points]
        if repeated := _repeated(places):
            raise FieldError("points", f"found the point {_named(repeated)} twice")
        axes, known = self.axes(), set(places)
        hole = next((place for place in product(*axes) if place not in known), None)
        if hole:
            raise FieldError(
                "points",
                f"missing the point {_named(hole)}; a table has every combination of its "
                f"{_named(map(_listed, axes))}",
            )
        return self

    def axes(self) -> tuple[tuple[float, ...], ...]:
        """Return the values of each of ``AXES`` that there are points at, rising."""
        values = zip(*map(place_of, self.points), strict=True)
        return tuple(tuple(sorted(set(axis))) for axis in values)


def place_of(point: SimulatedCall) -> tuple[float, ...]:
    """Return where a point is on each of ``AXES``."""
    return (point.bits, point.rows, point.activity_frac)


def _named(values: Iterable[Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(AXES, values, strict=True))


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


def _repeated(values: Iterable[Any]) -> Any:
    """Return the first value that stands there more than once, if any."""
    return next((value for value, count in Counter(values).items() if count > 1), None)
