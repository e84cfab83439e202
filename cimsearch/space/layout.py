"""Laying out a blueprint node by node: shapes are traced, names are given, bits are set."""

from dataclasses import dataclass, field

from cimsearch.blueprint import NETWORK_INPUT, Blueprint, Node, Op, Placement, Shape
from cimsearch.spec.space import EndLayers


def kept(width: int, ratio: float) -> int:
    """Return how many of ``width`` channels stay at a prune ratio: rounded half up, at least 1."""
    return max(1, int(width * (1 - ratio) + 0.5))


@dataclass(frozen=True, slots=True)
class Numerics:
    """Where a layer with weights runs and at what precision; the default is float."""

    placement: Placement = "digital"
    w_bits: int = 0
    x_bits: int = 0
    adc_bits: int = 0
    encoding: str = ""
    range_policy: str = ""

    @classmethod
    def of_end(cls, end: EndLayers) -> "Numerics":
        """Return the stated numerics of a first layer or classifier."""
        return cls(end.placement, end.bits, end.bits)


FLOAT = Numerics()


@dataclass
class Layout:
    """A blueprint in the making: appends nodes and keeps the running shape."""

    input_shape: Shape
    nodes: list[Node] = field(default_factory=list)
    last: str = NETWORK_INPUT

    def __post_init__(self) -> None:
        self.shape = self.input_shape

    def add(self, node: Node) -> None:
        """Append a node; it becomes the one that the next node reads."""
        self.nodes.append(node)
        self.last, self.shape = node.name, node.out_shape

    def conv(
        self,
        name: str,
        width: int,
        numerics: Numerics,
        *,
        group: str,
        kernel: int,
        stride: int = 1,
    ) -> None:
        """Append a convolution that pads to keep the size (divided by its stride, rounded up).

        A dimension of size 1 (the height of a 1-D signal) gets a kernel and stride of 1.
        """
        _, h, w = self.shape
        self.add(
            Node(
                name,
                "conv",
                (self.last,),
                self.shape,
                (width, -(-h // stride), -(-w // stride)),
                kernel=(kernel if h > 1 else 1, kernel if w > 1 else 1),
                stride=(stride if h > 1 else 1, stride if w > 1 else 1),
                prune_group=group,
                placement=numerics.placement,
                w_bits=numerics.w_bits,
                x_bits=numerics.x_bits,
                x_signed=self.last == NETWORK_INPUT,
                adc_bits=numerics.adc_bits,
                encoding=numerics.encoding,
                range_policy=numerics.range_policy,
            )
        )

    def same(self, name: str, op: Op, *, other: str | None = None) -> None:
        """Append an operation that keeps the shape: batch norm, activation, or add."""
        inputs = (self.last,) if other is None else (self.last, other)
        self.add(Node(name, op, inputs, self.shape, self.shape))

    def max_pool(self, name: str) -> None:
        """Append a 2 x 2 max pooling; a dimension of size 1 is left alone."""
        c, h, w = self.shape
        window = (min(h, 2), min(w, 2))
        out = (c, h // window[0], w // window[1])
        self.add(Node(name, "maxpool", (self.last,), self.shape, out, window, window))

    def head(self, classes: int, numerics: Numerics) -> None:
        """Append global average pooling and the classifier."""
        c, h, w = self.shape
        self.add(Node("pool", "avgpool", (self.last,), self.shape, (c, 1, 1), (h, w), (h, w)))
        self.add(
            Node(
                "classifier",
                "linear",
                (self.last,),
                self.shape,
                (classes, 1, 1),
                placement=numerics.placement,
                w_bits=numerics.w_bits,
                x_bits=numerics.x_bits,
                adc_bits=numerics.adc_bits,
                encoding=numerics.encoding,
                range_policy=numerics.range_policy,
            )
        )

    def blueprint(self, classes: int) -> Blueprint:
        """Return the finished blueprint."""
        return Blueprint(self.input_shape, classes, tuple(self.nodes))
