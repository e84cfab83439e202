"""A torch module as pieces: traced with ``torch.fx``, and run once for its shapes."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from cimsearch.blueprint import NETWORK_INPUT, Shape
from cimsearch.errors import UsageError
from cimsearch.networks.importing.outcomes import Outcome, Refused
from cimsearch.networks.importing.pieces import Fault, Names, Piece, refuse
from cimsearch.networks.importing.torch_operations import (
    CALLS,
    MODULES,
    Call,
    ImageShape,
    unknown,
)

_IMAGES = 2
"""Images of the run for shapes: an operation that mixes them shows."""


def read_module(source: str, module: nn.Module, input_shape: Shape) -> list[Piece]:
    """Return what a module computes in evaluation mode, in an order of execution.

    The last piece gives the logits.

    Args:
        source: How messages call it.
        module: It is left in evaluation mode.
        input_shape: (channels, height, width) of an image.

    Raises:
        UsageError: It cannot be traced, does not run on such images, or does what no blueprint
            does: everything that does not fit is named at once.
    """
    module.eval()
    try:
        traced = fx.GraphModule(module, fx.Tracer().trace(module))
    except Exception as error:
        raise UsageError(
            f"{source}: cannot be traced: {type(error).__name__}: {error}",
            "torch.fx follows a forward without branches on values; move them out of it",
        ) from error
    inputs = [node.name for node in traced.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        found = ", ".join(inputs) or "none"
        raise UsageError(f"{source}: found the inputs {found}; allowed is one")
    traced.graph.eliminate_dead_code()
    reader = _Reader(module, _run(source, traced, input_shape))
    for node in traced.graph.nodes:
        reader.read(node)
    refuse(source, reader.faults)
    return reader.pieces


@dataclass(frozen=True)
class _Run:
    """What was seen in a run.

    Attributes:
        shapes: Of every activation, by node.
        values: What else nodes gave: sizes, stored tensors, and what is made of them.
        moving: The nodes that gave one activation, or several.
    """

    shapes: dict[fx.Node, ImageShape] = field(default_factory=dict)
    values: dict[fx.Node, Any] = field(default_factory=dict)
    moving: set[fx.Node] = field(default_factory=set)

    def note(self, node: fx.Node, value: Any) -> None:
        """Take in what a node gave; it is stored if it reads nothing that comes of the images."""
        parts = value if isinstance(value, tuple | list) else (value,)
        moves = node.op == "placeholder" or not self.moving.isdisjoint(node.all_input_nodes)
        if moves and any(isinstance(part, Tensor) for part in parts):
            self.moving.add(node)
        if node in self.moving and isinstance(value, Tensor):
            self.shapes[node] = tuple(value.shape)
        else:
            self.values[node] = value


def _run(source: str, traced: fx.GraphModule, input_shape: Shape) -> _Run:
    """Run a traced module on images."""
    seen = _Run()

    class Watched(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            seen.note(n, value)
            return value

    runner = Watched(traced)
    runner.extra_traceback = False
    try:
        with torch.no_grad():
            runner.run(torch.zeros(_IMAGES, *input_shape))
    except Exception as error:
        raise UsageError(
            f"{source}: does not run on images of {' x '.join(map(str, input_shape))}: "
            f"{type(error).__name__}: {error}",
            "give the shape of one image with --input-shape C,H,W",
        ) from error
    return seen


@dataclass
class _Reader:
    """Reads the nodes of a traced graph, in order.

    Attributes:
        module: What was traced.
        run: What was seen in a run of it.
        pieces: What has been read.
        faults: What could not be.
        known: By node, the piece whose output it is.
    """

    module: nn.Module
    run: _Run
    pieces: list[Piece] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    known: dict[fx.Node, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = Names(dir(nn.ModuleDict()))

    def read(self, node: fx.Node) -> None:
        """Take in a node; sizes, and what is made of them, tell nothing that shapes do not."""
        if node.op == "placeholder":
            self.known[node] = NETWORK_INPUT
        elif node.op == "output":
            self._read_output(node)
        elif node in self.run.shapes:
            self._take(node, self._outcome(node))
        elif node.op == "call_module":
            where = str(node.target)
            self.faults.append(Fault(where, self._kind(node), "several outputs", "is one"))

    def _outcome(self, node: fx.Node) -> Outcome:
        shapes, values = self.run.shapes, self.run.values
        given = tuple(shapes[each] for each in _activations(node) if each in shapes)
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda each: values.get(each, each))
        call = Call(given, shapes[node], tuple(args), dict(kwargs))
        if node.op == "call_module":
            module = self.module.get_submodule(str(node.target))
            reader = MODULES.get(type(module))
            return reader(module, call) if reader else unknown(module.extra_repr())
        called = CALLS.get(node.target)
        return called(call) if called else unknown(_arguments(node))

    def _take(self, node: fx.Node, outcome: Outcome) -> None:
        read = [self.known[each] for each in _activations(node) if each in self.known]
        if outcome == "same" and read:
            self.known[node] = read[0]
            return
        where = str(node.target) if node.op == "call_module" else node.name
        name = self.known[node] = self._names.fitting(where)
        if isinstance(outcome, Refused):
            kind = self._kind(node)
            self.faults += [Fault(where, kind, *reason) for reason in outcome.reasons]
        elif outcome != "same":
            self.pieces.append(outcome.piece(name, read))

    def _kind(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return type(self.module.get_submodule(str(node.target))).__name__
        return str(getattr(node.target, "__name__", node.target))

    def _read_output(self, node: fx.Node) -> None:
        value = node.args[0]
        if not isinstance(value, fx.Node) or len(self.run.shapes.get(value, ())) not in (2, 4):
            self.faults.append(Fault("output", "return", str(value), "is one tensor of logits"))


def _activations(node: fx.Node) -> list[fx.Node]:
    """Return the nodes that are arguments, twice where one is twice."""
    found: list[fx.Node] = []

    def note(each: fx.Node) -> fx.Node:
        found.append(each)
        return each

    fx.map_arg((node.args, node.kwargs), note)
    return found


def _arguments(node: fx.Node) -> str:
    """Return a call's arguments as text, but for its activations."""
    args = [str(each) for each in node.args if not isinstance(each, fx.Node)]
    args += [f"{k}={v}" for k, v in node.kwargs.items() if not isinstance(v, fx.Node)]
    return ", ".join(args)
