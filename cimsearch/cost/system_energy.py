"""Energy of what happens around the macros: buffers, bus, digital unit, weight memory.

Each function returns fJ of one inference, array (n, nodes). No chip has validated these parts;
reports say what share of the energy they are.
"""

from itertools import pairwise
from math import log

from cimsearch.cost.area import UM2_PER_MM2, array_um2, shared_um2
from cimsearch.cost.layers import FJ_PER_PJ, Layers
from cimsearch.cost.logic import (
    HARD_SIGMOID_ADDITIONS,
    REGISTER_CAPS,
    SELECT_CAPS,
    adder_caps,
    multiplier_caps,
    unit_cap_fj,
)
from cimsearch.cost.namespace import Array, at_least, ceil_div, namespace_of
from cimsearch.spec.hardware import Buffers


def buffers_fj(layers: Layers) -> Array:
    """Return the energy of reading and writing the activation buffer.

    Energy a bit follows the table of its file, and scales with the node and the square of the
    supply.
    """
    technology, buffers = layers.hardware.macro.technology, layers.hardware.system.buffers
    supply = (technology.vdd_v / buffers.reference_vdd_v) ** 2
    scale = technology.node_nm / buffers.reference_node_nm * supply
    read_fj = read_pj_per_bit(buffers) * scale * FJ_PER_PJ
    traffic = layers.traffic
    return (traffic.read + traffic.written * buffers.write_ratio_frac) * read_fj


def read_pj_per_bit(buffers: Buffers) -> float:
    """Return the energy of a read at the buffer's size: between two sizes a power of it."""
    for low, high in pairwise(buffers.reads):
        if low.size_kib <= buffers.size_kib <= high.size_kib:
            exponent = log(high.pj_per_bit / low.pj_per_bit) / log(high.size_kib / low.size_kib)
            return float(low.pj_per_bit * (buffers.size_kib / low.size_kib) ** exponent)
    return buffers.reads[0].pj_per_bit


def interconnect_fj(layers: Layers) -> Array:
    """Return the energy of the bus, of the mesh between tiles, and of choosing among copies.

    Every bit charges the full length of the bus, or the chip's side. To and from macros it also
    takes the hops of the mesh, and one two-way selection for every doubling of a layer's copies.
    """
    bus, traffic = layers.hardware.system.interconnect, layers.traffic
    energy_v2 = layers.hardware.macro.technology.vdd_v**2
    energy = traffic.bus * bus_mm(layers) * (bus.cap_ff_per_mm * energy_v2)
    selections = traffic.to_macros * layers.copy_levels
    energy = energy + selections * (SELECT_CAPS * unit_cap_fj(layers.hardware))
    if bus.mesh is None:
        return energy
    hop_fj = bus.mesh.hop_mm * bus.cap_ff_per_mm * energy_v2
    hop_fj = hop_fj + bus.mesh.router_pj_per_bit * FJ_PER_PJ
    return energy + traffic.to_macros * hops(layers) * hop_fj


def bus_mm(layers: Layers) -> Array | float:
    """Return the length of the bus (n, 1): as stated, or the side of the chip as a square."""
    length = layers.hardware.system.interconnect.length_mm
    if length != "chip_side":
        return length
    area_um2 = layers.chip_macros * array_um2(layers.hardware.macro) + shared_um2(layers.hardware)
    side: Array = layers.xp.sqrt(area_um2 / UM2_PER_MM2)
    return side


def hops(layers: Layers) -> Array:
    """Return the mean hops (n, 1) between two tiles of the chip: 2/3 (side - 1 / side).

    That is the mean distance, along rows and columns, of two tiles drawn from a square mesh. 0
    without a mesh.
    """
    mesh = layers.hardware.system.interconnect.mesh
    if mesh is None:
        return 0.0 * layers.chip_macros
    tiles = at_least(ceil_div(layers.chip_macros, mesh.macros_per_tile), 1.0)
    side = namespace_of(tiles).sqrt(tiles)
    distance: Array = (side - 1 / side) * (2 / 3)
    return distance


def digital_fj(layers: Layers) -> Array:
    """Return the energy of the digital unit: its layers, and the operations without weights.

    Every layer with weights requantises its inputs and adds a bias to its outputs; an addition
    that keeps what waits in few bits requantises that. Batch norm is a multiply-add, an average
    pooling sums and multiplies, a maximum pooling compares. A hard sigmoid adds and compares
    twice; its factor of 1 / 6 is a shift, the rest of it in the step of what reads it. Values
    that are only passed on, in another order or because converters have computed the activation,
    take a register each.
    """
    word = layers.hardware.system.digital.word_bits
    register = word * REGISTER_CAPS
    add, multiply = adder_caps(word), multiplier_caps(word, word)
    passed, clipped = layers.by_converters, HARD_SIGMOID_ADDITIONS * add - register
    others = layers.window - 1
    # In a stream what is pooled so far is kept while other channels have their turn.
    pooled = layers.xp.where(layers.pooled_from_buffer, register, layers.window * register)
    mac = multiplier_caps(layers.w_bits, layers.x_bits) + add
    added = (layers.table.fan_in - 1) * (1.0 + layers.waiting_quantised)
    caps = layers.digital_weighted * (layers.macs * mac)
    for mask, values, per_value in (
        (layers.weighted, layers.own_inputs + layers.out_values, add),
        (layers.is_op("batchnorm"), layers.out_values, multiply + add),
        (layers.is_op("relu"), layers.out_values, register + ~passed * word),
        (layers.is_op("hard_sigmoid"), layers.out_values, register + ~passed * clipped),
        (layers.is_op("maxpool"), layers.out_values, others * add + pooled),
        (layers.is_op("avgpool"), layers.out_values, others * add + multiply + pooled),
        (layers.is_op("add"), layers.out_values, added * add + register),
        (layers.is_op("flatten", "concat"), layers.out_values, register),
    ):
        caps = caps + mask * (values * per_value)
    return caps * unit_cap_fj(layers.hardware)


def lane_operations(layers: Layers) -> Array:
    """Return how many operations (n, nodes) the lanes of the digital unit carry out."""
    mapping = layers.mapping
    extra = layers.own_inputs + mapping.tile_adds + mapping.input_sums
    extra = extra + mapping.corrections + mapping.scale_multiplies
    count = layers.out_values + layers.weighted * extra
    count = count + layers.digital_weighted * layers.macs
    count = count + layers.waiting_quantised * layers.waiting_values
    pooled = layers.out_values * layers.window
    count = count + layers.is_op("maxpool", "avgpool") * pooled
    return layers.real * count


def off_chip_fj(layers: Layers) -> Array:
    """Return the energy of the memory off the chip and of writing weights into the macros.

    A network that does not fit is loaded layer by layer, once a batch. Activations that the buffer
    cannot hold are written and read again, weights of the digital unit read at every inference.
    """
    memory, array = layers.hardware.system.off_chip, layers.hardware.macro.array
    bits = layers.demand.cim * (layers.weights * layers.w_bits)
    loaded_pj = bits * memory.read_pj_per_bit
    loaded_pj = loaded_pj + layers.mapping.used_cells * array.write_pj_per_cell
    loaded_fj = ~layers.resident * (loaded_pj * (FJ_PER_PJ / layers.batch))
    moved = layers.traffic.off_chip + layers.digital_loaded_bits
    return loaded_fj + moved * (memory.read_pj_per_bit * FJ_PER_PJ)
