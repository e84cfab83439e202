"""Small changes of a network as rows of one layer table: widths of coupled groups, and bits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import NETWORK_INPUT, Blueprint, Node, second_parts
from cimsearch.cost.demand import demand_of
from cimsearch.cost.layer_integers import columns_of_output
from cimsearch.cost.map_table import map_table
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.spec.hardware import Encoding, Hardware

Kind = Literal["width", "weight_bits", "activation_bits", "adc_bits"]

SMALL = 8
"""Width changes of at most this many channels are told; of larger ones, only the next boundary."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Change:
    """``after`` instead of ``before`` at a coupled group of layers (a width) or a layer (bits)."""

    where: str
    kind: Kind
    before: int
    after: int


def changes_of(blueprint: Blueprint, hardware: Hardware) -> list[Change]:
    """Return the widths around those of ``blueprint``, and the next settings of its bits.

    Widths go from half to one and a half times the present, and at least ``SMALL`` channels off.
    """
    parts = {name for node in blueprint.nodes if node.op == "concat" for name in node.inputs}
    bits = [
        change
        for node in blueprint.nodes
        for change in _bit_changes(node, hardware)
        # Parts of a layer differ in their weight bits alone.
        if node.name not in parts or change.kind == "weight_bits"
    ]
    return [*_width_changes(blueprint), *bits]


def changed_table(blueprint: Blueprint, changes: Sequence[Change]) -> LayerTable:
    """Return a table of ``blueprint`` and, after it, of ``blueprint`` with each of ``changes``.

    A width goes to the outputs of its group and to every node that these channels pass through.
    """
    present = layer_table([blueprint])
    table = present.map(lambda column: np.repeat(column, len(changes) + 1, axis=0))
    flow, index = _flow(blueprint), {node.name: i for i, node in enumerate(blueprint.nodes)}
    reads = np.array([flow[node.inputs[0]] for node in blueprint.nodes])
    gives = np.array([flow[node.name] for node in blueprint.nodes])
    depthwise = np.array([_depthwise(node) for node in blueprint.nodes])
    for row, change in enumerate(changes, start=1):
        if change.kind == "width":
            for column, follows in (
                (table.in_channels, reads == change.where),
                (table.out_channels, gives == change.where),
                (table.groups, (reads == change.where) & depthwise),
            ):
                column[row, follows] = column[row, follows] * change.after // change.before
        else:
            bits = {
                "weight_bits": table.w_bits,
                "activation_bits": table.x_bits,
                "adc_bits": table.adc_bits,
            }
            bits[change.kind][row, index[change.where]] = change.after
    for name, first in second_parts(blueprint).items():
        table.beside_bits[:, index[name]] = table.w_bits[:, index[first.name]]
    return table


def priced_changes(blueprint: Blueprint, hardware: Hardware) -> tuple[LayerTable, list[Change]]:
    """Return the table of ``blueprint`` and its changes, and those of them that have a price.

    A width has none if it leaves a row group of rows that a table of array calls does not tell.

    Raises:
        HardwareError: The network asks what the macro cannot do.
    """
    changes = changes_of(blueprint, hardware)
    table = changed_table(blueprint, changes)
    told = ~_rows_untold(table, blueprint, hardware)
    # The network itself is priced, or refused, in any case.
    told[0] = True
    kept = [change for change, is_told in zip(changes, told[1:], strict=True) if is_told]
    return table.map(lambda column: column[told]), kept


def _rows_untold(table: LayerTable, blueprint: Blueprint, hardware: Hardware) -> NDArray[np.bool_]:
    """Return which networks (n,) call arrays with rows outside the table of the macro's calls."""
    untold, calls = np.zeros(table.shape[0], dtype=bool), hardware.macro.array_call
    if calls is None:
        return untold
    floating = table.map(lambda column: column.astype(np.float64))
    demand = demand_of(floating, hardware, lambda _, node: blueprint.nodes[node].name)
    mapping, (_, known, _) = map_table(floating, demand, hardware.macro), calls.axes()
    for rows, count in mapping.row_group_sizes(hardware.macro.array.active_rows):
        outside = (rows < known[0]) | (rows > known[-1])
        untold |= (demand.cim & (count > 0) & outside).any(axis=1)
    return untold


def weights_of(table: LayerTable, blueprint: Blueprint) -> Ints:
    """Return the stored weights of every network of a table of ``changed_table`` (n,)."""
    weighted = np.array([node.has_weights for node in blueprint.nodes])
    window = table.kernel_height * table.kernel_width
    counts = window * (table.in_channels // table.groups) * table.out_channels
    total: Ints = (counts * weighted).sum(axis=1)
    return total


def _depthwise(node: Node) -> bool:
    return node.groups > 1 and node.groups == node.in_shape[0]


def _owns_width(node: Node) -> bool:
    """Whether the node chooses its outputs: a convolution that is not depthwise, or its parts."""
    return node.op == "concat" or (node.op == "conv" and not _depthwise(node))


def _group(node: Node) -> str:
    """Return the coupled group of a convolution; without one it is a group by itself."""
    return node.prune_group or node.name


def _flow(blueprint: Blueprint) -> dict[str, str]:
    """Return by node the group that its output's channels follow; empty if none."""
    follows = {NETWORK_INPUT: ""}
    for node in blueprint.nodes:
        source = "" if node.op == "linear" else follows[node.inputs[0]]
        follows[node.name] = _group(node) if _owns_width(node) else source
    return follows


def _width_changes(blueprint: Blueprint) -> Iterator[Change]:
    flow = _flow(blueprint)
    convs = [node for node in blueprint.nodes if _owns_width(node)]
    in_parts = {
        name
        for node in convs
        if node.op == "concat"
        for name in (_group(node), *map(_group, map(blueprint.node, node.inputs)))
    }
    for group, width in {_group(node): node.out_shape[0] for node in convs}.items():
        if group in in_parts:
            continue
        touched = [n for n in convs if group in (flow[n.name], flow[n.inputs[0]])]
        divisor = np.lcm.reduce([node.groups for node in touched])
        reach = max(SMALL, width // 2)
        for after in range(max(1, width - reach), width + reach + 1):
            if after != width and after % divisor == 0:
                yield Change(group, "width", width, after)


def _bit_changes(node: Node, hardware: Hardware) -> Iterator[Change]:
    """Yield the next settings down and up of a layer on arrays."""
    if node.placement != "cim":
        return
    macro = hardware.macro
    own: dict[Literal["weight_bits", "activation_bits", "adc_bits"], int] = {
        "weight_bits": node.w_bits,
        "activation_bits": node.x_bits,
        "adc_bits": node.adc_bits or macro.adc_bits,
    }
    encoding = cast(Encoding, node.encoding or macro.weights.encoding)
    for kind, before in own.items():
        known = sorted(int(choice) for choice in macro.choices(kind))
        if kind == "weight_bits":
            # One bit has no sign to store; an output's columns stay in one array.
            known = [
                bits
                for bits in known
                if bits > 1
                and columns_of_output(bits, macro.array.cell_bits, encoding) <= macro.array.cols
            ]
        below, above = [b for b in known if b < before], [b for b in known if b > before]
        for after in (*below[-1:], *above[:1]):
            yield Change(node.name, kind, before, after)
