"""What a plan becomes with values for its axes: one blueprint, or the layer table of many.

Layers carry the kept widths: what is priced is what is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import (
    ENCODINGS,
    NETWORK_INPUT,
    RANGE_POLICIES,
    Blueprint,
    LayerTable,
    Node,
    layer_table,
)
from cimsearch.space.layout import Plan, Step, Width, kept

Value = int | float | str
Values = Mapping[str, Value]
Ints = NDArray[np.int64]

_WORDS = {"encoding": ENCODINGS, "range_policy": RANGE_POLICIES}
_FLOAT = {"placement": "digital", "w_bits": 0, "x_bits": 0}


def blueprint_of(plan: Plan, values: Values, *, parent: bool = False) -> Blueprint:
    """Return the network of ``plan`` with ``values`` by axis name.

    Args:
        plan: The family laid out.
        values: A value for every axis; numerics that are no axis may be given too.
        parent: Return the float parent instead, which a candidate's weights are taken from: the
            same layout with nothing pruned and no bits.
    """
    nodes = []
    read = {NETWORK_INPUT: NETWORK_INPUT}
    channels = {NETWORK_INPUT: plan.input_shape[0]}
    for step in plan.steps:
        node = step.node
        inputs = tuple(read[name] for name in node.inputs)
        if step.depth and int(values[step.depth]) <= step.position:
            read[node.name] = inputs[0]
            continue
        given = channels[inputs[0]]
        if step.width is not None:
            width = int(values[step.width.full])
            out = width if parent else kept(width, float(values[step.width.ratio]))
        else:
            out = node.out_shape[0] if node.has_weights else given
        read[node.name], channels[node.name] = node.name, out
        changed = {
            **step.fields,
            "inputs": inputs,
            "in_shape": (given, *node.in_shape[1:]),
            "out_shape": (out, *node.out_shape[1:]),
            **_numerics(step, values, parent=parent),
        }
        nodes.append(Node(**changed))
    return Blueprint(plan.input_shape, plan.classes, tuple(nodes))


def _numerics(step: Step, values: Values, *, parent: bool) -> dict[str, Any]:
    """Return the fields of a step's node in which its numerics differ from the template's."""
    if parent:
        return _FLOAT if step.node.has_weights else {}
    return {name: values[axis] for axis, name in step.numeric_axes.items() if axis in values}


@dataclass(frozen=True)
class Picks:
    """Choices of many candidates.

    Attributes:
        choices: What each axis may be, by name.
        picked: The index (n,) into them that each candidate picked; an axis without one has its
            first choice.
    """

    choices: Mapping[str, tuple[Value, ...]]
    picked: Mapping[str, Ints]

    def exceeds(self, depth: str, position: int) -> NDArray[np.bool_]:
        """Return where (n,) or () the axis ``depth`` exceeds ``position``."""
        return self._of(depth, [int(value) > position for value in self.choices[depth]])

    def codes(self, axis: str) -> Ints:
        """Return the numbers (n,) or () that the choices of ``axis`` are in a layer table."""
        words = _WORDS.get(axis.rsplit(".", 1)[-1])
        return self._of(axis, [words.index(str(c)) if words else c for c in self.choices[axis]])

    def kept(self, width: Width) -> Ints:
        """Return the channels (n,) or () that stay."""
        ratios = [float(ratio) for ratio in self.choices[width.ratio]]
        table = [[kept(int(w), ratio) for ratio in ratios] for w in self.choices[width.full]]
        full, ratio = (self.picked.get(axis, 0) for axis in (width.full, width.ratio))
        return np.asarray(np.array(table)[full, ratio])

    def _of(self, axis: str, values: list[Any]) -> NDArray[Any]:
        return np.asarray(np.array(values)[self.picked.get(axis, 0)])


def table_of(plan: Plan, picks: Picks, n: int) -> LayerTable:
    """Return the layer table of ``n`` candidates, all at once: that of their blueprints.

    A column that no choice decides may be a read-only view of one row.
    """
    if n == 0:
        return layer_table([])
    # The second network has no nodes: its row is padding.
    template = layer_table([plan.template, Blueprint(plan.input_shape, plan.classes, ())])
    names = [column.name for column in fields(LayerTable)]
    columns = {name: [*getattr(template, name)[0]] for name in names}
    exists = _existing(plan, picks, n)
    channels = {NETWORK_INPUT: np.array(plan.input_shape[0])}
    for index, step in enumerate(plan.steps):
        decided = _decided(step, picks, channels[step.node.inputs[0]])
        for name, values in decided.items():
            columns[name][index] = values
        given, out = decided["in_channels"], decided["out_channels"]
        channels[step.node.name] = (
            out if exists[index].all() else np.where(exists[index], out, given)
        )
    order = _order(exists)
    return LayerTable(
        *(_packed([*columns[name], getattr(template, name)[1, 0]], order, n) for name in names)
    )


def places_of(plan: Plan, picks: Picks, n: int) -> NDArray[np.intp]:
    """Return which step of ``plan`` is at each place of the nodes of ``n`` candidates.

    Shape (n, nodes), as that of their layer table; (1, nodes) if it is the same step in all of
    them. Behind the end of a candidate it is one more than there are steps.
    """
    order = _order(_existing(plan, picks, n))
    return np.arange(len(plan.steps))[None] if order is None else order.T


def _existing(plan: Plan, picks: Picks, n: int) -> NDArray[np.bool_]:
    """Return which steps exist in each candidate (steps, n)."""
    exists = np.ones((len(plan.steps), n), dtype=bool)
    for row, step in zip(exists, plan.steps, strict=True):
        if step.depth:
            row[:] = picks.exceeds(step.depth, step.position)
    return exists


def _decided(step: Step, picks: Picks, given: Ints) -> dict[str, Ints]:
    """Return the columns (n,) or () of an existing ``step`` that gets ``given`` channels."""
    columns = {"in_channels": given, "out_channels": given}
    if step.width is not None:
        columns["out_channels"] = picks.kept(step.width)
    elif step.node.has_weights:
        columns["out_channels"] = np.array(step.node.out_shape[0])
    for axis, column in step.numeric_axes.items():
        if axis in picks.choices:
            columns[column] = picks.codes(axis)
    return columns


def _order(exists: NDArray[np.bool_]) -> NDArray[np.intp] | None:
    """Return which step (longest, n) is at each place of a network, from ``exists`` (steps, n).

    Behind its end that is one more than there are steps. None: every step is at its own place.
    """
    if exists.all():
        return None
    nodes = exists.sum(axis=0)
    order = np.argsort(~exists, axis=0, kind="stable")[: nodes.max()]
    order[np.arange(len(order))[:, None] >= nodes] = len(exists)
    return order


def _packed(values: list[Ints], order: NDArray[np.intp] | None, n: int) -> Ints:
    """Return a column (n, longest) from the values (n,) or () of every step and of padding."""
    column = np.empty((len(values), n if any(v.ndim for v in values) else 1), dtype=np.int64)
    for row, value in zip(column, values, strict=True):
        row[:] = value
    if order is None:
        return np.broadcast_to(column[:-1], (len(column) - 1, n)).T
    if (column == column[0, 0]).all():
        return np.broadcast_to(column[0, 0], order.T.shape)
    if column.shape[1] == 1:
        return column[:, 0][order].T
    return np.take_along_axis(column, order, axis=0).T
