"""How each integer of a layer's mapping came about, in arithmetic that can be followed."""

from cimsearch.blueprint import ENCODINGS
from cimsearch.cost.demand import beside_outputs
from cimsearch.cost.explain_terms import Count, number
from cimsearch.cost.layers import Layers
from cimsearch.cost.map_table import lines_per_adc
from cimsearch.units import MILLION


def explain_mapping(layers: Layers) -> tuple[Count, ...]:
    """Return the integers of one layer on arrays, in the order in which they follow."""
    return (*_shape(layers), *_tiles(layers), *_converted(layers), *_totals(layers))


def _counted(layers: Layers, name: str, symbols: str, arithmetic: str) -> Count:
    return Count(name, int(number(getattr(layers.mapping, name))), symbols, arithmetic)


def _value(layers: Layers, name: str) -> int:
    return int(number(getattr(layers.mapping, name)))


def _of_table(layers: Layers, *names: str) -> list[int]:
    return [int(number(getattr(layers.table, name))) for name in names]


def _shape(layers: Layers) -> tuple[Count, ...]:
    high, wide, inputs, outputs, groups, out_high, out_wide = _of_table(
        layers,
        *("kernel_height", "kernel_width", "in_channels", "out_channels", "groups"),
        *("out_height", "out_width"),
    )
    macro, demand = layers.hardware.macro, layers.demand
    w_bits, x_bits = int(number(demand.w_bits)), int(number(demand.x_bits))
    encoding = ENCODINGS[int(number(demand.encoding))]
    pair = encoding in ("differential", "differential_digital")
    lines_a_slice = 2 if encoding == "differential_digital" else 1
    slices, cell_bits = _value(layers, "slices"), macro.array.cell_bits
    stored = f"max({w_bits} - 1, 1)" if pair else f"{w_bits}"
    bits = "max(weight bits - 1, 1)" if pair else "weight bits"
    return (
        _counted(
            layers,
            "rows",
            "kernel height x kernel width x input channels / groups",
            f"{high} * {wide} * {inputs} / {groups}",
        ),
        _counted(layers, "outputs", "output channels / groups", f"{outputs} / {groups}"),
        _counted(layers, "groups", "groups of the layer", f"{groups}"),
        _counted(layers, "vectors", "output height x output width", f"{out_high} * {out_wide}"),
        _counted(
            layers,
            "planes",
            "ceil(activation bits / input.dac_bits)",
            f"ceil({x_bits} / {macro.input.dac_bits})",
        ),
        _counted(
            layers, "slices", f"ceil({bits} / array.cell_bits)", f"ceil({stored} / {cell_bits})"
        ),
        _counted(
            layers,
            "columns_per_output",
            f"slices x columns a slice ({encoding})",
            f"{slices} * {2 if pair else 1}",
        ),
        _counted(
            layers,
            "lines_per_output",
            f"slices x lines a slice ({encoding})",
            f"{slices} * {lines_a_slice}",
        ),
    )


def _tiles(layers: Layers) -> tuple[Count, ...]:
    macro, array = layers.hardware.macro, layers.hardware.macro.array
    kernel = int(number(layers.window))
    rows, outputs, groups, tile, columns = (
        _value(layers, name)
        for name in ("rows", "outputs", "groups", "tile_rows", "columns_per_output")
    )
    whole = macro.packing == "whole_kernel" and kernel <= array.rows
    tiled = f"{array.rows} // {kernel} * {kernel}" if whole else f"{array.rows}"
    per_array = f"{array.cols} // {columns}"
    beside = int(number(beside_outputs(layers.table, layers.demand, macro)))
    own, of = (f"({outputs} - {beside})", "(outputs - those beside the other part)")
    if not number(layers.table.beside_channels):
        own, of = f"{outputs}", "outputs"
    return (
        _counted(
            layers,
            "tile_rows",
            "array.rows, whole kernels of them" if whole else "array.rows",
            tiled,
        ),
        _counted(layers, "row_tiles", "ceil(rows / tile_rows)", f"ceil({rows} / {tile})"),
        _counted(
            layers,
            "column_tiles",
            f"ceil({of} / (array.cols // columns_per_output))",
            f"ceil({own} / ({per_array}))",
        ),
        *_row_groups(layers),
        _counted(
            layers,
            "diagonal",
            "groups that fit on one array's diagonal",
            f"min(max(min({array.rows} // {rows}, {per_array} // {outputs}), 1), {groups})",
        ),
        *_turns(layers),
    )


