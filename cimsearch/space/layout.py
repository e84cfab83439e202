"""Laying out a family step by step: a plan of its nodes, with the axes that decide the rest.

A plan is made once a space. Everything made of gene values comes from it: one blueprint, or the
layer table of many candidates.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from cimsearch.blueprint import NETWORK_INPUT, Blueprint, Node, Op, Shape
from cimsearch.space.conditions import Conditions, Value
from cimsearch.spec.space import EndLayers

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

SCALED_TO = 8
"""A width multiplier rounds to multiples of this, as that of the MobileNets does."""


def kept(width: int, ratio: float, unit: int = 1) -> int:
    """Return how many of ``width`` channels stay at a prune ratio: rounded half up, at least 1.

    Channels stay or go by ``unit`` at once, of which ``width`` is a multiple.
    """
    return unit * max(1, int(width * (1 - ratio) / unit + 0.5))


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
    """

    full: str
    ratio: str
    multiplier: str = ""
    expansion: str = ""
    unit: int = 1

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes that decide it."""
        return tuple(filter(None, (self.full, self.ratio, self.multiplier, self.expansion)))

    def whole(self, values: Mapping[str, Value]) -> int:
        """Return the channels with nothing pruned."""
        width = int(values[self.full])
        if self.multiplier:
            width = kept(width, 1 - float(values[self.multiplier]), SCALED_TO)
        return width * int(values[self.expansion]) if self.expansion else width

    def kept(self, values: Mapping[str, Value]) -> int:
        """Return the channels that stay."""
        return kept(self.whole(values), float(values[self.ratio]), self.unit)


@dataclass(frozen=True)
class Step:
    """One node of a plan.

    Attributes:
        node: What no choice decides. Its channels are placeholders, but for the classifier's
            outputs; its numerics are too if ``layer`` is given. It reads other planned nodes.
        width: Its output channels if it is a convolution of its own; a classifier's are stated in
            ``node``, every other node keeps those of its input.
        layer: The layer whose axes (``NUMERIC_FIELDS``) set its numerics, or empty.
        kernel: The axis of the height and width of its window, or empty: as in ``node``.
        depthwise: Whether it is a depthwise convolution: it keeps the channels of its input, and
            their prune group.
        execution: The axis of how that is executed (``spec.blocks.Execution``), or empty: as in
            ``node``.
        conditions: Whether it exists.
        bypass: Where it does not, its readers read its input of this index instead.
    """

    node: Node
    width: Width | None = None
    layer: str = ""
    kernel: str = ""
    depthwise: bool = False
    execution: str = ""
    conditions: Conditions = ()
    bypass: int = 0

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields of ``node`` by name."""
        return {f.name: getattr(self.node, f.name) for f in fields(Node)}

    @cached_property
    def numeric_axes(self) -> dict[str, str]:
        """The axes that its numerics may have, and the field of a node each one sets."""
        if not self.layer:
            return {}
        return {f"{self.layer}.{axis}": name for axis, name in NUMERIC_FIELDS.items()}

    def window(self, side: int) -> tuple[int, int]:
        """Return the window of ``side``; it is 1 along a dimension of size 1."""
        _, h, w = self.node.in_shape
        return (side if h > 1 else 1, side if w > 1 else 1)


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


