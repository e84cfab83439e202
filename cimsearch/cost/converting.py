"""Which activations the converters of a macro compute, by where their ranges end.

One conversion has to make the whole sum of an output, or the sum that the activation is of is
known to the digital unit alone: one row tile and row group, one input plane, one weight slice in a
differential pair, which nothing is taken off, and a range for each column.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import ACTIVATIONS, OPS, Blueprint, Node, behind_layers
from cimsearch.cost.demand import DIFFERENTIAL, Demand
from cimsearch.cost.layers import Columns, Layers
from cimsearch.cost.mapping import COLUMN_RANGE
from cimsearch.cost.mapping import Mapping as Mapped
from cimsearch.cost.namespace import Array, values_of
from cimsearch.layer_table import LayerTable
from cimsearch.spec.adc import ConverterActivation
from cimsearch.spec.hardware import Macro

_Fault = tuple[str, Callable[[Demand, Mapped], Array]]

_FAULTS: tuple[_Fault, ...] = (
    ("its encoding is not differential", lambda demand, _: demand.encoding != DIFFERENTIAL),
    ("it has no range for each column", lambda demand, _: demand.range_policy != COLUMN_RANGE),
    (
        "a sum is of several row groups",
        lambda _, mapping: mapping.row_groups + mapping.skipped_row_groups != 1,
    ),
    ("inputs are applied in several planes", lambda _, mapping: mapping.planes != 1),
    ("a weight is stored in several slices", lambda _, mapping: mapping.slices != 1),
)
"""Why one conversion does not make the whole sum of an output, and of which nodes it is so."""


def activation_of(node: Node) -> ConverterActivation:
    """Return what a converter would compute of an activation."""
    if node.op == "hard_sigmoid":
        return "hard_sigmoid"
    return "relu" if node.limit is None else "clipped"


def by_converters(
    table: LayerTable, columns: Columns, mapped: tuple[Demand, Mapped], macro: Macro
) -> NDArray[np.bool_]:
    """Return which nodes (n, nodes) are activations that converters compute.

    Args:
        table: All nodes.
        columns: Those that any network has on arrays.
        mapped: Settings and mapping of these.
        macro: What they are on.
    """
    known, op = macro.adc.activation if macro.adc else (), values_of(table.op)
    computed = (op == OPS.index("hard_sigmoid")) & ("hard_sigmoid" in known)
    limited = values_of(table.limited) == 1
    relu = np.where(limited, "clipped" in known, "relu" in known)
    computed |= (op == OPS.index("relu")) & relu
    whole = np.zeros(op.shape, dtype=bool)
    faults = [values_of(fault(*mapped)) for _, fault in _FAULTS]
    whole[:, columns] = values_of(mapped[0].cim) & ~np.logical_or.reduce(faults)
    behind = values_of(table.behind).astype(np.intp)
    layer = np.arange(op.shape[1]) - behind
    found: NDArray[np.bool_] = computed & (behind > 0) & np.take_along_axis(whole, layer, axis=1)
    return found


def told(network: Blueprint, index: int, layers: tuple[Columns, Layers], macro: Macro) -> str:
    """Return who computes the activation of a layer on arrays, or an activation, and why.

    Empty of other nodes, and where converters compute none.

    Args:
        network: The network.
        index: Of the node.
        layers: The columns of all nodes on arrays, and these.
        macro: What they are on.
    """
    node, behind = network.nodes[index], behind_layers(network)
    if macro.adc is None or not macro.adc.activation:
        return ""
    if node.op in ACTIVATIONS:
        if node.name not in behind:
            return (
                "the digital unit computes it: it is not right behind a layer that it alone reads"
            )
        layer = behind[node.name][0]
        fault = _fault(network, layer, node, layers, macro)
        if fault:
            return f"the digital unit computes it: {fault}"
        return f"the converters of {layer.name} compute it"
    if node.placement != "cim":
        return ""
    found = next((name for name, before in behind.items() if before[0] == node), "")
    if not found:
        return (
            "converters compute no activation: none that alone reads the layer is right behind it"
        )
    fault = _fault(network, node, network.node(found), layers, macro)
    return f"converters do not compute {found}: {fault}" if fault else f"they compute {found}"


def _fault(
    network: Blueprint,
    layer: Node,
    activation: Node,
    layers: tuple[Columns, Layers],
    macro: Macro,
) -> str:
    """Return why the converters of a layer do not compute an activation; empty if they do."""
    columns, part = layers
    kind, known = activation_of(activation), macro.adc.activation if macro.adc else ()
    if kind not in known:
        return f"adc.activation has no {kind}"
    if layer.placement != "cim":
        return f"{layer.name} is not on arrays"
    place = int(np.flatnonzero(columns == network.nodes.index(layer))[0])
    return next(
        (text for text, fault in _FAULTS if _at(fault(part.demand, part.mapping), place)), ""
    )


def _at(values: Array, place: int) -> bool:
    return bool(np.atleast_2d(values_of(values))[0, place])
