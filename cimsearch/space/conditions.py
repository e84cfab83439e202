"""What a layer's existence, and so that of its genes, depends on."""

from collections.abc import Mapping
from dataclasses import dataclass

Value = int | float | str
"""What an axis may be."""


@dataclass(frozen=True, slots=True)
class Unless:
    """Something exists unless ``axis`` has one of ``values``."""

    axis: str
    values: tuple[Value, ...]


Conditions = tuple[Unless, ...]
"""All of them have to hold; none: it always exists.

What depends on an axis that may not exist itself has the conditions of that axis too.
"""


def hold(conditions: Conditions, values: Mapping[str, Value]) -> bool:
    """Return whether all of ``conditions`` hold with ``values`` by axis name."""
    return all(values[needed.axis] not in needed.values for needed in conditions)
