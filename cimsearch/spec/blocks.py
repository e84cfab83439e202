"""What a space file says of networks of separable blocks: depthwise and 1 x 1 convolutions."""

from collections.abc import Mapping
from math import lcm
from typing import Annotated, Literal

from pydantic import Field

from cimsearch.spec.base import Count, Positive, Spec

Choices = Annotated[tuple[Count, ...], Field(min_length=1)]
Side = Literal[1, 3, 5, 7, 9, 11]
Execution = Literal["digital", "diagonal", "grouped_1", "grouped_2", "grouped_4", "grouped_8"]
"""How a depthwise convolution is executed: in the digital unit; on the diagonals of arrays; or
replaced by a convolution on arrays of so many groups."""

GROUPS: Mapping[str, int] = {f"grouped_{groups}": groups for groups in (1, 2, 4, 8)}
"""The groups of the convolution that replaces a depthwise one; those that do not are missing."""


class Stem(Spec):
    """The first convolution of a network of separable blocks: its bits are ``first_layer``'s."""

    width: Choices
    kernel: tuple[Side, Side] = (3, 3)
    stride: tuple[Literal[1, 2], Literal[1, 2]] = (1, 1)


class Blocks(Spec):
    """What the families ``separable`` and ``inverted_residual`` have beside stages.

    ``width_multiplier`` scales all widths, rounded to multiples of 8. ``depthwise`` are the ways
    to execute each depthwise convolution; the first is that of the uniform baselines. Where a
    grouped one may replace it, pruning leaves multiples of its groups.

    Of inverted residual blocks: ``expansion`` is how many times the channels of its input a block
    has inside; at 1 it has no convolution that expands. ``head`` is the width of a last 1 x 1
    convolution, if there is one.
    """

    stem: Stem
    width_multiplier: tuple[Positive, ...] = ()
    depthwise: Annotated[tuple[Execution, ...], Field(min_length=1)]
    expansion: tuple[Count, ...] = ()
    head: tuple[Count, ...] = ()

    @property
    def unit(self) -> int:
        """What the channels that pruning leaves are a multiple of."""
        return lcm(*(GROUPS.get(how, 1) for how in self.depthwise))
