"""The blueprint: one small, immutable description of a network that everything passes through.

The same blueprint is trained, priced and exported, so the three can never disagree about what
the network is. It is plain data: no torch, hashable, JSON. Shapes are (channels, height, width);
a 1-D signal has height 1.
"""

import json
from collections import Counter
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, get_args

from cimsearch.spec.base import canonical_json, content_hash
from cimsearch.units import millionths

SCHEMA = "cimsearch/blueprint/1"

Op = Literal[
    "conv",
    "linear",
    "batchnorm",
    "relu",
    "maxpool",
    "avgpool",
    "flatten",
    "add",
    "concat",
    "hard_sigmoid",
]
Placement = Literal["", "cim", "digital"]
Shape = tuple[int, int, int]

OPS: tuple[Op, ...] = get_args(Op)
ENCODINGS = ("", "offset", "twos_complement", "differential", "differential_digital")
RANGE_POLICIES = ("", "full_scale", "layer", "column")

NETWORK_INPUT = "input"

_UNSTATED = ("padding", "limit", "row_sparsity")
"""Fields that plain data leaves out where they are at their defaults."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    A ``concat`` joins the parts of a layer whose groups of channels have different bits: it reads
    the part of few bits, then that of many, and puts their channels in the layer's own order. A
    ``hard_sigmoid`` is clip(x / 6 + 1 / 2, 0, 1): of an input of 0 it gives 1 / 2.

    Attributes:
        name: Unique in the blueprint; equal in a candidate and its parent.
        op: What it computes.
        inputs: Names of the nodes it reads; ``input`` is the network's input.
        in_shape: Shape of its first input.
        out_shape: Shape of its output.
        kernel: Height and width of the window (conv and pooling).
        stride: Vertical and horizontal step (conv and pooling).
        groups: Groups of a convolution.
        prune_group: Convolutions with an equal group keep the same output channels; without one
            they keep all. Where a convolution is in parts it is that of the ``concat`` which joins
            them, and the parts have none.
        placement: ``cim`` runs on the macro's arrays, ``digital`` in the digital unit; empty for
            operations without weights, which are always digital.
        w_bits: Weight bits; 0 is float.
        x_bits: Bits of the input activations; 0 is float. Of an addition, bits that what waits
            for it is kept in, all inputs but the first; 0 keeps it in words of the digital unit.
        x_signed: Whether the input, of an addition what waits, may be negative.
        adc_bits: Converter bits; 0 is the macro's own setting.
        encoding: How signed weights are stored; empty is the macro's own.
        range_policy: How the converter's range is chosen; empty is the macro's own.
        padding: What is put at each side, vertically and horizontally, where that is not usual
            (see ``pads``): zeros of a convolution, what is never the largest of a max pooling.
        limit: What a ReLU does not exceed, if there is anything; its price is that of any ReLU.
        row_sparsity: Share of its row groups on arrays that hold no weights but zeros: rounded
            down to whole ones, below 1.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    in_shape: Shape
    out_shape: Shape
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    groups: int = 1
    prune_group: str = ""
    placement: Placement = ""
    w_bits: int = 0
    x_bits: int = 0
    x_signed: bool = False
    adc_bits: int = 0
    encoding: str = ""
    range_policy: str = ""
    padding: tuple[int, int] | None = None
    limit: float | None = None
    row_sparsity: float = 0.0

    def __post_init__(self) -> None:
        """Leave out a padding that is the usual one: equal networks are equal blueprints."""
        if self.padding is not None and self.padding == self._usual_pads:
            object.__setattr__(self, "padding", None)

    @property
    def pads(self) -> tuple[int, int]:
        """Padding at each side, vertical and horizontal.

        The usual one is ``kernel // 2`` of a convolution, and none of a pooling.
        """
        return self._usual_pads if self.padding is None else self.padding

    @property
    def _usual_pads(self) -> tuple[int, int]:
        return (self.kernel[0] // 2, self.kernel[1] // 2) if self.op == "conv" else (0, 0)

    @property
    def row_sparsity_ppm(self) -> int:
        """The share of its row groups without weights, in whole millionths."""
        return millionths(self.row_sparsity)

    @property
    def has_weights(self) -> bool:
        """Whether the node multiplies by stored weights."""
        return self.op in ("conv", "linear")

    @property
    def weights(self) -> int:
        """Number of stored weights, biases not counted."""
        if not self.has_weights:
            return 0
        fan_in = self.in_shape[0] // self.groups * self.kernel[0] * self.kernel[1]
        return fan_in * self.out_shape[0]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return self.weights * self.out_shape[1] * self.out_shape[2]


@dataclass(frozen=True)
class Blueprint:
    """A network: its input, its classes and its nodes in an order of execution."""

    input_shape: Shape
    classes: int
    nodes: tuple[Node, ...]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON."""
        return content_hash(self.to_dict())

    @property
    def weights(self) -> int:
        """Number of stored weights."""
        return sum(node.weights for node in self.nodes)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(node.macs for node in self.nodes)

    def node(self, name: str) -> Node:
        """Return the node of that name.

        Raises:
            KeyError: There is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Return the blueprint as plain data."""
        nodes = [
            {
                f.name: _plain(getattr(node, f.name))
                for f in fields(Node)
                if f.name not in _UNSTATED or getattr(node, f.name) != f.default
            }
            for node in self.nodes
        ]
        return {
            "schema": SCHEMA,
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "nodes": nodes,
        }

    def to_json(self) -> str:
        """Return the blueprint as canonical JSON."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Blueprint":
        """Return the blueprint that ``to_dict`` described.

        Raises:
            ValueError: The schema is not this version's.
        """
        if data.get("schema") != SCHEMA:
            raise ValueError(f"blueprint schema is {data.get('schema')!r}; allowed is {SCHEMA!r}")
        nodes = tuple(Node(**{k: _frozen(v) for k, v in node.items()}) for node in data["nodes"])
        c, h, w = data["input_shape"]
        return cls((c, h, w), data["classes"], nodes)

    @classmethod
    def from_json(cls, text: str) -> "Blueprint":
        """Return the blueprint that ``to_json`` described."""
        return cls.from_dict(json.loads(text))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


ACTIVATIONS: tuple[Op, ...] = ("relu", "hard_sigmoid")


def behind_layers(blueprint: Blueprint) -> dict[str, tuple[Node, ...]]:
    """Return what each activation right behind a layer reads, by its name.

    That is the layer, and the batch norm behind it if there is one. The nodes follow each other in
    the order of execution, and nobody else reads those before the activation.
    """
    readers = Counter(name for node in blueprint.nodes for name in node.inputs)
    found = {}
    for index, node in enumerate(blueprint.nodes):
        if node.op not in ACTIVATIONS:
            continue
        before = blueprint.nodes[max(0, index - 2) : index]
        if before and before[-1].has_weights:
            before = before[-1:]
        elif [n.op for n in before[1:]] != ["batchnorm"] or not before[0].has_weights:
            continue
        after = (*before[1:], node)
        if all(n.inputs == (b.name,) for b, n in zip(before, after, strict=True)) and all(
            readers[each.name] == 1 for each in before
        ):
            found[node.name] = before
    return found


def second_parts(blueprint: Blueprint) -> dict[str, Node]:
    """Return the first part of each layer in parts, by the name of the second."""
    joins = [node for node in blueprint.nodes if node.op == "concat"]
    return {node.inputs[1]: blueprint.node(node.inputs[0]) for node in joins}


def parent_names(blueprint: Blueprint) -> dict[str, str]:
    """Return what each node is called in the float parent, where layers are whole, by name."""
    joins = [node for node in blueprint.nodes if node.op == "concat"]
    whole = {name: join.inputs[0] for join in joins for name in (join.name, *join.inputs)}
    return {node.name: whole.get(node.name, node.name) for node in blueprint.nodes}
