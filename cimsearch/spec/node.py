"""One operation of a network in a space file, and the shapes that a list of them has."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cimsearch.spec.base import Count, Positive, Spec, Whole
from cimsearch.spec.document import FieldError

INPUT = "input"
"""What nodes call the network's input; no node is called so."""

NodeShape = tuple[int, int, int]
NodeOp = Literal[
    "conv",
    "linear",
    "batchnorm",
    "relu",
    "hard_sigmoid",
    "maxpool",
    "avgpool",
    "flatten",
    "add",
]
NodeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$", max_length=128)]
Window = tuple[Count, Count]

_TAKES: Mapping[str, frozenset[str]] = {
    "conv": frozenset({"channels", "kernel", "stride", "groups", "padding"}),
    "linear": frozenset({"channels"}),
    "relu": frozenset({"limit"}),
    "maxpool": frozenset({"kernel", "stride", "padding"}),
    "avgpool": frozenset({"kernel", "stride"}),
}
"""The fields that a node of each operation has beside its name and inputs."""

_UNSTATED = ("padding", "limit")
"""Fields that are left out where they are None."""

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "conv": ("channels", "kernel"),
    "linear": ("channels",),
    "maxpool": ("kernel",),
    "avgpool": ("kernel",),
}


class NodeSpec(Spec):
    """One operation of a network. Without ``inputs`` it reads the node above it.

    ``channels`` are the outputs of a convolution or linear layer. ``kernel``, ``stride`` and
    ``padding``, what is put at each side, are (vertical, horizontal). A convolution pads with
    ``kernel // 2`` zeros and has stride 1 unless it says another; pooling does not pad, but a max
    pooling that says so, and steps by its kernel. A ReLU does not exceed its ``limit``, if it has
    one: 6 is that of a ReLU6. A hard sigmoid is clip(x / 6 + 1 / 2, 0, 1).
    """

    name: NodeName
    op: NodeOp
    inputs: tuple[str, ...] = ()
    channels: Count | None = None
    kernel: Window | None = None
    stride: Window | None = None
    groups: Count = 1
    padding: tuple[Whole, Whole] | None = None
    limit: Positive | None = None

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not stated: the hash is that of before there was such a field."""
        data: dict[str, Any] = handler(self)
        return {k: v for k, v in data.items() if k not in _UNSTATED or v is not None}

    @property
    def has_weights(self) -> bool:
        """Whether it multiplies by weights."""
        return self.op in ("conv", "linear")

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of its window; 1 x 1 where it has none."""
        return self.kernel or (1, 1)

    @property
    def step(self) -> tuple[int, int]:
        """Its vertical and horizontal step."""
        return self.stride or (self.window if self.op in ("maxpool", "avgpool") else (1, 1))

    @property
    def pads(self) -> tuple[int, int]:
        """What it puts at each side, vertically and horizontally."""
        if self.padding is not None or self.op != "conv":
            return self.padding or (0, 0)
        return self.window[0] // 2, self.window[1] // 2

    @classmethod
    def of(
        cls,
        name: str,
        op: NodeOp,
        inputs: tuple[str, ...],
        *,
        channels: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        groups: int,
        padding: tuple[int, int],
        limit: float | None,
    ) -> "NodeSpec":
        """Return a node of which everything is given, also what its operation does not have."""
        takes = _TAKES.get(op, frozenset())
        whole = cls(
            name=name,
            op=op,
            inputs=inputs,
            channels=channels if "channels" in takes else None,
            kernel=kernel if "kernel" in takes else None,
            groups=groups,
            limit=limit,
        )
        stated = {"stride": stride} if whole.step != stride else {}
        if whole.pads != padding:
            stated["padding"] = padding
        return whole.model_copy(update=stated)

    @model_validator(mode="after")
    def _has_the_fields_of_its_operation(self) -> Self:
        taken = _TAKES.get(self.op, frozenset())
        for field in ("channels", "kernel", "stride", "groups", "padding", "limit"):
            found = getattr(self, field)
            if field not in taken and found != type(self).model_fields[field].default:
                raise FieldError(field, f"found {found}; a node of op {self.op} has none")
        for field in _NEEDS.get(self.op, ()):
            if getattr(self, field) is None:
                raise FieldError(field, f"missing; a node of op {self.op} needs it")
        half = (self.window[0] // 2, self.window[1] // 2)
        if self.op == "maxpool" and any(a > b for a, b in zip(self.pads, half, strict=True)):
            text = f"found {list(self.pads)}; allowed is half a kernel, {list(half)}, or less"
            raise FieldError("padding", text)
        return self

    def out_shape(self, shapes: tuple[NodeShape, ...]) -> NodeShape:
        """Return the shape of its output, given those of its inputs.

        Raises:
            FieldError: It cannot work on such inputs; points at the field of the node.
        """
        wanted = 2 if self.op == "add" else 1
        if len(shapes) != wanted:
            raise FieldError("inputs", f"found {len(shapes)}; a node of op {self.op} has {wanted}")
        channels, height, width = shapes[0]
        match self.op:
            case "conv":
                return self._convolved(shapes[0])
            case "linear":
                if (height, width) != (1, 1):
                    found = f"found an input of {channels} x {height} x {width}"
                    raise FieldError("inputs", f"{found}; allowed is a vector, as of a flatten")
                return (self.channels or 1, 1, 1)
            case "maxpool" | "avgpool":
                return (channels, *self._sides((height, width)))
            case "flatten":
                return (channels * height * width, 1, 1)
            case "add" if shapes[0] != shapes[1]:
                found = " and ".join(" x ".join(map(str, shape)) for shape in shapes)
                raise FieldError("inputs", f"found {found}; allowed are two of one shape")
        return shapes[0]

    def _convolved(self, shape: NodeShape) -> NodeShape:
        channels = self.channels or 1
        if shape[0] % self.groups or channels % self.groups:
            raise FieldError(
                "groups",
                f"found {self.groups}; allowed is a divisor of {shape[0]} and {channels} channels",
            )
        return (channels, *self._sides(shape[1:]))

    def _sides(self, sides: tuple[int, int]) -> tuple[int, int]:
        given = zip(sides, self.window, self.step, self.pads, strict=True)
        height, width = ((side + 2 * pad - k) // step + 1 for side, k, step, pad in given)
        if min(height, width) < 1:
            found = f"found {list(self.window)} on {sides[0]} x {sides[1]}"
            raise FieldError("kernel", f"{found}; allowed is a smaller one")
        return height, width


def reads_of(nodes: Sequence[NodeSpec]) -> tuple[tuple[str, ...], ...]:
    """Return what each node reads: what it says, or the node above it."""
    above = (INPUT, *(node.name for node in nodes[:-1]))
    return tuple(node.inputs or (before,) for before, node in zip(above, nodes, strict=True))


def shapes_of(input_shape: NodeShape, nodes: Sequence[NodeSpec]) -> dict[str, NodeShape]:
    """Return the shape of the input and of the output of each node, by name.

    Raises:
        FieldError: A node reads none above it, or cannot work on what it reads.
    """
    found: dict[str, NodeShape] = {INPUT: input_shape}
    for index, (node, inputs) in enumerate(zip(nodes, reads_of(nodes), strict=True)):
        at = f"nodes.{index}"
        if node.name in found:
            text = f"found {node.name} again; allowed is a name of its own"
            raise FieldError(f"{at}.name", text)
        for name in inputs:
            if name not in found:
                text = f"found {name}; allowed are {INPUT} and nodes above"
                raise FieldError(f"{at}.inputs", text)
        try:
            found[node.name] = node.out_shape(tuple(found[name] for name in inputs))
        except FieldError as error:
            raise FieldError(f"{at}.{error.field}", str(error)) from error
    return found