@dataclass
class Layout:
    """A plan in the making: appends steps and keeps the running height and width.

    Of a step that may not exist, the node read instead has to be of its height and width, so that
    choices never change them.
    """

    input_shape: Shape
    steps: list[Step] = field(default_factory=list)
    last: str = NETWORK_INPUT

    def __post_init__(self) -> None:
        self.size = self.input_shape[1:]
        self._conditions: Conditions = ()

    @contextmanager
    def only(self, conditions: Conditions) -> Iterator[None]:
        """Let the steps appended here exist only where ``conditions`` hold, too."""
        before = self._conditions
        self._conditions = (*before, *conditions)
        yield
        self._conditions = before

    def add(self, node: Node, **decided: Any) -> None:
        """Append a step; its node becomes the one that the next node reads.

        Args:
            node: What no choice decides.
            decided: What decides the rest: fields of a ``Step``.
        """
        self.steps.append(Step(node, conditions=self._conditions, **decided))
        self.last, self.size = node.name, node.out_shape[1:]

    def conv(
        self,
        name: str,
        width: Width,
        numerics: str | EndLayers,
        *,
        group: str,
        kernel: str | tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
    ) -> None:
        """Append a convolution that pads to keep the size (divided by its stride, rounded up).

        A dimension of size 1 (the height of a 1-D signal) gets a kernel and stride of 1.

        Args:
            name: Of the node.
            width: Output channels.
            numerics: The layer whose axes set the bits, which then runs on the macro; or where
                the layer runs and its bits, stated.
            group: Convolutions with an equal group keep the same output channels.
            kernel: Height and width of the window, odd; or the axis of both.
            stride: Vertical and horizontal step.
        """
        decided: dict[str, Any] = {"width": width}
        stated: dict[str, Any] = {"prune_group": group, "placement": "cim"}
        if isinstance(numerics, EndLayers):
            stated |= {"placement": numerics.placement}
            stated |= dict.fromkeys(("w_bits", "x_bits"), numerics.bits)
        else:
            decided["layer"] = numerics
        self._windowed(name, kernel, stride, stated, decided)

    def depthwise(self, name: str, *, stride: tuple[int, int] = (1, 1)) -> None:
        """Append a depthwise convolution, or what its axis ``NAME.execution`` replaces it by.

        It keeps the channels of its input, and their prune group. The axes of its layer and its
        kernel have its name too.
        """
        decided = {"layer": name, "depthwise": True, "execution": f"{name}.execution"}
        self._windowed(name, f"{name}.kernel", stride, {"placement": "cim"}, decided)

    def _windowed(
        self,
        name: str,
        kernel: str | tuple[int, int],
        stride: tuple[int, int],
        stated: dict[str, Any],
        decided: dict[str, Any],
    ) -> None:
        (h, w), size = self.size, (1, 1)
        if isinstance(kernel, str):
            decided["kernel"] = kernel
        else:
            size = kernel
        step = (stride[0] if h > 1 else 1, stride[1] if w > 1 else 1)
        node = Node(
            name,
            "conv",
            (self.last,),
            (1, h, w),
            (1, -(-h // step[0]), -(-w // step[1])),
            kernel=(size[0] if h > 1 else 1, size[1] if w > 1 else 1),
            stride=step,
            **stated,
        )
        self.add(node, **decided)

    def same(self, name: str, op: Op, *, other: str | None = None, bypass: int = 0) -> None:
        """Append an operation that keeps the shape: batch norm, activation, or add.

        Args:
            name: Of the node.
            op: What it computes.
            other: What it reads beside the last node.
            bypass: Which of its inputs its readers read where it does not exist.
        """
        inputs = (self.last,) if other is None else (self.last, other)
        self.add(Node(name, op, inputs, (1, *self.size), (1, *self.size)), bypass=bypass)

    def max_pool(self, name: str) -> None:
        """Append a 2 x 2 max pooling; a dimension of size 1 is left alone."""
        h, w = self.size
        window = (min(h, 2), min(w, 2))
        out = (1, h // window[0], w // window[1])
        self.add(Node(name, "maxpool", (self.last,), (1, h, w), out, window, window))

    def finish(self, classes: int, classifier: EndLayers) -> Plan:
        """Append global average pooling and the classifier; return the plan."""
        window, vector = self.size, (1, 1, 1)
        self.add(Node("pool", "avgpool", (self.last,), (1, *window), vector, window, window))
        self.add(
            Node(
                "classifier",
                "linear",
                (self.last,),
                vector,
                (classes, 1, 1),
                placement=classifier.placement,
                w_bits=classifier.bits,
                x_bits=classifier.bits,
            )
        )
        return Plan(self.input_shape, classes, tuple(self.steps))
