"""The energy equations of what happens in the macro, with their numbers.

Term by term what ``cimsearch.cost.macro_energy`` computes; tests hold the two equal.
"""

from math import sqrt

from cimsearch.cost.adc import conversion_fj
from cimsearch.cost.explain_terms import (
    Equation,
    Product,
    Term,
    constant,
    count,
    data_term,
    number,
)
from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import (
    FULL_ADDER_CAPS,
    REGISTER_CAPS,
    adder_caps,
    macro_cap_fj,
    multiplier_caps,
    tree_adders,
    tree_caps,
    unit_cap_fj,
)
from cimsearch.cost.mapping import COLUMN_RANGE, FULL_SCALE, row_groups
from cimsearch.cost.namespace import at_least, log2_of, looked_up
from cimsearch.spec.hardware import ResistiveCell

_SUPPLY = (
    "macro.supply_v",
    "macro.technology.vdd_v",
    "macro.technology.energy_voltage_exponent",
)
_MACRO_GATE = ("macro.technology.nand2_cap_ff", "macro.logic_factor", *_SUPPLY)
_UNIT_GATE = (
    "macro.technology.nand2_cap_ff",
    "macro.technology.vdd_v",
    "system.digital.activity_frac",
)


def supply_v2(layers: Layers) -> Term:
    """Return the square of the supply as a term."""
    how = "vdd_v^2 x (supply_v / vdd_v)^energy_voltage_exponent"
    return Term("V^2", layers.hardware.macro.energy_v2, "V^2", _SUPPLY, how)


def macro_gate(layers: Layers) -> Term:
    """Return the energy of a NAND input in the macro's logic as a term."""
    value = macro_cap_fj(layers.hardware)
    return Term("E_gate", value, "fJ", _MACRO_GATE, "nand2_cap_ff x V^2 x logic_factor")


def unit_gate(layers: Layers) -> Term:
    """Return the energy of a NAND input in the digital unit as a term."""
    value = unit_cap_fj(layers.hardware)
    return Term("E_unit", value, "fJ", _UNIT_GATE, "nand2_cap_ff x vdd_v^2 x activity_frac")


def pulses_of(layers: Layers) -> Term:
    """Return the pulses of a wordline for one activation as a term."""
    how = f"input.drive: {layers.hardware.macro.input.drive}"
    return Term("pulses", number(layers.pulses), how=how)


def explain_cells(layers: Layers) -> Equation:
    """Explain the energy of cells and bitlines."""
    cell = layers.hardware.macro.cell
    activity, density = data_term(layers, "activity"), data_term(layers, "density")
    if isinstance(cell, ResistiveCell):
        paths = ("macro.cell.g_on_us", "macro.cell.on_off_ratio")
        share = density.value
        conductance = cell.g_on_us * (share + (1 - share) / cell.on_off_ratio)
        how = "g_on_us x (density + (1 - density) / on_off_ratio)"
        read = constant(layers, "macro.cell.v_read_v")
        swing = read, read
        per_cell: Product = (
            *swing,
            constant(layers, "macro.cell.t_read_ns"),
            Term("G", conductance, "uS", paths, how),
            activity,
        )
    else:
        cap = "macro.cell.cap_ff" if cell.kind == "charge" else "macro.cell.gate_cap_ff"
        swing_v = Term("V", sqrt(layers.hardware.macro.energy_v2), "V", _SUPPLY, "sqrt(V^2)")
        swing = swing_v, swing_v
        per_cell = (constant(layers, cap), supply_v2(layers), activity, density)
    pulsed = (count(layers, "vectors"), pulses_of(layers))
    bitlines = (
        *pulsed,
        count(layers, "row_groups"),
        count(layers, "columns"),
        constant(layers, "macro.array.rows"),
        constant(layers, "macro.array.bitline_cap_ff_per_cell"),
        *swing,
    )
    return Equation("cells", ((*pulsed, count(layers, "used_cells"), *per_cell), bitlines))


def explain_drivers(layers: Layers) -> Equation:
    """Explain the energy of wordlines, level shifters and DACs."""
    macro = layers.hardware.macro
    vectors = count(layers, "vectors")
    rows = (vectors, *(count(layers, name) for name in ("rows", "groups", "column_tiles")))
    wide = constant(layers, "macro.array.cols")
    gated = "columns" in macro.array.gating
    cells = (vectors, count(layers, "used_cells")) if gated else (*rows, wide)
    volts = constant(layers, "macro.input.wordline_v")
    pulsed = (pulses_of(layers), volts, volts, data_term(layers, "activity"))
    products: list[Product] = [
        (*cells, constant(layers, "macro.input.wordline_cap_ff_per_cell"), *pulsed),
        (*rows, constant(layers, "macro.input.level_shifter_cap_ff"), *pulsed),
    ]
    if macro.input.dac_bits > 1:
        dac = constant(layers, "macro.input.dac_cap_ff_per_bit")
        bits = Term("activation bits", number(layers.demand.x_bits))
        products.append((*rows, bits, dac, supply_v2(layers)))
    return Equation("drivers", tuple(products))


