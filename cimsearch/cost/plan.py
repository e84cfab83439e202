"""The mapping plan: which part of which layer is in which array, and in which rows and columns."""

from collections import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from cimsearch.blueprint import Blueprint, Node, second_parts
from cimsearch.cost.layer_integers import row_groups, tile_rows
from cimsearch.cost.mapping import Mapping
from cimsearch.cost.model import CostArrays, estimate_table
from cimsearch.cost.namespace import node_sum, whole
from cimsearch.cost.parts import parts_share_arrays
from cimsearch.cost.sharing import shelves_of
from cimsearch.layer_table import layer_table
from cimsearch.spec.hardware import Hardware

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Placement:
    """The part of a layer that is in one array: ranges are [start, stop).

    Attributes:
        layer: Name of the node.
        copy: Which of the layer's copies; 0 is the first.
        group: Groups of the convolution whose blocks are in this array, along its diagonal;
            (0, 1) for an ordinary layer. ``Mapping.abreast`` of them are driven at once.
        macro: Index of the array among all that the network needs; in a system with fewer macros
            it is loaded into macro ``macro % macros``. Those of layers that are fused in a group
            which fits are other macros.
        rows: Rows of the array that are used.
        columns: Columns of the array that are used.
        weight_rows: Rows of one group's weight matrix that are stored.
        outputs: Outputs of one group that are stored.
        row_groups: Ranges of ``weight_rows`` that are converted one after another; none of those
            without weights that the macro skips, if it is known which they are.
        adcs: Converters of the array that are used; empty in a digital macro.
    """

    layer: str
    copy: int
    group: Range
    macro: int
    rows: Range
    columns: Range
    weight_rows: Range
    outputs: Range
    row_groups: tuple[Range, ...]
    adcs: Range

    @property
    def cells(self) -> int:
        """Cells that hold weights."""
        (row, row_stop), (column, column_stop) = self.rows, self.columns
        return (row_stop - row) * (column_stop - column) // (self.group[1] - self.group[0])


def mapping_plan(
    network: Blueprint,
    hardware: Hardware,
    skipped: abc.Mapping[str, abc.Collection[Range]] = MappingProxyType({}),
) -> tuple[Placement, ...]:
    """Return where every weight of ``network`` is, in the order of its layers and their copies.

    Args:
        network: What is mapped.
        hardware: What it is on.
        skipped: Row ranges of layers that hold no weights, by name: they are in the arrays, and
            in no ``row_groups``. Which they are only the weights say.

    Raises:
        HardwareError: A node asks what the macro cannot do; the node is named.
    """
    names = [node.name for node in network.nodes]
    table = layer_table([network])
    costs = estimate_table(table, hardware, label=lambda _, i: names[i])
    plan: list[Placement] = []
    seats = _first_seats(costs, hardware)
    spare = int(costs.macros[0])
    beside = second_parts(network) if parts_share_arrays(hardware) else {}
    first: dict[str, list[Placement]] = {}
    for index, node in enumerate(network.nodes):
        if node.placement != "cim":
            continue
        other = first[beside[node.name].name] if node.name in beside else []
        blocks = _blocks(node, index, costs.mapping, hardware, other)
        left_out = skipped.get(node.name, ())
        blocks = [
            replace(b, row_groups=tuple(part for part in b.row_groups if part not in left_out))
            for b in blocks
        ]
        taken = _seats_beside(blocks, seats[index], other)
        first[node.name] = [_placement(b, seat) for b, seat in zip(blocks, taken, strict=True)]
        plan += first[node.name]
        for copy in range(1, int(costs.nodes.copies[0, index])):
            plan += [
                _placement(block, _Seat(spare + place, 0), copy)
                for place, block in enumerate(blocks)
            ]
            spare += len(blocks)
    return tuple(plan)


@dataclass(frozen=True, slots=True)
class _Block:
    """The part of a layer that one array holds."""

    layer: str
    group: Range
    columns_per_output: int
    weight_rows: Range
    outputs: Range
    row_groups: tuple[Range, ...]
    shared: int

    @property
    def blocks(self) -> int:
        return self.group[1] - self.group[0]


@dataclass(frozen=True, slots=True)
class _Seat:
    """The array of a block and the first of its columns."""

    macro: int
    column: int


