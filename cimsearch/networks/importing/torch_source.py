"""A torch module as pieces: traced with ``torch.fx``, and run once for its shapes."""

from dataclasses import dataclass, field

from torch import fx, nn

from cimsearch.blueprint import NETWORK_INPUT, Shape
from cimsearch.networks.importing.outcomes import Outcome, Refused
from cimsearch.networks.importing.pieces import Fault, Names, Piece, refuse
from cimsearch.networks.importing.torch_functions import CALLS
from cimsearch.networks.importing.torch_operations import Call, of_module, unknown
from cimsearch.networks.importing.tracing import Run, run, traced, without_changes_in_place


def read_module(source: str, module: nn.Module, input_shape: Shape) -> list[Piece]:
    """Return what a module computes in evaluation mode, in an order of execution.

    The last piece gives the logits.

    Args:
        source: How messages call it.
        module: It is left in evaluation mode and float32.
        input_shape: (channels, height, width) of an image.

    Raises:
        UsageError: It cannot be traced, does not run on such images, or does what no blueprint
            does: everything that does not fit is named at once.
    """
    module.eval().float()
    graph = traced(source, module)
    reader = _Reader(module, run(source, graph, input_shape))
    for node, changed in without_changes_in_place(graph.graph, reader.run):
        reader.refuse_change(node, changed)
    for node in graph.graph.nodes:
        reader.read(node)
    refuse(source, reader.faults)
    return reader.pieces


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
    run: Run
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
            self._refuse(node, "several outputs", "is one")

    def refuse_change(self, node: fx.Node, changed: fx.Node) -> None:
        """Take in a node that changes another in place, to no avail of those that read it."""
        what = changed.name if changed in self.run.shapes else "stored numbers"
        self._refuse(
            node,
            f"a change in place of {what}",
            "is one of an activation that is read in that shape alone",
        )

    def _refuse(self, node: fx.Node, *reason: str) -> None:
        self.faults.append(Fault(_called(node), self._kind(node), *reason))

    def _outcome(self, node: fx.Node) -> Outcome:
        shapes, values = self.run.shapes, self.run.values
        given = tuple(shapes[each] for each in _activations(node) if each in shapes)
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda each: values.get(each, each))
        call = Call(given, shapes[node], tuple(args), dict(kwargs))
        if node.op == "call_module":
            module = self.module.get_submodule(str(node.target))
            return of_module(module, call)
        called = CALLS.get(node.target)
        return called(call) if called else unknown(_arguments(node))

    def _take(self, node: fx.Node, outcome: Outcome) -> None:
        read = [self.known[each] for each in _activations(node) if each in self.known]
        if outcome == "same" and read:
            self.known[node] = read[0]
            return
        name = self.known[node] = self._names.fitting(_called(node))
        if isinstance(outcome, Refused):
            for reason in outcome.reasons:
                self._refuse(node, *reason)
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


def _called(node: fx.Node) -> str:
    """Return what a node is called in the module, or in the graph."""
    return str(node.target) if node.op == "call_module" else node.name


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
