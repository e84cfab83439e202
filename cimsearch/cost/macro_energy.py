"""Energy of what happens in the macro: cells, drivers, converters, adder trees, shift-and-add.

Each function returns fJ of one inference, array (n, nodes), 0 off the arrays. Energies are
capacitance x voltage squared; docs/cost-model.md lists the equations with their sources.
"""

from math import log2, sqrt

from cimsearch.cost.adc import conversion_fj
from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import (
    AND_CAPS,
    FULL_ADDER_CAPS,
    REGISTER_CAPS,
    adder_caps,
    index_bits,
    macro_cap_fj,
    multiplier_caps,
    row_groups_of_array,
    tree_adders,
    tree_caps,
    unit_cap_fj,
)
from cimsearch.cost.mapping import COLUMN_RANGE, FULL_SCALE
from cimsearch.cost.namespace import Array, at_least, log2_of, looked_up, summed
from cimsearch.spec.hardware import ResistiveCell


def cells_fj(layers: Layers) -> Array:
    """Return the energy of cells and bitlines.

    A cell pays when its row is pulsed, in proportion to its data. A column pays for the bitline of
    every row, driven or not, at every pulse of its array, used or not unless ``gating`` says so.
    """
    macro, mapping = layers.hardware.macro, layers.mapping
    cell = macro.cell
    if isinstance(cell, ResistiveCell):
        off_share = (1 - layers.density) / cell.on_off_ratio
        conductance = cell.g_on_us * (layers.density + off_share)
        per_cell = cell.v_read_v**2 * cell.t_read_ns * layers.activity * conductance
        swing_v = cell.v_read_v
    else:
        cap = cell.cap_ff if cell.kind == "charge" else cell.gate_cap_ff
        per_cell = cap * macro.energy_v2 * layers.activity * layers.density
        swing_v = sqrt(macro.energy_v2)
    pulses = mapping.vectors * layers.pulses
    driven = pulses * mapping.row_groups * layers.executed
    if "columns" in macro.array.gating:
        columns = mapping.columns
    else:
        columns = mapping.turns * mapping.column_tiles * macro.array.cols
    bitline_cells = driven * columns * macro.array.rows
    bitline_fj = macro.array.bitline_cap_ff_per_cell * swing_v**2
    return pulses * mapping.driven_cells * per_cell + bitline_cells * bitline_fj


def drivers_fj(layers: Layers) -> Array:
    """Return the energy of wordlines (over all columns of an array, used or not) and DACs.

    And of skipping zero planes and row groups, which no table of array calls covers.
    """
    macro, mapping = layers.hardware.macro, layers.mapping
    given = macro.input
    detector = _zero_detector_fj(layers) + _row_group_register_fj(layers)
    if "drivers" in macro.simulated:
        return detector
    rows = mapping.vectors * mapping.read_rows * mapping.groups * mapping.column_tiles
    if "columns" in macro.array.gating:
        cells = mapping.vectors * mapping.driven_cells
    else:
        cells = rows * macro.array.cols
    line_ff = cells * given.wordline_cap_ff_per_cell + rows * given.level_shifter_cap_ff
    wordlines = line_ff * layers.pulses * given.wordline_v**2 * layers.activity + detector
    if given.dac_bits == 1:
        return wordlines
    dacs = rows * layers.demand.x_bits * layers.executed
    return wordlines + dacs * ((given.dac_cap_ff_per_bit or 0.0) * macro.energy_v2)


def _zero_detector_fj(layers: Layers) -> Array:
    """Return the energy of zero skipping.

    A gate a row at every plane, and a register of the index of every plane that is carried out.
    """
    macro, mapping = layers.hardware.macro, layers.mapping
    if macro.input.zero_skipping == "none":
        return 0.0 * mapping.rows
    index = mapping.array_calls * layers.executed * (index_bits(macro) * REGISTER_CAPS)
    return (mapping.driven_rows * AND_CAPS + index) * macro_cap_fj(layers.hardware)