def _row_groups(layers: Layers) -> tuple[Count, ...]:
    """Return the row groups of the layer and of its fullest tile, without those skipped."""
    active = layers.hardware.macro.array.active_rows
    rows, tile, row_tiles = (_value(layers, name) for name in ("rows", "tile_rows", "row_tiles"))
    last = rows - (row_tiles - 1) * tile
    symbols = "(row_tiles - 1) x ceil(tile_rows / active_rows) + ceil(last rows / active_rows)"
    counted = f"{row_tiles - 1} * ceil({tile} / {active}) + ceil({last} / {active})"
    of_first = "ceil(min(rows, tile_rows) / active_rows)"
    first = f"ceil(min({rows}, {tile}) / {active})"
    share = int(number(layers.table.row_sparsity_ppm))
    if not share:
        return (
            _counted(layers, "row_groups", symbols, counted),
            _counted(layers, "serial_row_groups", of_first, first),
        )
    skipped = _value(layers, "skipped_row_groups")
    return (
        _counted(
            layers,
            "skipped_row_groups",
            f"floor(row sparsity x ({symbols}))",
            f"({counted}) * {share} // {MILLION}",
        ),
        _counted(
            layers, "row_groups", f"{symbols} - skipped_row_groups", f"{counted} - {skipped}"
        ),
        _counted(
            layers,
            "serial_row_groups",
            f"{of_first} - floor(row sparsity x that)",
            f"{first} - {first} * {share} // {MILLION}",
        ),
        _read_rows(layers, tile % active, last % active),
    )


def _read_rows(layers: Layers, end: int, last_end: int) -> Count:
    """Return the rows that are driven; short row groups have ``end`` or ``last_end`` rows."""
    rows, skipped, ends, last = (
        _value(layers, name)
        for name in ("rows", "skipped_row_groups", "skipped_ends", "skipped_last_end")
    )
    active = layers.hardware.macro.array.active_rows
    return _counted(
        layers,
        "read_rows",
        "rows - active_rows x skipped full row groups - rows of skipped short ones",
        f"{rows} - {active} * {skipped - ends - last} - {ends} * {end} - {last} * {last_end}",
    )


def _turns(layers: Layers) -> tuple[Count, ...]:
    macro = layers.hardware.macro
    rows, groups, diagonal, abreast, serial = (
        _value(layers, name) for name in ("rows", "groups", "diagonal", "abreast", "serial_turns")
    )
    if macro.cell.kind == "resistive" or macro.array_call is not None:
        driven = _counted(layers, "abreast", "groups driven at once: one", "1")
    else:
        active = macro.array.active_rows
        how = "groups whose rows may be active at once, of one array's diagonal"
        driven = _counted(layers, "abreast", how, f"min(max({active} // {rows}, 1), {diagonal})")
    return (
        driven,
        _counted(
            layers, "serial_turns", "ceil(diagonal / abreast)", f"ceil({diagonal} / {abreast})"
        ),
        _counted(
            layers,
            "turns",
            "groups // diagonal x serial_turns + ceil(groups left / abreast)",
            f"{groups} // {diagonal} * {serial} + ceil({groups % diagonal} / {abreast})",
        ),
    )


def _converted(layers: Layers) -> tuple[Count, ...]:
    macro = layers.hardware.macro
    groups, turns, outputs, lines, tiles = (
        _value(layers, name)
        for name in ("groups", "turns", "outputs", "lines_per_output", "column_tiles")
    )
    if macro.adc is None or "columns" in macro.array.gating:
        swept = _counted(
            layers,
            "swept_lines",
            "groups x outputs x lines_per_output",
            f"{groups} * {outputs} * {lines}",
        )
    else:
        sweep = int(number(lines_per_adc(layers.demand, layers.hardware.macro)))
        swept = _counted(
            layers,
            "swept_lines",
            "turns x column_tiles x lines a converter x converters",
            f"{turns} * {tiles} * {sweep} * {macro.adcs}",
        )
    return (swept,)


_TOTALS = {
    "columns": ("outputs", "columns_per_output", "groups"),
    "passes": ("vectors", "planes", "row_groups", "turns"),
    "array_calls": ("passes", "column_tiles"),
    "conversions": (
        *("vectors", "planes", "row_groups"),
        *("groups", "outputs", "lines_per_output"),
    ),
    "swept_conversions": ("vectors", "planes", "row_groups", "swept_lines"),
    "serial_calls": ("vectors", "planes", "serial_row_groups", "serial_turns"),
    "used_cells": ("rows", "columns"),
    "results": ("vectors", "outputs", "groups"),
}


def _totals(layers: Layers) -> tuple[Count, ...]:
    row_tiles, column_tiles, groups, diagonal, results = (
        _value(layers, name)
        for name in ("row_tiles", "column_tiles", "groups", "diagonal", "results")
    )
    blocks = f"ceil({groups} / {diagonal})"
    return (
        _counted(
            layers,
            "arrays",
            "ceil(groups / diagonal) x row_tiles x column_tiles",
            f"{blocks} * {row_tiles} * {column_tiles}",
        ),
        *(
            _counted(
                layers,
                name,
                " x ".join(factors),
                " * ".join(str(_value(layers, factor)) for factor in factors),
            )
            for name, factors in _TOTALS.items()
        ),
        _counted(layers, "tile_adds", "results x (row_tiles - 1)", f"{results} * {row_tiles - 1}"),
    )
