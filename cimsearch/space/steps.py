"""A plan of a family's nodes, with the axes that decide the rest.

A plan is made once a space (see ``layout``). Everything made of gene values comes from it: one
blueprint, or the layer table of many candidates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal

from cimsearch.blueprint import Blueprint, Node, Shape
from cimsearch.space.conditions import Conditions, Unless, Value
from cimsearch.spec.channel_groups import HIGH, JOINED
from cimsearch.spec.optional_genes import RESIDUAL, ROW_SPARSITY

NUMERIC_FIELDS = {
    "weight_bits": "w_bits",
    "activation_bits": "x_bits",
    "adc_bits": "adc_bits",
    "encoding": "encoding",
    "range_policy": "range_policy",
}
"""The axes that a searched layer's numerics may have, and the field of a node each one sets."""

OF_ARRAYS = ("adc_bits", "encoding", "range_policy")
"""Those of them that only a layer on arrays has."""

Part = Literal["", "low", "high"]

SCALED_TO = 8
"""A width multiplier rounds to multiples of this, as that of the MobileNets does."""


def kept(width: int, ratio: float, unit: int = 1) -> int:
    """Return how many of ``width`` channels stay at a prune ratio: rounded half up, at least 1.

    Channels stay or go by ``unit`` at once, of which ``width`` is a multiple.
    """
    return unit * max(1, int(width * (1 - ratio) / unit + 0.5))


def high_channels(channels: int, share: float) -> int:
    """Return how many of a layer's output channels have more bits: rounded half up.

    Between a share of 0 and one of 1 at least one has more bits, and at least one has not.
    """
    if share in (0, 1):
        return channels * int(share)
    return min(max(int(channels * share + 0.5), 1), channels - 1)


@dataclass(frozen=True, slots=True)
class Width:
    """Output channels: those of the axis ``full``, less the share of the axis ``ratio``.

    Attributes:
        full: The axis of the stated channels.
        ratio: The axis of the share of all that is pruned.
        multiplier: The axis of a number that scales the stated channels, rounded half up to a
            multiple of ``SCALED_TO`` and at least that; or empty.
        expansion: The axis of a whole number that multiplies them after that; or empty.
        unit: Pruning leaves a multiple of this.
        share: The axis of the share of channels with more bits, of a part of a layer; or empty.
        part: Which part it is. The low one is the whole layer where all have the same bits.
    """

    full: str
    ratio: str
    multiplier: str = ""
    expansion: str = ""
    unit: int = 1
    share: str = ""
    part: Part = ""

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes that decide it."""
        return tuple(
            filter(None, (self.full, self.ratio, self.multiplier, self.expansion, self.share))
        )

    def whole(self, values: Mapping[str, Value]) -> int:
        """Return the channels with nothing pruned."""
        width = int(values[self.full])
        if self.multiplier:
            width = kept(width, 1 - float(values[self.multiplier]), SCALED_TO)
        return width * int(values[self.expansion]) if self.expansion else width

    def kept(self, values: Mapping[str, Value]) -> int:
        """Return the channels that stay."""
        channels = kept(self.whole(values), float(values[self.ratio]), self.unit)
        if not self.part:
            return channels
        high = high_channels(channels, float(values[self.share]))
        # A share of 1 leaves the low part all channels too, which then have the bits of the high.
        return high if self.part == "high" else channels - high % channels


@dataclass(frozen=True)
class Step:
    """One node of a plan.

    Attributes:
        node: What no choice decides. Its channels are placeholders, but for the classifier's
            outputs; its numerics are too if ``layer`` is given. It reads other planned nodes.
        width: Its output channels if it is a convolution of its own; a classifier's are stated in
            ``node``, every other node keeps those of its input.
        layer: The layer whose axes (``NUMERIC_FIELDS``) set its numerics, or empty.
        part: Which part of that layer it is, if groups of its channels may have different bits.
        kernel: The axis of the height and width of its window, or empty: as in ``node``.
        depthwise: Whether it is a depthwise convolution: it keeps the channels of its input, and
            their prune group.
        execution: The axis of how that is executed (``spec.blocks.Execution``), or empty: as in
            ``node``.
        conditions: Whether it exists.
        bypass: Where it does not, its readers read its input of this index instead.
        follows: Whether it is an activation that alone reads what is before it, and that what is
            before that, if it is a batch norm.
    """

    node: Node
    width: Width | None = None
    layer: str = ""
    part: Part = ""
    kernel: str = ""
    depthwise: bool = False
    execution: str = ""
    conditions: Conditions = ()
    bypass: int = 0
    follows: bool = False

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields of ``node`` by name."""
        return {f.name: getattr(self.node, f.name) for f in fields(Node)}

    @cached_property
    def numeric_axes(self) -> dict[str, str]:
        """The axes that its numerics may have, and the field of a node each one sets."""
        if self.node.op == "add":
            return {f"{self.node.name}.{RESIDUAL}": "x_bits"}
        if not self.layer:
            return {}
        axes = {f"{self.layer}.{axis}": name for axis, name in NUMERIC_FIELDS.items()}
        if self.part == "high":
            del axes[f"{self.layer}.weight_bits"]
            axes[self.high_bits] = "w_bits"
        if not self.depthwise:
            axes[self.row_sparsity] = ROW_SPARSITY
        return axes

    @property
    def row_sparsity(self) -> str:
        """The axis of the share of its layer's row groups that hold no weights."""
        return f"{self.layer}.{ROW_SPARSITY}"

    @property
    def high_share(self) -> str:
        """The axis of the share of its layer's channels that have more bits."""
        return f"{self.layer}.high_share"

    @property
    def high_bits(self) -> str:
        """The axis of the weight bits of those channels."""
        return f"{self.layer}.high_bits"

    def window(self, side: int) -> tuple[int, int]:
        """Return the window of ``side``; it is 1 along a dimension of size 1."""
        _, h, w = self.node.in_shape
        return (side if h > 1 else 1, side if w > 1 else 1)


def in_parts(step: Step) -> tuple[Step, Step, Step]:
    """Return a convolution as two parts whose weights may have different bits, and their join.

    Where all channels have the same bits the first part is the whole layer, and is read instead of
    the join.

    Args:
        step: The whole convolution, with a width and the layer whose axes set its numerics.
    """
    node, share = step.node, step.high_share
    two = (*step.conditions, Unless(share, (0.0, 1.0)))
    low, high = (
        replace(step.width, share=share, part=part) if step.width else None
        for part in ("low", "high")
    )
    other = replace(node, name=node.name + HIGH, prune_group="")
    joined = Node(
        node.name + JOINED,
        "concat",
        (node.name, other.name),
        node.out_shape,
        node.out_shape,
        prune_group=node.prune_group,
    )
    return (
        replace(step, width=low, part="low"),
        replace(step, node=other, width=high, part="high", conditions=two),
        Step(joined, step.width, conditions=two),
    )


@dataclass(frozen=True)
class Plan:
    """A family laid out at its greatest depths: steps in an order of execution."""

    input_shape: Shape
    classes: int
    steps: tuple[Step, ...]

    @cached_property
    def template(self) -> Blueprint:
        """The nodes of all steps, with placeholders for what choices decide."""
        return Blueprint(self.input_shape, self.classes, tuple(s.node for s in self.steps))

    @cached_property
    def shares(self) -> tuple[str, ...]:
        """The axes of the shares of layers' channels that have more bits."""
        return tuple(dict.fromkeys(step.high_share for step in self.steps if step.part))