def _placement(block: _Block, seat: _Seat, copy: int = 0) -> Placement:
    rows, outputs = block.weight_rows, block.outputs
    columns = block.blocks * (outputs[1] - outputs[0]) * block.columns_per_output
    first, stop = seat.column, seat.column + columns
    shared = block.shared
    return Placement(
        layer=block.layer,
        copy=copy,
        group=block.group,
        macro=seat.macro,
        rows=(0, block.blocks * (rows[1] - rows[0])),
        columns=(first, stop),
        weight_rows=rows,
        outputs=outputs,
        row_groups=block.row_groups,
        adcs=(first // shared, -(-stop // shared)) if shared else (0, 0),
    )


def _blocks(
    node: Node, index: int, mapping: Mapping, hardware: Hardware, beside: Sequence[Placement]
) -> list[_Block]:
    """Return what the arrays of one copy of a layer hold: groups, then row tiles, then outputs.

    The first outputs of the second part of a layer go into the columns that the first part, which
    is placed in ``beside``, leaves of its last array.
    """
    array, adc = hardware.macro.array, hardware.macro.adc
    rows, outputs, columns, diagonal = (
        int(whole(counts)[0, index])
        for counts in (
            mapping.rows,
            mapping.outputs,
            mapping.columns_per_output,
            mapping.diagonal,
        )
    )
    tile = tile_rows(array.rows, node.kernel[0] * node.kernel[1], hardware.macro.packing)
    fitting = min((array.cols - beside[-1].columns[1]) // columns, outputs) if beside else 0
    own = [
        (start + fitting, stop + fitting)
        for start, stop in _ranges(outputs - fitting, array.cols // columns)
    ]
    return [
        _Block(
            layer=node.name,
            group=group,
            columns_per_output=columns,
            weight_rows=weight_rows,
            outputs=stored,
            row_groups=tuple(
                part
                for part in row_groups(rows, tile, array.active_rows)
                if weight_rows[0] <= part[0] < weight_rows[1]
            ),
            shared=adc.columns_per_adc if adc else 0,
        )
        for group in _ranges(node.groups, diagonal)
        for weight_rows in _ranges(rows, tile)
        for stored in ([(0, fitting)] if fitting else []) + own
    ]


def _seats_beside(
    blocks: Sequence[_Block], own: Sequence[_Seat], beside: Sequence[Placement]
) -> list[_Seat]:
    """Return the seats of blocks in order: ``own``, but of the first outputs beside other ones.

    The last array of each row tile of ``beside`` has room for them, or for none.
    """
    ends = {placement.weight_rows: placement for placement in beside}
    seats, left = [], iter(own)
    room = len(blocks) > len(own)
    for block in blocks:
        if room and block.outputs[0] == 0:
            end = ends[block.weight_rows]
            seats.append(_Seat(end.macro, end.columns[1]))
        else:
            seats.append(next(left))
    return seats


def _first_seats(costs: CostArrays, hardware: Hardware) -> dict[int, list[_Seat]]:
    """Return the arrays of the first copy of every layer, in the order of its blocks."""
    mapping, seats, taken = costs.mapping, {}, 0
    if hardware.system.layers_per_array == "one":
        for node, arrays in enumerate(whole(mapping.arrays)[0]):
            seats[node] = [_Seat(taken + place, 0) for place in range(arrays)]
            taken += int(arrays)
        return seats
    shelves = shelves_of(mapping, hardware)
    shelf_start = int(whole(node_sum(shelves.whole))[0])
    stacks_full = whole(mapping.column_tiles)[0]
    for node, (own, parts, shelf, column) in enumerate(
        zip(
            *(whole(a)[0] for a in (shelves.whole, shelves.parts, shelves.shelf, shelves.column)),
            strict=True,
        )
    ):
        seats[node] = []
        stacks = int(own + parts) // max(int(stacks_full[node]), 1)
        for stack in range(stacks):
            full = int(own) // stacks
            seats[node] += [_Seat(taken + place, 0) for place in range(full)]
            taken += full
            if parts:
                seats[node].append(_Seat(shelf_start + int(shelf) + stack, int(column)))
    return seats


def _ranges(count: int, step: int) -> list[Range]:
    return [(start, min(start + step, count)) for start in range(0, count, step)]
