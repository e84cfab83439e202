"""The space file of one network: its nodes, whose bits and widths are searched, and its weights.

It is what ``cimsearch network import`` makes of a model from outside; it can be written by hand.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cimsearch.spec.base import Count, FileSpec, Spec, WeightBits
from cimsearch.spec.document import FieldError
from cimsearch.spec.space import EndLayers, LayerGenes, SpaceSpec

INPUT = "input"
"""What nodes call the network's input; no node is called so."""

NodeShape = tuple[int, int, int]
NodeOp = Literal["conv", "linear", "batchnorm", "relu", "maxpool", "avgpool", "flatten", "add"]
NodeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$", max_length=128)]
Window = tuple[Count, Count]

_ENDS = 2
"""Layers at the ends of a network: the first and the last."""

_TAKES: Mapping[str, frozenset[str]] = {
    "conv": frozenset({"channels", "kernel", "stride", "groups"}),
    "linear": frozenset({"channels"}),
    "maxpool": frozenset({"kernel", "stride"}),
    "avgpool": frozenset({"kernel", "stride"}),
}
"""The fields that a node of each operation has beside its name and inputs."""

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "conv": ("channels", "kernel"),
    "linear": ("channels",),
    "maxpool": ("kernel",),
    "avgpool": ("kernel",),
}


