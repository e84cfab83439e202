"""What a plan becomes with values for its axes: one blueprint, or the layer table of many.

Layers carry the kept widths: what is priced is what is built.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import NETWORK_INPUT, OPS, Blueprint, Node, Op
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.space.conditions import Value, hold
from cimsearch.space.picks import COLUMNS, Picks
from cimsearch.space.steps import OF_ARRAYS, Plan, Step
from cimsearch.spec.blocks import GROUPS

Values = Mapping[str, Value]
Ints = NDArray[np.int64]

_Flows = tuple[Ints, NDArray[np.bool_]]
"""Of what a node puts out in each network: its channels, and whether it has a sign; (n,) or ()."""

_FLOAT = {"placement": "digital", "w_bits": 0, "x_bits": 0}


class _Flow(NamedTuple):
    """What a node puts out: from which node it is, its channels, their prune group, its sign."""

    source: str
    channels: int
    group: str
    signed: bool


def blueprint_of(plan: Plan, values: Values, *, parent: bool = False) -> Blueprint:
    """Return the network of ``plan`` with ``values`` by axis name.

    Args:
        plan: The family laid out.
        values: A value for every axis; numerics that are no axis may be given too.
        parent: Return the float parent instead, which a candidate's weights are taken from: the
            same layout with nothing pruned and no bits.
    """
    if parent:
        values = {**values, **dict.fromkeys(plan.shares, 0.0)}
    nodes = []
    flows = {NETWORK_INPUT: _Flow(NETWORK_INPUT, plan.input_shape[0], "", signed=True)}
    for step in plan.steps:
        read = [flows[name] for name in step.node.inputs]
        if step.conditions and not hold(step.conditions, values):
            flows[step.node.name] = read[step.bypass]
            continue
        node = _node(step, read, values, parent=parent)
        nodes.append(node)
        own = node.has_weights or node.op == "concat"
        group = node.prune_group if own else read[0].group
        signed = _signed(step.node.op, [flow.signed for flow in read])
        flows[node.name] = _Flow(node.name, node.out_shape[0], group, signed)
    return Blueprint(plan.input_shape, plan.classes, tuple(nodes))


def _node(step: Step, read: Sequence[_Flow], values: Values, *, parent: bool) -> Node:
    """Return the node of an existing ``step`` that reads ``read``."""
    node, given = step.node, read[0].channels
    if step.width is not None:
        out = step.width.whole(values) if parent else step.width.kept(values)
    else:
        out = _unpruned(step, given)
    changed = {
        **step.fields,
        "inputs": tuple([flow.source for flow in read]),
        "in_shape": (given, *node.in_shape[1:]),
        "out_shape": (out, *node.out_shape[1:]),
    }
    if node.has_weights:
        changed["x_signed"] = read[0].signed
        changed |= _FLOAT if parent else _numerics(step, values)
    elif not parent:
        changed |= _kept_bits(step, read, values)
    if step.part == "low" and 0 < float(values[step.high_share]) < 1:
        changed["prune_group"] = ""
    if step.kernel:
        changed["kernel"] = step.window(int(values[step.kernel]))
    if step.depthwise:
        changed |= {"prune_group": read[0].group, "groups": out}
    if step.execution:
        changed |= _executed(str(values[step.execution]), out, parent=parent)
    return Node(**changed)


def _kept_bits(step: Step, read: Sequence[_Flow], values: Values) -> dict[str, Any]:
    """Return the fields of an addition whose waiting operand is kept in few bits; else nothing."""
    found = _numerics(step, values)
    return found | {"x_signed": read[1].signed} if found.get("x_bits") else {}


def _unpruned(step: Step, given: Any) -> Any:
    """Return the output channels of a step without a width of its own that reads ``given``."""
    if step.node.op == "flatten":
        return given * step.node.in_shape[1] * step.node.in_shape[2]
    return step.node.out_shape[0] if step.node.has_weights and not step.depthwise else given


def _signed(op: Op, read: Sequence[Any]) -> Any:
    """Return whether the output of ``op`` may be negative, from whether what it reads may be."""
    if op in ("add", "concat"):
        return read[0] | read[1]
    if op in ("relu", "hard_sigmoid"):
        return read[0] & False
    return read[0] | (op in ("conv", "linear", "batchnorm"))


def _numerics(step: Step, values: Values) -> dict[str, Any]:
    """Return the fields of a step's node in which its numerics differ from the template's."""
    found = {name: values[axis] for axis, name in step.numeric_axes.items() if axis in values}
    if step.part == "low" and values[step.high_share] == 1:
        found["w_bits"] = values[step.high_bits]
    return found


def _executed(how: str, channels: int, *, parent: bool) -> dict[str, Any]:
    """Return the fields of a depthwise convolution's node that is executed as ``how`` says."""
    groups = {"groups": GROUPS.get(how, channels)}
    if how != "digital" or parent:
        return groups
    return groups | {"placement": "digital", "adc_bits": 0, "encoding": "", "range_policy": ""}


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
    flows: dict[str, _Flows] = {NETWORK_INPUT: (np.array(plan.input_shape[0]), np.array(True))}
    for index, step in enumerate(plan.steps):
        read = [flows[name] for name in step.node.inputs]
        decided = _decided(step, picks, read)
        for name, values in decided.items():
            columns[name][index] = values
        signed = _signed(step.node.op, [sign for _, sign in read])
        flows[step.node.name] = (decided["out_channels"], np.asarray(signed))
        if not exists[index].all():
            own, instead = flows[step.node.name], read[step.bypass]
            flows[step.node.name] = (
                np.where(exists[index], own[0], instead[0]),
                np.where(exists[index], own[1], instead[1]),
            )
    order = _order(exists)
    if order is not None:
        columns["reach"] = _reaches(plan, exists)
    columns["behind"] = [np.array(int(step.follows)) for step in plan.steps]
    packed = LayerTable(
        *(_packed([*columns[name], getattr(template, name)[1, 0]], order, n) for name in names)
    )
    return replace(packed, behind=_behind(packed.op, packed.behind))


