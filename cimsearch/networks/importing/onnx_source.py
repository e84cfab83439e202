"""An ONNX file as pieces."""

from collections.abc import Iterable, Mapping
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
    from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

_DOMAINS = ("", "ai.onnx")
_WEIGHT = ".weight"
_STORED = (
    *("Constant", "Identity", "Cast", "Transpose"),
    *("Reshape", "Squeeze", "Unsqueeze", "Flatten"),
)
"""What is computed here where all that it reads is stored."""
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
    model = _with_all_shapes(source, model)
    reader = _Reader(source, model, _sizes(model), {images.name: NETWORK_INPUT})
    for node in model.graph.node:
        reader.take_constant(node)
    for node in _in_use(model.graph, output.name, reader.constants):
        reader.read(node)
    refuse(source, reader.faults)
    batch = images.type.tensor_type.shape.dim[0].dim_value

    def logits(given: Tensor) -> Tensor:
        parts = [{images.name: part} for part in torch.split(given, batch)]
        return torch.cat(_computed(source, model, parts))

    return Model(source, shape, reader.pieces, logits, batch)


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
    except (OSError, DecodeError, UnicodeDecodeError, onnx.checker.ValidationError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path}: is no ONNX file that can be read: {reason}") from error
    return model


def _with_all_shapes(source: str, model: "ModelProto") -> "ModelProto":
    """Return a model that states the shapes of its values, as far as they follow."""
    from onnx.shape_inference import InferenceError, infer_shapes

    try:
        return infer_shapes(model, data_prop=True)
    except InferenceError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{source}: its shapes do not fit each other: {reason}") from error


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
        stated_sides = " x ".join(str(side or "?") for side in stated[1:])
        asked = f", --input-shape of {' x '.join(map(str, given))}" if given else ""
        raise UsageError(
            f"{source}: the file states images of {stated_sides} (?: left open){asked}",
            "give the shape of one image with --input-shape C,H,W: stated sides hold",
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


def _computed(
    source: str, what: "ModelProto | FunctionProto", given: Iterable[Mapping[str, Tensor]]
) -> list[Tensor]:
    """Return the first output of a model for each of ``given``, by ONNX's own reference.

    Raises:
        UsageError: The reference cannot compute it.
    """
    from onnx.reference import ReferenceEvaluator

    try:
        evaluator = ReferenceEvaluator(what)
        found = [
            evaluator.run(None, {name: each[name].numpy() for name in each}, attributes={})
            for each in given
        ]
    except Exception as error:
        reason, *_ = str(error).splitlines() or [""]
        raise UsageError(
            f"{source}: cannot be computed by ONNX's reference: {type(error).__name__}: {reason}",
            "export it again with the batch left open, and check that onnxruntime runs it",
        ) from error
    return [torch.from_numpy(np.array(first)) for first, *_ in found]


@dataclass
class _Reader:
    """Reads the nodes of a graph, in order.

    Attributes:
        source: How messages call the model.
        model: What the nodes are of.
        sizes: The shapes of values, as far as they are known.
        known: By value, the piece whose output it is.
        pieces: What has been read.
        faults: What could not be.
        constants: By value, the tensors that are stored.
        refused: The values that nodes give which could not be read.
    """

    source: str
    model: "ModelProto"
    sizes: Mapping[str, Sizes]
    known: dict[str, str]
    pieces: list[Piece] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    constants: dict[str, Tensor] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        from onnx.numpy_helper import to_array

        self._names = Names(dir(nn.ModuleDict()))
        for tensor in self.model.graph.initializer:
            where = f"{self.source}: {tensor.name}"
            try:
                values = np.array(to_array(tensor))
            except (KeyError, ValueError) as error:
                raise UsageError(f"{where}: its numbers cannot be read: {error}") from error
            try:
                self.constants[tensor.name] = torch.from_numpy(values)
            except TypeError as error:
                found = f"found numbers of type {values.dtype}"
                raise UsageError(f"{where}: {found}; allowed is float32") from error

    def take_constant(self, node: "NodeProto") -> None:
        """Note what a node stores, or computes of nothing but what is stored."""
        if node.op_type not in _STORED or not all(name in self.constants for name in node.input):
            return
        from onnx.helper import make_function

        opsets, names = self.model.opset_import, (node.input, node.output)
        alone = make_function("cimsearch", "stored", *names, [node], opsets)
        read = {name: self.constants[name] for name in node.input}
        (self.constants[node.output[0]],) = _computed(self.source, alone, [read])

    def read(self, node: "NodeProto") -> None:
        """Take in a node."""
        outcome = self._outcome(node)
        read = [self.known[name] for name in node.input if name in self.known]
        if outcome == "same" and read:
            self.known[node.output[0]] = read[0]
            return
        name = self.known[node.output[0]] = self._names.fitting(self._called(node))
        if isinstance(outcome, Refused):
            self.known.update(dict.fromkeys(node.output, name))
            where = node.name or node.output[0]
            self.faults += [Fault(where, node.op_type, *reason) for reason in outcome.reasons]
            self.refused.update(node.output)
        elif isinstance(outcome, Made):
            self.pieces.append(outcome.piece(name, read))

    def _outcome(self, node: "NodeProto") -> Outcome:
        attributes = _attributes(node)
        reader = OPERATIONS.get(node.op_type) if node.domain in _DOMAINS else None
        if reader is None:
            return refused(_shown(attributes) or "no attributes", ALLOWED)
        given = tuple(self.sizes.get(name, ()) for name in node.input if name in self.known)
        if not given or not all(all(sizes) and sizes for sizes in given):
            # Nothing is known of what a refused node gives: that is told there.
            if self.refused.intersection(node.input):
                return Refused(())
            return refused("an input whose shape is not known", "is one of a fixed shape")
        constants = {
            place: self.constants[name]
            for place, name in enumerate(node.input)
            if name in self.constants
        }
        out = self.sizes.get(node.output[0], ())
        return reader(Call(node.op_type, attributes, given, out, constants))

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


def _shown(attributes: Mapping[str, Any]) -> str:
    """Return attributes that are numbers or words, as text."""
    words = {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in attributes.items()
    }
    plain = (int, float, str)
    return ", ".join(
        f"{name} {value}"
        for name, value in words.items()
        if isinstance(value, plain)
        or (isinstance(value, list) and all(isinstance(each, plain) for each in value))
    )


def _attributes(node: "NodeProto") -> dict[str, Any]:
    from onnx.helper import get_attribute_value

    return {each.name: get_attribute_value(each) for each in node.attribute}
