"""The energy equations of what happens in the macro, with their numbers.

Term by term what ``cimsearch.cost.macro_energy`` computes; tests hold the two equal.
"""

from functools import partial

from cimsearch.cost.explain_adc import conversion_energy
from cimsearch.cost.explain_call import row_group_counts
from cimsearch.cost.explain_expression import Expression, Operand, Term, applied, total
from cimsearch.cost.explain_logic import (
    AND_GATE,
    FULL_ADDER,
    ONE_SIDED,
    REGISTER,
    accumulator_bits,
    activation_bits,
    adc_bits,
    adder,
    adders_of_pairs,
    executed_of,
    index_bits,
    macro_gate,
    multiplier,
    pulses_of,
    row_group_bits,
    supply_v2,
    tree_adders,
    tree_levels,
    unit_gate,
    weight_bits,
    word_bits,
)
from cimsearch.cost.explain_terms import (
    NOT_ON_ARRAYS,
    Equation,
    Product,
    constant,
    count,
    data_term,
    is_on_arrays,
    number,
    why_nothing,
)
from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import sum_bits
from cimsearch.cost.mapping import COLUMN_RANGE
from cimsearch.spec.hardware import ResistiveCell


def explain_cells(layers: Layers) -> Equation:
    """Explain the energy of cells and bitlines."""
    if why := why_nothing(layers, "cells"):
        return Equation("cells", (), why_zero=why)
    hardware, cell = layers.hardware, layers.hardware.macro.cell
    given = partial(constant, hardware)
    activity, density = data_term(layers, "activity"), data_term(layers, "density")
    if isinstance(cell, ResistiveCell):
        read = given("macro.cell.v_read_v")
        leaks = (1 - density) / given("macro.cell.on_off_ratio")
        conductance = (given("macro.cell.g_on_us") * (density + leaks)).named("G", "uS")
        swing = read, read
        time = given("macro.cell.t_read_ns")
        per_cell: Product = (*swing, time, conductance, activity)
    else:
        cap = "macro.cell.cap_ff" if cell.kind == "charge" else "macro.cell.gate_cap_ff"
        squared = supply_v2(hardware)
        swing_v = applied("sqrt", squared).named("V", "V")
        swing = swing_v, swing_v
        per_cell = (given(cap), squared, activity, density)
    pulsed = (count(layers, "vectors"), pulses_of(layers))
    if "columns" in hardware.macro.array.gating:
        columns: Product = (count(layers, "columns"),)
    else:
        columns = count(layers, "turns"), count(layers, "column_tiles"), given("macro.array.cols")
    bitlines = (
        *pulsed,
        count(layers, "row_groups"),
        *executed_of(layers),
        *columns,
        given("macro.array.rows"),
        given("macro.array.bitline_cap_ff_per_cell"),
        *swing,
    )
    return Equation("cells", ((*pulsed, *_driven_cells(layers), *per_cell), bitlines))


def _driven_cells(layers: Layers) -> Product:
    """Return the cells that hold weights, but for those in rows that are skipped."""
    if not number(layers.mapping.skipped_row_groups):
        return (count(layers, "used_cells"),)
    return count(layers, "read_rows"), count(layers, "columns")


def explain_drivers(layers: Layers) -> Equation:
    """Explain the energy of wordlines, level shifters, DACs and of what skips."""
    if not is_on_arrays(layers):
        return Equation("drivers", (), why_zero=NOT_ON_ARRAYS)
    why = why_nothing(layers, "drivers")
    products = [
        *([] if why else _lines(layers)),
        *_zero_detector(layers),
        *_row_group_register(layers),
    ]
    return Equation("drivers", tuple(products), why_zero="" if products else why)


def _lines(layers: Layers) -> list[Product]:
    """Return what wordlines, level shifters and DACs take."""
    macro, given = layers.hardware.macro, partial(constant, layers.hardware)
    vectors = count(layers, "vectors")
    driven = "read_rows" if number(layers.mapping.skipped_row_groups) else "rows"
    rows = (vectors, *(count(layers, name) for name in (driven, "groups", "column_tiles")))
    gated = "columns" in macro.array.gating
    cells = (vectors, *_driven_cells(layers)) if gated else (*rows, given("macro.array.cols"))
    volts = given("macro.input.wordline_v")
    pulsed = (pulses_of(layers), volts, volts, data_term(layers, "activity"))
    products: list[Product] = [
        (*cells, given("macro.input.wordline_cap_ff_per_cell"), *pulsed),
        (*rows, given("macro.input.level_shifter_cap_ff"), *pulsed),
    ]
    if macro.input.dac_bits > 1 and macro.input.dac_cap_ff_per_bit is not None:
        dac = given("macro.input.dac_cap_ff_per_bit")
        applied_bits = (*rows, activation_bits(layers), *executed_of(layers))
        products.append((*applied_bits, dac, supply_v2(layers.hardware)))
    return products


def _zero_detector(layers: Layers) -> list[Product]:
    """Return what looking for zero planes takes, and the index of those carried out."""
    if layers.hardware.macro.input.zero_skipping == "none":
        return []
    gate = macro_gate(layers.hardware)
    calls = (count(layers, "array_calls"), *executed_of(layers))
    return [
        (count(layers, "driven_rows"), AND_GATE, gate),
        (*calls, index_bits(layers.hardware), REGISTER, gate),
    ]


