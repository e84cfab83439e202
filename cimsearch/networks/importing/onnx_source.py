"""An ONNX file as pieces."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from cimsearch.blueprint import NETWORK_INPUT, Shape
from cimsearch.errors import UsageError
from cimsearch.networks.importing.assemble import Model
from cimsearch.networks.importing.onnx_operations import OPERATIONS, Call, Sizes
from cimsearch.networks.importing.outcomes import Made, Outcome, Refused, refused
from cimsearch.networks.importing.pieces import ALLOWED, Fault, Names, Piece, refuse

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

_DOMAINS = ("", "ai.onnx")
_WEIGHT = ".weight"
_SHAPED = ("Reshape", "Squeeze", "Unsqueeze", "ReduceMean")
"""What reads one activation, and then sizes that may be computed."""
_LAYERS = ("Conv", "Gemm", "MatMul")


def read_onnx(path: Path, input_shape: Shape | None = None) -> Model:
    """Return the network in an ONNX file.

    Args:
        path: The file, with its weights inside or beside it.
        input_shape: (channels, height, width) of an image; what the file says if left out.

    Raises:
        UsageError: It cannot be read, has not one image input and one output, or does what no
            blueprint does: everything that does not fit is named at once.
    """
    source, model = path.name, _loaded(path)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    (images,), (output,) = (
        _one(source, "inputs", inputs),
        _one(source, "outputs", model.graph.output),
    )
    shape = _with_image_shape(source, images, input_shape)
    model = _with_all_shapes(model)
    reader = _Reader(model.graph, _sizes(model), {images.name: NETWORK_INPUT})
    for node in model.graph.node:
        reader.take_constant(node)
    for node in _in_use(model.graph, output.name, reader.constants):
        reader.read(node)
    refuse(source, reader.faults)
    return Model(source, shape, reader.pieces, _runner(model, images))


def _loaded(path: Path) -> "ModelProto":
    """Read a file and check it."""
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ImportError as error:
        raise UsageError(f"{path}: needs the package onnx", "install cimsearch[onnx]") from error
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path}: is no ONNX file that can be read: {reason}") from error
    return model


def _with_all_shapes(model: "ModelProto") -> "ModelProto":
    """Return a model that states the shapes of its values, as far as they follow."""
    from onnx.shape_inference import infer_shapes

    return infer_shapes(model, data_prop=True)


def _one(source: str, what: str, values: "Iterable[ValueInfoProto]") -> "list[ValueInfoProto]":
    """Return a model's one input or output, as a list."""
    found = list(values)
    if len(found) != 1:
        names = ", ".join(value.name for value in found) or "none"
        raise UsageError(f"{source}: found the {what} {names}; allowed is one")
    return found


def _with_image_shape(source: str, images: "ValueInfoProto", given: Shape | None) -> Shape:
    """Return the shape of one image, and write it into the graph's input where it is open."""
    sides = images.type.tensor_type.shape.dim
    # An open side has no value, or a negative one.
    stated = [max(side.dim_value, 0) for side in sides]
    if len(stated) != 4:
        raise UsageError(f"{source}: found an input of {len(stated)} dimensions; allowed are 4")
    shape = given or (stated[1], stated[2], stated[3])
    wrong = any(own not in (0, side) for own, side in zip(stated[1:], shape, strict=True))
    if wrong or min(shape) < 1:
        raise UsageError(
            f"{source}: the file states images of {stated[1:]} (0 is open), asked is {given}",
            "give the shape of one image with --input-shape C,H,W",
        )
    for side, value in zip(sides, (stated[0] or 1, *shape), strict=True):
        side.dim_value = value
    return shape


def _sizes(model: "ModelProto") -> dict[str, Sizes]:
    """Return the shapes of values by name, as far as they are known."""
    graph = model.graph
    return {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }


def _in_use(
    graph: "GraphProto", output: str, constants: Mapping[str, Tensor]
) -> "list[NodeProto]":
    """Return the nodes that the output's activations come from, not those that make sizes."""
    wanted, found = {output}, []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            found.append(node)
            read = node.input[:1] if node.op_type in _SHAPED else node.input
            wanted.update(name for name in read if name not in constants)
    return found[::-1]


def _runner(model: "ModelProto", images: "ValueInfoProto") -> Callable[[Tensor], Tensor]:
    """Return the model as a function of images, computed by ONNX's own reference."""
    from onnx.reference import ReferenceEvaluator

    batch, evaluator = images.type.tensor_type.shape.dim[0].dim_value, ReferenceEvaluator(model)

    def one(part: Tensor) -> Any:
        first, *_ = list(evaluator.run(None, {images.name: part.numpy()}))
        return first

    def logits(given: Tensor) -> Tensor:
        return torch.from_numpy(np.concatenate([one(p) for p in torch.split(given, batch)]))

    return logits


