"""From layer tables to their mapping: the equations that ``cost.mapping`` describes."""

from dataclasses import replace

from cimsearch.cost.demand import DIFFERENTIAL, Demand, beside_outputs, of_one_output
from cimsearch.cost.mapping import COLUMN_RANGE, COUNTS, LAYER_RANGE, OFFSET, Mapping
from cimsearch.cost.namespace import (
    Array,
    at_least,
    ceil_div,
    floor,
    floor_div,
    namespace_of,
)
from cimsearch.cost.row_skipping import skipped_of
from cimsearch.layer_table import LayerTable
from cimsearch.spec.hardware import Macro


def map_table(table: LayerTable, demand: Demand, macro: Macro) -> Mapping:
    """Return the mapping of every node of ``table`` (n, nodes) to arrays of ``macro``."""
    array, xp = macro.array, namespace_of(table.op)

    def on_arrays(values: Array) -> Array:
        kept: Array = xp.where(demand.cim, values, 0.0)
        return kept

    rows = table.kernel_height * table.kernel_width * (table.in_channels / table.groups)
    outputs = table.out_channels / table.groups
    vectors = table.out_height * table.out_width
    slices, columns, lines = of_one_output(demand, array.cell_bits)
    tile = _tile_rows(table.kernel_height * table.kernel_width, macro)
    row_tiles = ceil_div(rows, tile)
    last_rows = rows - (row_tiles - 1) * tile
    row_groups_ = (row_tiles - 1) * ceil_div(tile, array.active_rows)
    row_groups_ = row_groups_ + ceil_div(last_rows, array.active_rows)
    serial = ceil_div(xp.minimum(rows, tile), array.active_rows)
    read, none = rows, 0.0 * rows
    skipped = skipped_of(rows, tile, array.active_rows, table.row_sparsity_ppm)
    if skipped is not None:
        row_groups_, serial = row_groups_ - skipped.row_groups, serial - skipped.serial
        read = rows - skipped.rows
    per_array = at_least(floor(array.cols / columns), 1)
    fitting_outputs = beside_outputs(table, demand, macro)
    column_tiles = ceil_div(outputs - fitting_outputs, per_array)
    fitting = xp.minimum(floor(array.rows / rows), floor_div(per_array, outputs))
    diagonal = xp.minimum(at_least(fitting, 1), table.groups)
    multiplies = xp.where(
        demand.range_policy == COLUMN_RANGE,
        row_groups_ * lines,
        1.0 * (demand.range_policy == LAYER_RANGE),
    )
    offset = 1.0 * (demand.encoding == OFFSET)
    counted = Mapping(
        rows=on_arrays(rows),
        outputs=on_arrays(outputs),
        groups=on_arrays(table.groups),
        vectors=on_arrays(vectors),
        planes=on_arrays(ceil_div(demand.x_bits, macro.input.dac_bits)),
        slices=on_arrays(slices),
        columns_per_output=on_arrays(columns),
        lines_per_output=on_arrays(lines),
        tile_rows=on_arrays(tile),
        row_tiles=on_arrays(row_tiles),
        column_tiles=on_arrays(column_tiles),
        shared_tiles=on_arrays(1.0 * (fitting_outputs > 0)),
        row_groups=on_arrays(row_groups_),
        serial_row_groups=on_arrays(serial),
        read_rows=on_arrays(read),
        skipped_row_groups=on_arrays(skipped.row_groups) if skipped else none,
        skipped_ends=on_arrays(skipped.ends) if skipped else none,
        skipped_last_end=on_arrays(skipped.last_end) if skipped else none,
        diagonal=on_arrays(xp.where(table.groups > 1, diagonal, 1.0)),
        abreast=on_arrays(_abreast(rows, diagonal, macro)),
        swept_lines=0.0 * rows,
        offset=on_arrays(offset),
        input_sums=on_arrays(
            vectors * read * table.groups * offset * (table.beside_channels == 0)
        ),
        scale_multiplies=on_arrays(vectors * outputs * table.groups * multiplies),
        array_rows=array.rows,
        cells_per_array=array.rows * array.cols,
    )
    return replace(counted, swept_lines=_swept_lines(counted, demand, macro))


def _abreast(rows: Array, diagonal: Array, macro: Macro) -> Array:
    """Return how many of ``diagonal`` groups of so many ``rows`` an array drives at once.

    What a table of array calls tells is for rows of one group.
    """
    leaks = macro.cell.kind == "resistive"
    if leaks or macro.array_call is not None:
        return 0.0 * rows + 1
    together = at_least(floor(macro.array.active_rows / rows), 1)
    fewer: Array = namespace_of(rows).minimum(together, diagonal)
    return fewer


def _swept_lines(mapping: Mapping, demand: Demand, macro: Macro) -> Array:
    if macro.adc is None or "columns" in macro.array.gating:
        return mapping.groups * mapping.outputs * mapping.lines_per_output
    return mapping.turns * mapping.column_tiles * lines_per_adc(demand, macro) * macro.adcs


def unmapped(nothing: Array) -> Mapping:
    """Return the mapping of nodes that are never on arrays; ``nothing`` is a zero (1, 1)."""
    counts = dict.fromkeys(COUNTS, nothing)
    return Mapping(**counts, array_rows=1, cells_per_array=0)


def _tile_rows(kernel_area: Array, macro: Macro) -> Array:
    """Return ``tile_rows`` of every node."""
    rows = 0.0 * kernel_area + macro.array.rows
    if macro.packing == "dense":
        return rows
    kernels = floor_div(rows, kernel_area) * kernel_area
    return namespace_of(rows).where(kernels > 0, kernels, rows)


def lines_per_adc(demand: Demand, macro: Macro) -> Array:
    """Return how many lines (n, nodes) one converter sweeps: a differential pair is one line."""
    shared = macro.adc.columns_per_adc if macro.adc else 1
    pair = 1.0 * (demand.encoding == DIFFERENTIAL)
    return shared - pair * (shared // 2)
