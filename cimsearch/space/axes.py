"""Axes: what can be chosen of a network, and when."""

from dataclasses import dataclass

from cimsearch.space.conditions import Conditions, Value
from cimsearch.spec.activation import ACTIVATION

UNORDERED = ("encoding", "range_policy", "execution", ACTIVATION)
"""The kinds of axes of whose choices no two are more alike than others."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that can be chosen, also where there is only one choice (then it is no gene).

    Attributes:
        name: Such as ``stage1.layer0.weight_bits``.
        choices: What it may be.
        conditions: Whether it exists in a network.
        neighbour: The same axis one layer to the left, or empty.
        matters: What needs to hold for its choices, but for 0, to be different ones; nothing: they
            always are.
    """

    name: str
    choices: tuple[Value, ...]
    conditions: Conditions = ()
    neighbour: str = ""
    matters: Conditions = ()