@dataclass
class _Reader:
    """Reads the nodes of a graph, in order.

    Attributes:
        graph: The graph.
        sizes: The shapes of values, as far as they are known.
        known: By value, the piece whose output it is.
        pieces: What has been read.
        faults: What could not be.
        constants: By value, the tensors that are stored.
    """

    graph: "GraphProto"
    sizes: Mapping[str, Sizes]
    known: dict[str, str]
    pieces: list[Piece] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    constants: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from onnx.numpy_helper import to_array

        self._names = Names(dir(nn.ModuleDict()))
        for tensor in self.graph.initializer:
            self.constants[tensor.name] = torch.from_numpy(np.array(to_array(tensor)))

    def take_constant(self, node: "NodeProto") -> None:
        """Note what a node stores, or passes on of what is stored."""
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            from onnx.numpy_helper import to_array

            stored = np.array(to_array(node.attribute[0].t))
            self.constants[node.output[0]] = torch.from_numpy(stored)
        elif node.op_type == "Identity" and node.input[0] in self.constants:
            self.constants[node.output[0]] = self.constants[node.input[0]]

    def read(self, node: "NodeProto") -> None:
        """Take in a node."""
        if node.op_type == "Constant":
            return
        if self._is_bias(node):
            self._add_bias(node)
            return
        outcome = self._outcome(node)
        read = [self.known[name] for name in node.input if name in self.known]
        if outcome == "same" and read:
            self.known[node.output[0]] = read[0]
            return
        name = self.known[node.output[0]] = self._names.fitting(self._called(node))
        if isinstance(outcome, Refused):
            where = node.name or node.output[0]
            self.faults += [Fault(where, node.op_type, *reason) for reason in outcome.reasons]
        elif isinstance(outcome, Made):
            self.pieces.append(outcome.piece(name, read))

    def _outcome(self, node: "NodeProto") -> Outcome:
        attributes = _attributes(node)
        reader = OPERATIONS.get(node.op_type) if node.domain in _DOMAINS else None
        if reader is None:
            shown = ", ".join(f"{name} {value}" for name, value in attributes.items())
            return refused(shown or "no attributes", ALLOWED)
        given = tuple(self.sizes.get(name, ()) for name in node.input if name in self.known)
        if not given or not all(all(sizes) and sizes for sizes in given):
            return refused("an input whose shape is not known", "is one of a fixed shape")
        constants = {
            place: self.constants[name]
            for place, name in enumerate(node.input)
            if name in self.constants
        }
        out = self.sizes.get(node.output[0], ())
        return reader(Call(node.op_type, attributes, given, out, constants))

    def _is_bias(self, node: "NodeProto") -> bool:
        """Return whether a node adds a constant to a linear layer that nothing else reads."""
        activations = [name for name in node.input if name in self.known]
        if node.op_type != "Add" or len(activations) != 1:
            return False
        made = [piece for piece in self.pieces if piece.name == self.known[activations[0]]]
        readers = sum(list(each.input).count(activations[0]) for each in self.graph.node)
        stored = [name for name in node.input if name in self.constants]
        fresh = bool(made) and made[0].op == "linear" and "bias" not in made[0].tensors
        return fresh and readers == 1 and len(stored) == 1

    def _add_bias(self, node: "NodeProto") -> None:
        """Make an added constant the bias of the linear layer before it."""
        (read,) = (name for name in node.input if name in self.known)
        (stored,) = (name for name in node.input if name in self.constants)
        for index, piece in enumerate(self.pieces):
            if piece.name == self.known[read]:
                outputs = len(piece.tensors["weight"])
                bias = torch.broadcast_to(self.constants[stored], (1, outputs)).flatten().clone()
                tensors = {**piece.tensors, "bias": bias}
                self.pieces[index] = Piece(piece.name, piece.op, piece.inputs, tensors=tensors)
        self.known[node.output[0]] = self.known[read]

    def _called(self, node: "NodeProto") -> str:
        """Return what a node is called: as its weights are, where these have a name of torch."""
        stored = [str(name) for name in node.input[1:2] if name in self.constants]
        if stored and stored[0].endswith(_WEIGHT):
            return stored[0].removesuffix(_WEIGHT)
        if not node.name:
            return f"{node.op_type.lower()}_{node.output[0]}"
        scopes: list[str] = []
        for part in str(node.name).strip("/").split("/"):
            # Torch says layers/layers.0 of what its modules call layers.0.
            if scopes and part.startswith(f"{scopes[-1]}."):
                scopes.pop()
            scopes.append(part)
        return ".".join(scopes[:-1] if scopes[1:] and node.op_type in _LAYERS else scopes)


def _attributes(node: "NodeProto") -> dict[str, Any]:
    from onnx.helper import get_attribute_value

    return {each.name: get_attribute_value(each) for each in node.attribute}
