"""The mapping plan: which part of which layer is in which array, and in which rows and columns."""

from dataclasses import dataclass

from cimsearch.blueprint import Blueprint, Node, layer_table
from cimsearch.cost.mapping import Mapping, row_groups, tile_rows
from cimsearch.cost.model import estimate_table
from cimsearch.cost.namespace import whole
from cimsearch.spec.hardware import Hardware

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Placement:
    """The part of a layer that is in one array: ranges are [start, stop).

    Attributes:
        layer: Name of the node.
        group: Groups of the convolution whose blocks are in this array, one after another on its
            diagonal; (0, 1) for an ordinary layer.
        macro: Index of the array among all that the network needs; in a system with fewer macros
            it is loaded into macro ``macro % macros``.
        rows: Rows of the array that are used.
        columns: Columns of the array that are used.
        weight_rows: Rows of one group's weight matrix that are stored.
        outputs: Outputs of one group that are stored.
        row_groups: Ranges of ``weight_rows`` that are converted one after another.
        adcs: Converters of the array that are used; empty in a digital macro.
    """

    layer: str
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


def mapping_plan(network: Blueprint, hardware: Hardware) -> tuple[Placement, ...]:
    """Return where every weight of ``network`` is, in the order of its layers.

    Raises:
        HardwareError: A node asks what the macro cannot do; the node is named.
    """
    names = [node.name for node in network.nodes]
    table = layer_table([network])
    mapping = estimate_table(table, hardware, label=lambda _, i: names[i]).mapping
    plan: list[Placement] = []
    for index, node in enumerate(network.nodes):
        if node.placement == "cim":
            plan += _placements(node, index, mapping, hardware, first=len(plan))
    return tuple(plan)


def _placements(
    node: Node, index: int, mapping: Mapping, hardware: Hardware, *, first: int
) -> list[Placement]:
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
    per_array = array.cols // columns
    shared = adc.columns_per_adc if adc else 0
    found: list[Placement] = []
    for group in _ranges(node.groups, diagonal):
        blocks = group[1] - group[0]
        for weight_rows in _ranges(rows, tile):
            for stored in _ranges(outputs, per_array):
                used_columns = blocks * (stored[1] - stored[0]) * columns
                found.append(
                    Placement(
                        layer=node.name,
                        group=group,
                        macro=first + len(found),
                        rows=(0, blocks * (weight_rows[1] - weight_rows[0])),
                        columns=(0, used_columns),
                        weight_rows=weight_rows,
                        outputs=stored,
                        row_groups=tuple(
                            part
                            for part in row_groups(rows, tile, array.active_rows)
                            if weight_rows[0] <= part[0] < weight_rows[1]
                        ),
                        adcs=(0, -(-used_columns // shared) if shared else 0),
                    )
                )
    return found


def _ranges(count: int, step: int) -> list[Range]:
    return [(start, min(start + step, count)) for start in range(0, count, step)]
