"""Laying out a family step by step: a plan of its nodes, with the axes that decide the rest.

A plan is made once a space. Everything made of gene values comes from it: one blueprint, or the
layer table of many candidates.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from cimsearch.blueprint import NETWORK_INPUT, Blueprint, Node, Op, Shape
from cimsearch.spec.space import EndLayers

NUMERIC_FIELDS = {
    "weight_bits": "w_bits",
    "activation_bits": "x_bits",
    "adc_bits": "adc_bits",
    "encoding": "encoding",
    "range_policy": "range_policy",
}
"""The axes that a searched layer's numerics may have, and the field of a node each one sets."""


def kept(width: int, ratio: float) -> int:
    """Return how many of ``width`` channels stay at a prune ratio: rounded half up, at least 1."""
    return max(1, int(width * (1 - ratio) + 0.5))


@dataclass(frozen=True, slots=True)
class Width:
    """Output channels: those of the axis ``full``, less the share of the axis ``ratio``."""

    full: str
    ratio: str


@dataclass(frozen=True)
class Step:
    """One node of a plan.

    Attributes:
        node: What no choice decides. Its channels are placeholders, but for the classifier's
            outputs; its numerics are too if ``layer`` is given. It reads other planned nodes.
        width: Its output channels if it is a convolution; a classifier's are stated in ``node``,
            every other node keeps those of its input.
        layer: The layer whose axes (``NUMERIC_FIELDS``) set its numerics, or empty.
        depth: The axis that decides whether it exists, or empty: always. Where it does not, its
            readers read its first input instead.
        position: It exists when the value of ``depth`` is greater than this.
    """

    node: Node
    width: Width | None = None
    layer: str = ""
    depth: str = ""
    position: int = 0

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

    A step that may not exist has to keep height and width, so that choices never change them.
    """

    input_shape: Shape
    steps: list[Step] = field(default_factory=list)
    last: str = NETWORK_INPUT

    def __post_init__(self) -> None:
        self.size = self.input_shape[1:]
        self._condition = ("", 0)

    @contextmanager
    def deeper_than(self, depth: str, position: int) -> Iterator[None]:
        """Let the steps appended here exist only if the axis ``depth`` exceeds ``position``."""
        self._condition = (depth, position)
        yield
        self._condition = ("", 0)

    def add(self, node: Node, width: Width | None = None, layer: str = "") -> None:
        """Append a step; its node becomes the one that the next node reads."""
        depth, position = self._condition
        self.steps.append(Step(node, width, layer, depth, position))
        self.last, self.size = node.name, node.out_shape[1:]

    def conv(
        self,
        name: str,
        width: Width,
        numerics: str | EndLayers,
        *,
        group: str,
        kernel: int,
        stride: int = 1,
    ) -> None:
        """Append a convolution that pads to keep the size (divided by its stride, rounded up).

        A dimension of size 1 (the height of a 1-D signal) gets a kernel and stride of 1.

        Args:
            name: Of the node.
            width: Output channels.
            numerics: The layer whose axes set the bits, which then runs on the macro; or where
                the layer runs and its bits, stated.
            group: Convolutions with an equal group keep the same output channels.
            kernel: Height and width of the window.
            stride: Vertical and horizontal step.
        """
        h, w = self.size
        if isinstance(numerics, EndLayers):
            layer, placement, bits = "", numerics.placement, numerics.bits
        else:
            layer, placement, bits = numerics, "cim", 0
        node = Node(
            name,
            "conv",
            (self.last,),
            (1, h, w),
            (1, -(-h // stride), -(-w // stride)),
            kernel=(kernel if h > 1 else 1, kernel if w > 1 else 1),
            stride=(stride if h > 1 else 1, stride if w > 1 else 1),
            prune_group=group,
            placement=placement,
            w_bits=bits,
            x_bits=bits,
            x_signed=self.last == NETWORK_INPUT,
        )
        self.add(node, width, layer)

    def same(self, name: str, op: Op, *, other: str | None = None) -> None:
        """Append an operation that keeps the shape: batch norm, activation, or add."""
        inputs = (self.last,) if other is None else (self.last, other)
        self.add(Node(name, op, inputs, (1, *self.size), (1, *self.size)))

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