def _row_group_register_fj(layers: Layers) -> Array:
    """Return the energy of finding the next row group with weights.

    The register of an array, a bit a row group, is read at every call.
    """
    macro, mapping = layers.hardware.macro, layers.mapping
    if not macro.array.row_group_skipping:
        return 0.0 * mapping.rows
    bits = row_groups_of_array(macro) * REGISTER_CAPS
    return mapping.array_calls * layers.executed * bits * macro_cap_fj(layers.hardware)


def adc_fj(layers: Layers) -> Array:
    """Return the energy of sampling and converting; 0 in a digital macro."""
    macro, mapping = layers.hardware.macro, layers.mapping
    if macro.adc is None:
        return 0.0 * mapping.rows
    full, ranged = conversion_fj(macro)
    bits, policy = layers.demand.adc_bits, layers.demand.range_policy
    conversion = layers.xp.where(
        policy == FULL_SCALE, looked_up(full, bits), looked_up(ranged, bits)
    )
    if macro.adc.columns_per_adc > 1:
        conversion = conversion + (policy == COLUMN_RANGE) * (macro.adc.range_switch_fj or 0.0)
    samples = mapping.vectors * layers.pulses * mapping.row_groups
    sampled = samples * mapping.swept_lines * (macro.adc.sample_cap_ff * macro.energy_v2)
    return layers.executed * (mapping.swept_conversions * conversion + sampled)


def adder_tree_fj(layers: Layers) -> Array:
    """Return the energy of a digital macro's adder trees; 0 in an analog macro.

    The tree of an output spans all active rows, also when the layer has fewer: with
    ``gating: [rows]`` what no row comes into stands still.
    """
    macro, mapping = layers.hardware.macro, layers.mapping
    if macro.adc is not None:
        return 0.0 * mapping.rows
    if "rows" in macro.array.gating:
        caps = _gated_tree_caps(layers)
    else:
        adders = tree_adders(macro.array.active_rows, layers.demand.w_bits)
        caps = mapping.row_groups * adders * FULL_ADDER_CAPS
    trees = mapping.results * layers.demand.x_bits
    switching = layers.activity * layers.density * macro_cap_fj(layers.hardware)
    return trees * caps * switching


def _gated_tree_caps(layers: Layers) -> Array:
    """Return what a tree switches over all row groups of an output, short ones less."""
    active = layers.hardware.macro.array.active_rows
    return summed(
        count * tree_caps(rows, layers.demand.w_bits, active)
        for rows, count in layers.mapping.row_group_sizes(active)
    )


def shift_add_fj(layers: Layers) -> Array:
    """Return the energy of putting codes together.

    In the macro: adding the slices of a weight at their place values and accumulating planes and
    row groups. In the digital unit: joining row tiles, the sums and corrections of offset
    encoding, and the multiplications by a converter's range, whose scale is read.
    """
    mapping = layers.mapping
    width = layers.accumulator_bits
    accumulations = mapping.results * mapping.planes * mapping.row_groups * layers.executed
    caps = _place_adders(layers) * FULL_ADDER_CAPS + adder_caps(width)
    in_macro = accumulations * caps * macro_cap_fj(layers.hardware)
    if "shift_add" in layers.hardware.macro.simulated:
        in_macro = 0.0 * in_macro

    word = layers.hardware.system.digital.word_bits
    adds = mapping.tile_adds + mapping.input_sums + mapping.corrections
    scale = multiplier_caps(width, word) + word * REGISTER_CAPS
    multiplies = mapping.scale_multiplies * scale
    in_unit = (adds * adder_caps(width) + multiplies) * unit_cap_fj(layers.hardware)
    return layers.demand.cim * (in_macro + in_unit)


def _place_adders(layers: Layers) -> Array:
    """Return the full adders that add the lines of an output at their place values.

    A digital tree has added the bits of a weight; the trees of the input bits that are applied at
    once are added here.
    """
    macro = layers.hardware.macro
    if macro.adc is None:
        trees = float(macro.input.dac_bits)
        sums = layers.code_bits + layers.demand.w_bits
        return layers.demand.cim * (trees * (log2(trees) - 0.5) + sums * (trees - 1)) * (trees > 1)
    lines = layers.mapping.lines_per_output
    wider = lines * (log2_of(lines) - 0.5)
    return at_least(wider + layers.code_bits * (lines - 1), 0.0)