def _behind(op: Ints, follows: Ints) -> Ints:
    """Return how many nodes before each activation its layer is (n, nodes).

    Args:
        op: What the nodes are.
        follows: Which of them are activations that follow what they read.
    """
    if not follows.any():
        return follows
    if op.strides[0] == follows.strides[0] == 0 and len(op) > 1:
        return np.broadcast_to(_behind(op[:1], follows[:1]), op.shape)
    before = np.full((len(op), 2 + op.shape[1]), -1)
    before[:, 2:] = op
    layer = np.isin(before, [OPS.index("conv"), OPS.index("linear")])
    behind_norm = (before[:, 1:-1] == OPS.index("batchnorm")) & layer[:, :-2]
    behind: Ints = follows * (1 * layer[:, 1:-1] + 2 * behind_norm)
    return behind


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
        if step.conditions:
            row[:] = picks.hold(step.conditions)
    return exists


def _reaches(plan: Plan, exists: NDArray[np.bool_]) -> list[Ints]:
    """Return for each step how many nodes back (n,) the earliest of what it reads is made."""
    places = np.cumsum(exists, axis=0, dtype=np.int64) - exists
    made, found = {NETWORK_INPUT: 0 * places[0]}, []
    for step, place, there in zip(plan.steps, places, exists, strict=True):
        read = [made[name] for name in step.node.inputs]
        found.append(place - reduce(np.minimum, read))
        made[step.node.name] = np.where(there, place, read[step.bypass])
    return found


def _decided(step: Step, picks: Picks, read: Sequence[_Flows]) -> dict[str, Ints]:
    """Return the columns (n,) or () of an existing ``step`` that reads ``read``."""
    given, _ = read[0]
    out = _unpruned(step, given) if step.width is None else picks.kept(step.width)
    columns = {"in_channels": given, "out_channels": np.asarray(out)}
    for axis, column in step.numeric_axes.items():
        if axis in picks.choices:
            columns[COLUMNS.get(column, column)] = picks.codes(axis)
    if step.part == "low":
        whole = picks.of(step.high_share, [share == 1 for share in picks.choices[step.high_share]])
        columns["w_bits"] = np.where(whole, picks.codes(step.high_bits), columns["w_bits"])
    if step.part == "high" and step.width is not None:
        columns["beside_channels"] = picks.kept(replace(step.width, part="low"))
        columns["beside_bits"] = picks.codes(f"{step.layer}.weight_bits")
    if "x_bits" in columns or step.node.has_weights:
        columns["x_signed"] = _has_sign(step, read, columns)
    if step.kernel:
        windows = np.array([step.window(int(side)) for side in picks.choices[step.kernel]])
        for column, sides in zip(("kernel_height", "kernel_width"), windows.T, strict=True):
            columns[column] = picks.of(step.kernel, sides)
    if step.depthwise:
        columns["groups"] = columns["out_channels"]
    if step.execution:
        columns |= _execution(step.execution, picks, columns)
    return columns


def _has_sign(step: Step, read: Sequence[_Flows], columns: Mapping[str, Ints]) -> Ints:
    """Return where (n,) or () what is quantised of what ``step`` reads may be negative."""
    if step.node.has_weights:
        return read[0][1].astype(np.int64)
    return np.asarray(read[1][1] & (columns["x_bits"] > 0), dtype=np.int64)


def _execution(axis: str, picks: Picks, columns: Mapping[str, Ints]) -> dict[str, Ints]:
    """Return the columns of a depthwise convolution that are other where it is executed so."""
    words = picks.choices[axis]
    stated = picks.of(axis, [GROUPS.get(str(how), 0) for how in words])
    on_arrays = picks.of(axis, [int(how != "digital") for how in words])
    changed = {name: columns[name] * on_arrays for name in OF_ARRAYS if name in columns}
    groups = np.where(stated > 0, stated, columns["groups"])
    return changed | {"cim": on_arrays, "groups": groups}


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
