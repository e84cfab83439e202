"""Laying out a family step by step: the making of its plan."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cimsearch.blueprint import NETWORK_INPUT, Node, Op, Shape
from cimsearch.space.conditions import Conditions, Unless
from cimsearch.space.steps import Plan, Step, Width, in_parts
from cimsearch.spec.activation import ACTIVATION, UPPER_ENDS, Activation
from cimsearch.spec.space import EndLayers, SpaceSpec


@dataclass
class Layout:
    """A plan in the making: appends steps and keeps the running height and width.

    Of a step that may not exist, the node read instead has to be of its height and width, so that
    choices never change them.

    Attributes:
        input_shape: Of the network.
        groups: Whether searched layers may have groups of channels with different bits.
        activations: What activations may be; of one alone there is no axis.
        steps: Those appended.
        last: The node that the next one reads.
    """

    input_shape: Shape
    groups: bool = False
    activations: tuple[Activation, ...] = ("relu",)
    steps: list[Step] = field(default_factory=list)
    last: str = NETWORK_INPUT

    def __post_init__(self) -> None:
        self.size = self.input_shape[1:]
        self._conditions: Conditions = ()

    @classmethod
    def of(cls, spec: SpaceSpec) -> "Layout":
        """Return an empty plan of a space's networks."""
        return cls(spec.input_shape, spec.has_groups, spec.activation or ("relu",))

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
        stated: dict[str, Any] = {"prune_group": group, "placement": "cim"}
        if isinstance(numerics, EndLayers):
            stated |= {"placement": numerics.placement}
            stated |= dict.fromkeys(("w_bits", "x_bits"), numerics.bits)
            self._windowed(name, kernel, stride, stated, {"width": width})
            return
        self._windowed(name, kernel, stride, stated, {"width": width, "layer": numerics})
        if self.groups:
            self.steps[-1:] = in_parts(self.steps[-1])
            self.last = self.steps[-1].node.name

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
        """Append an operation that keeps the shape: batch norm or add.

        Args:
            name: Of the node.
            op: What it computes.
            other: What it reads beside the last node.
            bypass: Which of its inputs its readers read where it does not exist.
        """
        inputs = (self.last,) if other is None else (self.last, other)
        self.add(Node(name, op, inputs, (1, *self.size), (1, *self.size)), bypass=bypass)

    def activation(self, before: str, needed: Conditions = ()) -> None:
        """Append an activation: a step for each that it may be, of which a network has one.

        Args:
            before: What names begin with; the activation's own is behind it.
            needed: Without these what it would read is an activation's output already.
        """
        shape = (1, *self.size)
        for name in self.activations:
            others = tuple(other for other in self.activations if other != name)
            chosen = (Unless(ACTIVATION, others),) if others else ()
            sigmoid = name == "hard_sigmoid"
            op: Op = "hard_sigmoid" if sigmoid else "relu"
            node = Node(
                f"{before}.{name}", op, (self.last,), shape, shape, limit=UPPER_ENDS.get(name)
            )
            # A ReLU of what was one's output does nothing; a hard sigmoid does.
            with self.only((*chosen, *(() if sigmoid else needed))):
                self.add(node, follows=True)

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