class NodeSpec(Spec):
    """One operation of a network. Without ``inputs`` it reads the node above it.

    ``channels`` are the outputs of a convolution or linear layer. ``kernel`` and ``stride`` are
    (vertical, horizontal); a convolution pads with ``kernel // 2`` zeros and has stride 1 unless
    it says another, pooling does not pad and steps by its kernel.
    """

    name: NodeName
    op: NodeOp
    inputs: tuple[str, ...] = ()
    channels: Count | None = None
    kernel: Window | None = None
    stride: Window | None = None
    groups: Count = 1

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
        )
        return whole if whole.step == stride else whole.model_copy(update={"stride": stride})

    @model_validator(mode="after")
    def _has_the_fields_of_its_operation(self) -> Self:
        taken = _TAKES.get(self.op, frozenset())
        for field in ("channels", "kernel", "stride", "groups"):
            found = getattr(self, field)
            if field not in taken and found != type(self).model_fields[field].default:
                raise FieldError(field, f"found {found}; a node of op {self.op} has none")
        for field in _NEEDS.get(self.op, ()):
            if getattr(self, field) is None:
                raise FieldError(field, f"missing; a node of op {self.op} needs it")
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
                return (channels, *self._sides((height, width), (0, 0)))
            case "flatten":
                return (channels * height * width, 1, 1)
            case "add" if shapes[0] != shapes[1]:
                found = " and ".join(" x ".join(map(str, shape)) for shape in shapes)
                raise FieldError("inputs", f"found {found}; allowed are two of one shape")
        return shapes[0]

    def _convolved(self, shape: NodeShape) -> NodeShape:
        channels, (kernel_height, kernel_width) = self.channels or 1, self.window
        if shape[0] % self.groups or channels % self.groups:
            raise FieldError(
                "groups",
                f"found {self.groups}; allowed is a divisor of {shape[0]} and {channels} channels",
            )
        return (channels, *self._sides(shape[1:], (kernel_height // 2, kernel_width // 2)))

    def _sides(self, sides: tuple[int, int], pads: tuple[int, int]) -> tuple[int, int]:
        given = zip(sides, self.window, self.step, pads, strict=True)
        height, width = ((side + 2 * pad - k) // step + 1 for side, k, step, pad in given)
        if min(height, width) < 1:
            found = f"found {list(self.window)} on {sides[0]} x {sides[1]}"
            raise FieldError("kernel", f"{found}; allowed is a smaller one")
        return height, width


class DigitalLayers(Spec):
    """The layers that run in the digital unit, outside the search, and their bits.

    Without ``layers`` they are the first and the last that have weights, or none where there are
    no others.
    """

    layers: tuple[str, ...] | None = None
    bits: WeightBits = 8


class NetworkSpec(FileSpec):
    """A file of ``spaces/`` that holds one network: bits and prune ratios of its layers vary.

    ``nodes`` are in an order of execution; the last one gives the logits. ``weights_sha256`` is
    the SHA-256 of the file with the trained float weights: ``NAME.safetensors`` beside
    ``NAME.yaml``. Without it a float parent is trained as the study's recipe says.
    """

    schema_: Annotated[Literal["cimsearch/space/1"], Field(alias="schema")]
    family: Literal["network"]
    input_shape: Annotated[tuple[Count, Count, Count], Field()]
    classes: Annotated[int, Field(ge=2)]
    weights_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    genes: LayerGenes
    digital: DigitalLayers = DigitalLayers()
    nodes: Annotated[tuple[NodeSpec, ...], Field(min_length=1, max_length=4096)]

    @model_validator(mode="after")
    def _is_a_network(self) -> Self:
        *_, (last, shape) = self.shapes().items()
        where = f"nodes.{len(self.nodes) - 1}"
        if shape != (self.classes, 1, 1):
            found = " x ".join(map(str, shape))
            raise FieldError(where, f"{last}: gives {found}; allowed are {self.classes} classes")
        read = {name for inputs in self.reads() for name in inputs}
        for index, node in enumerate(self.nodes[:-1]):
            if node.name not in read:
                raise FieldError(f"nodes.{index}.name", f"found {node.name}, which nobody reads")
        return self

    @model_validator(mode="after")
    def _layers_fit(self) -> Self:
        layers, own = self.layer_names, self.digital.layers or ()
        if not layers:
            raise FieldError("nodes", "found no conv or linear; allowed is one or more")
        for index, name in enumerate(own):
            if name not in layers:
                known = ", ".join(layers)
                raise FieldError(f"digital.layers.{index}", f"found {name}; allowed are {known}")
        if self.digital_layers.issuperset(layers):
            found = "found all layers, of which none is left to search"
            raise FieldError("digital.layers", f"{found}; allowed are some of {', '.join(layers)}")
        if 0 in self.genes.weight_bits:
            found = "found 0, which removes a block"
            raise FieldError("genes.weight_bits", f"{found}; allowed is 2 to 16")
        return self

    def reads(self) -> tuple[tuple[str, ...], ...]:
        """Return what each of ``nodes`` reads, in their order."""
        return _reads(self.nodes)

    def shapes(self) -> dict[str, NodeShape]:
        """Return the shape of the input and of the output of each node, by name.

        Raises:
            FieldError: A node reads none above it, or cannot work on what it reads.
        """
        return shapes_of(self.input_shape, self.nodes)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of all layers with weights, in order of execution."""
        return tuple(node.name for node in self.nodes if node.has_weights)

    @property
    def digital_layers(self) -> frozenset[str]:
        """The names of the layers that run in the digital unit."""
        names = self.layer_names
        ends = (names[0], names[-1]) if len(names) > _ENDS else ()
        return frozenset(ends if self.digital.layers is None else self.digital.layers)

    @property
    def first_layer(self) -> EndLayers:
        """Where the first layer runs, with its bits: the largest there are if it is searched."""
        return self._end(self.layer_names[0])

    @property
    def classifier(self) -> EndLayers:
        """The same of the last layer."""
        return self._end(self.layer_names[-1])

    def _end(self, name: str) -> EndLayers:
        if name in self.digital_layers:
            return EndLayers(placement="digital", bits=self.digital.bits)
        return EndLayers(placement="cim", bits=max(self.genes.weight_bits))


def _reads(nodes: Sequence[NodeSpec]) -> tuple[tuple[str, ...], ...]:
    above = (INPUT, *(node.name for node in nodes[:-1]))
    return tuple(node.inputs or (before,) for before, node in zip(above, nodes, strict=True))


def shapes_of(input_shape: NodeShape, nodes: Sequence[NodeSpec]) -> dict[str, NodeShape]:
    """Return the shape of the input and of the output of each node, by name.

    Raises:
        FieldError: A node reads none above it, or cannot work on what it reads.
    """
    found: dict[str, NodeShape] = {INPUT: input_shape}
    for index, (node, inputs) in enumerate(zip(nodes, _reads(nodes), strict=True)):
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


AnySpaceSpec = Annotated[SpaceSpec | NetworkSpec, Field(discriminator="family")]
"""A file of ``spaces/``: a family of networks, or one network."""
