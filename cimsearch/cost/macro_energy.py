"""Energy of what happens in the macro: cells, drivers, converters, adder trees, shift-and-add.

Each function returns fJ of one inference, array (n, nodes), 0 off the arrays. Energies are
capacitance x voltage squared; docs/cost-model.md lists the equations with their sources.
"""

from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import (
    FULL_ADDER_CAPS,
    adder_caps,
    macro_cap_fj,
    multiplier_caps,
    tree_adders,
    unit_cap_fj,
)
from cimsearch.cost.namespace import Array, at_least, log2_of, pow2
from cimsearch.spec.hardware import RampAdc, ResistiveCell


def cells_fj(layers: Layers) -> Array:
    """Return the energy of cells and bitlines.

    A cell pays when its row is pulsed, in proportion to its data. A used column pays for the
    bitline of every row, driven or not, at every pulse.
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
        per_cell = cap * macro.supply_v**2 * layers.activity * layers.density
        swing_v = macro.supply_v
    pulses = mapping.vectors * layers.pulses
    bitline_cells = pulses * mapping.row_groups * mapping.columns * macro.array.rows
    bitline_fj = macro.array.bitline_cap_ff_per_cell * swing_v**2
    return pulses * mapping.used_cells * per_cell + bitline_cells * bitline_fj


def drivers_fj(layers: Layers) -> Array:
    """Return the energy of wordlines (over all columns of an array, used or not) and DACs."""
    macro, mapping = layers.hardware.macro, layers.mapping
    given = macro.input
    rows = mapping.vectors * mapping.rows * mapping.groups * mapping.column_tiles
    line_fj = macro.array.cols * given.wordline_cap_ff_per_cell * given.wordline_v**2
    wordlines = rows * layers.pulses * line_fj * layers.activity
    if given.dac_bits == 1:
        return wordlines
    return wordlines + rows * layers.demand.x_bits * given.dac_cap_ff_per_bit * macro.supply_v**2


def adc_fj(layers: Layers) -> Array:
    """Return the energy of sampling and converting; 0 in a digital macro."""
    macro, mapping = layers.hardware.macro, layers.mapping
    if macro.adc is None:
        return 0.0 * mapping.rows
    model, bits = macro.adc.model, layers.demand.adc_bits
    if isinstance(model, RampAdc):
        conversion = model.step_fj * adc_steps(bits)
    else:
        exponential = model.k2_ff * pow2(2 * bits)
        conversion = (model.k1_ff * bits + exponential) * macro.supply_v**2
    lines = mapping.outputs * mapping.lines_per_output * mapping.groups
    samples = mapping.vectors * layers.pulses * mapping.row_groups * lines
    sampled = samples * (macro.adc.sample_cap_ff * macro.supply_v**2)
    return mapping.swept_conversions * conversion + sampled


def adc_steps(bits: Array) -> Array:
    """Return the steps of a counting converter of ``bits``."""
    return pow2(bits) - 1


def adder_tree_fj(layers: Layers) -> Array:
    """Return the energy of a digital macro's adder trees; 0 in an analog macro.

    The tree of an output spans all active rows, also when the layer has fewer.
    """
    macro, mapping = layers.hardware.macro, layers.mapping
    if macro.adc is not None:
        return 0.0 * mapping.rows
    adders = tree_adders(macro.array.active_rows, layers.demand.w_bits)
    trees = mapping.results * mapping.row_groups * layers.demand.x_bits
    switching = layers.activity * layers.density * macro_cap_fj(layers.hardware)
    return trees * adders * FULL_ADDER_CAPS * switching


def shift_add_fj(layers: Layers) -> Array:
    """Return the energy of putting codes together.

    In the macro: adding the slices of a weight at their place values and accumulating planes and
    row groups. In the digital unit: joining row tiles, the sums and corrections of offset
    encoding, and the multiplications by a converter's range.
    """
    mapping = layers.mapping
    width = layers.accumulator_bits
    accumulations = mapping.results * mapping.planes * mapping.row_groups
    caps = _place_adders(layers) * FULL_ADDER_CAPS + adder_caps(width)
    in_macro = accumulations * caps * macro_cap_fj(layers.hardware)

    word = layers.hardware.system.digital.word_bits
    adds = mapping.tile_adds + mapping.input_sums + mapping.corrections
    multiplies = mapping.scale_multiplies * multiplier_caps(width, word)
    in_unit = (adds * adder_caps(width) + multiplies) * unit_cap_fj(layers.hardware)
    return layers.demand.cim * (in_macro + in_unit)


def _place_adders(layers: Layers) -> Array:
    """Return the full adders that add the lines of an output; a digital tree has done that."""
    if layers.hardware.macro.adc is None:
        return 0.0 * layers.mapping.rows
    lines = layers.mapping.lines_per_output
    wider = lines * (log2_of(lines) - 0.5)
    return at_least(wider + layers.code_bits * (lines - 1), 0.0)
