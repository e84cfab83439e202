"""A torch module traced with ``torch.fx``, and run once: shapes, and what is done in place."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn

from cimsearch.blueprint import Shape
from cimsearch.errors import UsageError

ImageShape = tuple[int, ...]
"""Of a tensor of a run: (images, ...)."""

_IMAGES = 2
"""Images of the run for shapes: an operation that mixes them shows."""

_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Run:
    """What was seen in a run.

    Attributes:
        shapes: Of every activation, by node.
        values: What else nodes gave: sizes, stored tensors, and what is made of them.
        moving: The nodes that gave one activation, or several.
        changed: By node that works in place, the nodes before it whose tensors it changed.
    """

    shapes: dict[fx.Node, ImageShape] = field(default_factory=dict)
    values: dict[fx.Node, Any] = field(default_factory=dict)
    moving: set[fx.Node] = field(default_factory=set)
    changed: dict[fx.Node, list[fx.Node]] = field(default_factory=dict)

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


class _OfImages(fx.Tracer):
    """Traces a forward that needs the images alone: its other arguments are their defaults."""

    def create_args_for_root(
        self,
        root_fn: Callable[..., Any],
        is_module: bool,
        concrete_args: dict[str, Any] | tuple[Any, ...] | None = None,
    ) -> tuple[Any, list[Any]]:
        stated = inspect.signature(root_fn).parameters.values()
        needed = [p for p in stated if p.default is p.empty and p.kind not in _REST]

        def of_images(module: nn.Module, images: Tensor) -> Any:
            return root_fn(module, images)

        traced = of_images if len(needed) == 2 < len(stated) else root_fn
        return super().create_args_for_root(traced, is_module, concrete_args)


def traced(source: str, module: nn.Module) -> fx.GraphModule:
    """Return a module as a graph with one input.

    Raises:
        UsageError: It cannot be traced, assigns to what it reads, or needs not one input.
    """
    try:
        found = fx.GraphModule(module, _OfImages().trace(module))
    except Exception as error:
        raise UsageError(
            f"{source}: cannot be traced: {type(error).__name__}: {error}",
            "torch.fx follows a forward without branches on values; move them out of it",
        ) from error
    read = [node.target for node in found.graph.nodes if node.op == "get_attr"]
    # Tracing leaves a proxy where a forward puts a tensor.
    assigned = [name for name in read if isinstance(attrgetter(name)(found), fx.Proxy)]
    if assigned:
        raise UsageError(
            f"{source}: found a forward that assigns to its own {assigned[0]}; allowed is one "
            "that leaves its module as it is"
        )
    inputs = [node.name for node in found.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        names = ", ".join(inputs) or "none"
        raise UsageError(f"{source}: found the inputs {names}; allowed is one without a default")
    return found


def run(source: str, module: fx.GraphModule, input_shape: Shape) -> Run:
    """Run a traced module on images.

    Raises:
        UsageError: It does not run on images of that shape.
    """
    seen = Run()

    class Watched(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            # What is a view of another counts with it.
            tensors = {each: v for each, v in self.env.items() if isinstance(v, Tensor)}
            before = {each: v._version for each, v in tensors.items()}
            value = super().run_node(n)
            seen.note(n, value)
            changed = [each for each, v in tensors.items() if v._version != before[each]]
            if changed and n in seen.shapes:
                seen.changed[n] = changed
            return value

    runner = Watched(module, garbage_collect_values=False)
    runner.extra_traceback = False
    try:
        with torch.no_grad():
            runner.run(torch.zeros(_IMAGES, *input_shape))
    except Exception as error:
        raise UsageError(
            f"{source}: does not run on images of {' x '.join(map(str, input_shape))}: "
            f"{type(error).__name__}: {error}",
            "it is run on float32 images of the shape that --input-shape C,H,W gives",
        ) from error
    return seen


def without_changes_in_place(graph: fx.Graph, seen: Run) -> list[tuple[fx.Node, fx.Node]]:
    """Make what is read behind a change in place read its result, and leave out what nobody reads.

    Returns:
        Nodes that change another in place which is stored, or is read later and not of their
        shape, as what a flattened activation is a view of.
    """
    order = {node: at for at, node in enumerate(graph.nodes)}
    found = []
    for node, changed in seen.changed.items():
        for each in changed:
            later = [user for user in each.users if order[user] > order[node]]
            stored = each not in seen.shapes
            if stored or (later and seen.shapes[each] != seen.shapes[node]):
                found.append((node, each))
                continue
            for user in later:
                user.replace_input_with(each, node)
    graph.eliminate_dead_code()
    return found