def _row_group_register(layers: Layers) -> list[Product]:
    """Return what reading the register of an array's row groups takes."""
    if not layers.hardware.macro.array.row_group_skipping:
        return []
    calls = (count(layers, "array_calls"), *executed_of(layers))
    return [(*calls, row_group_bits(layers.hardware), REGISTER, macro_gate(layers.hardware))]


def explain_adc(layers: Layers) -> Equation:
    """Explain the energy of sampling and converting."""
    adc, given = layers.hardware.macro.adc, partial(constant, layers.hardware)
    if adc is None:
        return Equation("adc", (), why_zero="a digital macro has no converters")
    if why := why_nothing(layers, "adc"):
        return Equation("adc", (), why_zero=why)
    swept = (count(layers, "swept_conversions"), *executed_of(layers))
    products: list[Product] = [(*swept, conversion_energy(layers, adc))]
    ranged_columns = number(1.0 * (layers.demand.range_policy == COLUMN_RANGE)) == 1
    switched = adc.columns_per_adc > 1 and adc.range_switch_fj is not None
    if ranged_columns and switched:
        products.append((*swept, given("macro.adc.range_switch_fj")))
    sampled = ("vectors", "row_groups", "swept_lines")
    products.append(
        (
            *(count(layers, name) for name in sampled),
            pulses_of(layers),
            *executed_of(layers),
            given("macro.adc.sample_cap_ff"),
            supply_v2(layers.hardware),
        )
    )
    return Equation("adc", tuple(products))


def explain_adder_tree(layers: Layers) -> Equation:
    """Explain the energy of a digital macro's adder trees."""
    macro = layers.hardware.macro
    if macro.adc is not None:
        return Equation("adder_tree", (), why_zero="an analog macro has no adder trees")
    if why := why_nothing(layers, "adder_tree"):
        return Equation("adder_tree", (), why_zero=why)
    if "rows" in macro.array.gating:
        switched: Product = (_gated_tree(layers),)
    else:
        adders = tree_adders(layers.hardware, weight_bits(layers)).named("tree adders")
        switched = (count(layers, "row_groups"), adders, FULL_ADDER)
    data = data_term(layers, "activity"), data_term(layers, "density")
    trees = count(layers, "results"), activation_bits(layers)
    return Equation("adder_tree", ((*trees, *switched, *data, macro_gate(layers.hardware)),))


def _gated_tree(layers: Layers) -> Term:
    """Return the NAND inputs that an output's tree switches over all of its row groups."""
    trees: list[Operand] = [
        Term(f"groups of {rows} rows", float(groups)) * _tree(layers, rows)
        for rows, groups in row_group_counts(layers)
    ]
    return total(*trees).named("gated tree", "NAND", how="over the row groups of an output")


def _tree(layers: Layers, rows: int) -> Term:
    """Return what a tree switches for ``rows`` operands: an adder of one operand only half."""
    bits, active = weight_bits(layers), layers.hardware.macro.array.active_rows
    switched: list[Operand] = []
    for level in range(1, sum_bits(active) + 1):
        full, built = adders_of_pairs(rows, level), adders_of_pairs(active, level)
        half = max(min(-(-rows // (1 << level)), built) - full, 0)
        switched.append((bits + (level - 1)) * (full * FULL_ADDER + half * ONE_SIDED))
    how = "level by level: bits, adders of two operands, adders of one"
    return total(*switched).named(f"tree of {rows} rows", "NAND", how=how)


def explain_shift_add(layers: Layers) -> Equation:
    """Explain the energy of putting codes together."""
    if not is_on_arrays(layers):
        return Equation("shift_add", (), why_zero=NOT_ON_ARRAYS)
    word, width = word_bits(layers.hardware), accumulator_bits(layers)
    unit = unit_gate(layers.hardware)
    add = adder(width).named("accumulate", "NAND")
    products = [] if why_nothing(layers, "shift_add") else _codes_added(layers, add)
    products += [
        (count(layers, name), add, unit) for name in ("tile_adds", "input_sums", "corrections")
    ]
    scale = (multiplier(width, word) + word * REGISTER).named("scale", "NAND")
    products.append((count(layers, "scale_multiplies"), scale, unit))
    return Equation("shift_add", tuple(products))


def _codes_added(layers: Layers, add: Term) -> list[Product]:
    """Return what putting the codes of an output together takes in the macro."""
    codes: Product = tuple(count(layers, name) for name in ("results", "planes", "row_groups"))
    codes, gate = (*codes, *executed_of(layers)), macro_gate(layers.hardware)
    macro = layers.hardware.macro
    if macro.adc is None and macro.input.dac_bits == 1:
        return [(*codes, add, gate)]
    what = "lines" if macro.adc else "trees of the input bits"
    places = _place_adders(layers).named("place adders", how=f"add the {what} of an output")
    return [(*codes, places, FULL_ADDER, gate), (*codes, add, gate)]


def _place_adders(layers: Layers) -> Expression:
    if layers.hardware.macro.adc is None:
        trees = constant(layers.hardware, "macro.input.dac_bits")
        sums = tree_levels(layers.hardware) + weight_bits(layers)
        return trees * (applied("log2", trees) - 0.5) + sums * (trees - 1)
    lines = count(layers, "lines_per_output")
    wider = lines * (applied("log2", lines) - 0.5)
    return applied("max", wider + adc_bits(layers) * (lines - 1), 0)
