"""Energy of what happens around the macros: buffers, bus, digital unit, weight memory.

Each function returns fJ of one inference, array (n, nodes). No chip has validated these parts;
reports say what share of the energy they are.
"""

from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import REGISTER_CAPS, adder_caps, multiplier_caps, unit_cap_fj
from cimsearch.cost.namespace import Array

FJ_PER_PJ = 1e3


def buffers_fj(layers: Layers) -> Array:
    """Return the energy of reading and writing the activation buffer.

    Energy a bit grows as a power of the size (the CACTI table of MNSIM 2.0), with the node and
    with the square of the supply.
    """
    technology, buffers = layers.hardware.macro.technology, layers.hardware.system.buffers
    size = float(pow(buffers.size_kib / 2, buffers.size_exponent))
    supply = (technology.vdd_v / buffers.reference_vdd_v) ** 2
    scale = technology.node_nm / buffers.reference_node_nm * supply
    read_fj = buffers.read_pj_per_bit_2kib * size * scale * FJ_PER_PJ
    traffic = layers.traffic
    return (traffic.read + traffic.written * buffers.write_ratio_frac) * read_fj


def interconnect_fj(layers: Layers) -> Array:
    """Return the energy of the bus: every bit charges its full length."""
    bus = layers.hardware.system.interconnect
    vdd_v = layers.hardware.macro.technology.vdd_v
    return layers.traffic.bus * (bus.length_mm * bus.cap_ff_per_mm * vdd_v**2)


def digital_fj(layers: Layers) -> Array:
    """Return the energy of the digital unit: its layers, and the operations without weights.

    Every layer with weights requantises its inputs and adds a bias to its outputs. Batch norm is
    a multiply-add, an average pooling sums and multiplies, a maximum pooling compares.
    """
    word = layers.hardware.system.digital.word_bits
    register = word * REGISTER_CAPS
    add, multiply = adder_caps(word), multiplier_caps(word, word)
    others = layers.window - 1
    mac = multiplier_caps(layers.w_bits, layers.x_bits) + add
    caps = layers.digital_weighted * (layers.macs * mac)
    for mask, values, per_value in (
        (layers.weighted, layers.in_values + layers.out_values, add),
        (layers.is_op("batchnorm"), layers.out_values, multiply + add),
        (layers.is_op("relu"), layers.out_values, word + register),
        (layers.is_op("maxpool"), layers.out_values, others * add + register),
        (layers.is_op("avgpool"), layers.out_values, others * add + multiply + register),
        (layers.is_op("add"), layers.out_values, (layers.table.fan_in - 1) * add + register),
        (layers.is_op("flatten"), layers.out_values, register),
    ):
        caps = caps + mask * (values * per_value)
    return caps * unit_cap_fj(layers.hardware)


def lane_operations(layers: Layers) -> Array:
    """Return how many operations (n, nodes) the lanes of the digital unit carry out."""
    mapping = layers.mapping
    extra = layers.in_values + mapping.tile_adds + mapping.input_sums
    extra = extra + mapping.corrections + mapping.scale_multiplies
    count = layers.out_values + layers.weighted * extra
    count = count + layers.digital_weighted * layers.macs
    pooled = layers.out_values * layers.window
    count = count + layers.is_op("maxpool", "avgpool") * pooled
    return layers.real * count


def weight_memory_fj(layers: Layers) -> Array:
    """Return the energy of loading weights into the macros; 0 where they stay in them.

    A network that does not fit is loaded layer by layer, once a batch.
    """
    memory, array = layers.hardware.system.weight_memory, layers.hardware.macro.array
    bits = layers.demand.cim * (layers.weights * layers.w_bits)
    loaded_pj = bits * memory.read_pj_per_bit
    loaded_pj = loaded_pj + layers.mapping.used_cells * array.write_pj_per_cell
    return ~layers.resident * (loaded_pj * (FJ_PER_PJ / layers.batch))