def explain_adc(layers: Layers) -> Equation:
    """Explain the energy of sampling and converting."""
    macro = layers.hardware.macro
    if macro.adc is None:
        return Equation("adc", (), why_zero="a digital macro has no converters")
    full_scale = number(1.0 * (layers.demand.range_policy == FULL_SCALE)) == 1
    full, ranged = conversion_fj(macro)
    bits = layers.demand.adc_bits
    energy = number(looked_up(full if full_scale else ranged, bits))
    fields = type(macro.adc.model).model_fields
    paths = tuple(
        f"macro.adc.model.{field}"
        for field in fields
        if field not in ("kind", "area_um2", "ns_per_bit", "step_ns")
    )
    if not full_scale and macro.adc.range_policy == "full_scale":
        paths = (*paths, "macro.adc.range_frac")
    how = f"a conversion of {number(bits):g} bits, model {macro.adc.model.kind}"
    swept = count(layers, "swept_conversions")
    products: list[Product] = [(swept, Term("E_conversion", energy, "fJ", paths, how))]
    ranged_columns = number(1.0 * (layers.demand.range_policy == COLUMN_RANGE)) == 1
    if ranged_columns and macro.adc.columns_per_adc > 1:
        products.append((swept, constant(layers, "macro.adc.range_switch_fj")))
    sampled = ("vectors", "row_groups", "outputs", "lines_per_output", "groups")
    products.append(
        (
            *(count(layers, name) for name in sampled),
            pulses_of(layers),
            constant(layers, "macro.adc.sample_cap_ff"),
            supply_v2(layers),
        )
    )
    return Equation("adc", tuple(products))


def explain_adder_tree(layers: Layers) -> Equation:
    """Explain the energy of a digital macro's adder trees."""
    macro = layers.hardware.macro
    if macro.adc is not None:
        return Equation("adder_tree", (), why_zero="an analog macro has no adder trees")
    activity, density = data_term(layers, "activity"), data_term(layers, "density")
    results, gate = count(layers, "results"), macro_gate(layers)
    bits = Term("activation bits", number(layers.demand.x_bits))
    active_rows = ("macro.array.active_rows",)
    if "rows" in macro.array.gating:
        how = "NAND inputs of the adders that a row comes into, summed over row groups"
        switched: Product = (
            Term("gated tree", _gated_tree(layers), "NAND", ("macro.array.active_rows",), how),
        )
    else:
        adders = number(tree_adders(macro.array.active_rows, layers.demand.w_bits))
        how = "R x (weight bits + 1) - (weight bits + log2(R) + 1), R = active_rows"
        switched = (
            count(layers, "row_groups"),
            Term("tree adders", adders, "", active_rows, how),
            Term("adder", FULL_ADDER_CAPS, "NAND", how="a full adder in NAND inputs"),
        )
    return Equation("adder_tree", ((results, bits, *switched, activity, density, gate),))


def _gated_tree(layers: Layers) -> float:
    """Return the NAND inputs that an output's tree switches over all of its row groups."""
    mapping, active = layers.mapping, layers.hardware.macro.array.active_rows
    rows, tile, tiles = (
        int(number(value)) for value in (mapping.rows, mapping.tile_rows, mapping.row_tiles)
    )
    if not tiles:
        return 0.0
    nothing = 0.0 * layers.demand.w_bits
    return sum(
        number(tree_caps(nothing + (stop - start), layers.demand.w_bits, active))
        for start, stop in row_groups(rows, tile, active)
    )


def explain_shift_add(layers: Layers) -> Equation:
    """Explain the energy of putting codes together."""
    if not number(1.0 * layers.demand.cim):
        return Equation("shift_add", (), why_zero="the layer is not on arrays")
    word = layers.hardware.system.digital.word_bits
    width = number(layers.accumulator_bits)
    codes = [count(layers, name) for name in ("results", "planes", "row_groups")]
    gate, unit = macro_gate(layers), unit_gate(layers)
    adder = Term("adder", FULL_ADDER_CAPS, "NAND", how="a full adder in NAND inputs")
    how = "lines x (log2(lines) - 0.5) + code bits x (lines - 1); 0 in a digital macro"
    places = Term("place adders", _place_adders(layers), "", (), how)
    wide = f"{width:g} bits x {adder_caps(1):g}: code + activation + weight bits"
    add = Term("accumulate", number(adder_caps(width)), "NAND", (), wide)
    products: list[Product] = [(*codes, places, adder, gate), (*codes, add, gate)]
    products += [
        (count(layers, name), add, unit) for name in ("tile_adds", "input_sums", "corrections")
    ]
    caps = number(multiplier_caps(width, word)) + word * REGISTER_CAPS
    how = "a multiplier of accumulator bits x word_bits and a register of word_bits"
    scale = Term("scale", caps, "NAND", ("system.digital.word_bits",), how)
    products.append((count(layers, "scale_multiplies"), scale, unit))
    return Equation("shift_add", tuple(products))


def _place_adders(layers: Layers) -> float:
    if layers.hardware.macro.adc is None:
        return 0.0
    lines = layers.mapping.lines_per_output
    wider = lines * (log2_of(lines) - 0.5)
    return number(at_least(wider + layers.code_bits * (lines - 1), 0.0))
