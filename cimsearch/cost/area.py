"""Area in um2: arrays with their periphery, and what is shared around them."""

from cimsearch.cost.layer_integers import columns_of_output
from cimsearch.cost.logic import (
    FULL_ADDER_AREAS,
    REGISTER_AREAS,
    index_bits,
    row_groups_of_array,
    sum_bits,
    tree_adders,
)
from cimsearch.cost.traffic import BITS_PER_KIB
from cimsearch.spec.hardware import Hardware, Macro

UM2_PER_MM2 = 1e6


def array_um2(macro: Macro) -> float:
    """Return the area of one array with drivers, converters and its shift-and-add."""
    array, technology = macro.array, macro.technology
    cells = array.rows * array.cols * array.cell_area_um2
    drivers = array.rows * macro.input.driver_area_um2
    if macro.input.dac_bits > 1 and macro.input.dac_area_um2_per_bit is not None:
        drivers += array.rows * macro.input.dac_bits * macro.input.dac_area_um2_per_bit
    if macro.input.zero_skipping == "planes":
        gates = array.active_rows - 1 + index_bits(macro) * REGISTER_AREAS
        drivers += gates * technology.nand2_area_um2
    if array.row_group_skipping:
        drivers += row_groups_of_array(macro) * REGISTER_AREAS * technology.nand2_area_um2
    adder = FULL_ADDER_AREAS * technology.nand2_area_um2
    register = REGISTER_AREAS * technology.nand2_area_um2
    code_bits = macro.adc_bits or sum_bits(array.active_rows)
    width = code_bits + macro.input.max_bits + macro.weights.max_bits
    if macro.adc is None:
        most = macro.weights.max_bits
        widest = columns_of_output(most, array.cell_bits, macro.weights.encoding)
        # A digital macro has an accumulator an output of its widest weights, and a tree for each
        # bit that is applied at once.
        units = max(array.cols // widest, 1)
        converter = macro.input.dac_bits * tree_adders(array.active_rows, most) * adder
    else:
        units = macro.adcs
        converter = macro.adc.model.area_um2
    return float(cells + drivers + units * (converter + width * (adder + register)))


def shared_um2(hardware: Hardware) -> float:
    """Return the area of buffers and digital unit."""
    technology, system = hardware.macro.technology, hardware.system
    buffers = system.buffers.size_kib * BITS_PER_KIB * technology.sram_bit_area_um2
    word = system.digital.word_bits
    lane = word * word * (FULL_ADDER_AREAS + 1) + 3 * word * REGISTER_AREAS
    return float(buffers + system.digital.lanes * lane * technology.nand2_area_um2)
