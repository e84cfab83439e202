"""Latency of every node, ns of one inference, arrays (n, nodes). Layers run one after another."""

from cimsearch.cost.adc import conversion_ns
from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import CARRY_DELAYS, CORNER_DELAYS, XOR_DELAYS, nand_ns
from cimsearch.cost.mapping import lines_per_adc
from cimsearch.cost.namespace import Array, at_least, at_most, ceil_div, looked_up
from cimsearch.cost.system_energy import lane_operations


def latency_ns(layers: Layers) -> Array:
    """Return the latency of every node.

    It is that of the slowest of macros, digital unit, buffer and bus, which overlap within a
    layer, after loading the layer's weights if they do not stay in the macros; with ping-pong
    macros the loading overlaps too.
    """
    xp, system, traffic = layers.xp, layers.hardware.system, layers.traffic
    lanes = ceil_div(lane_operations(layers), system.digital.lanes)
    slowest = xp.maximum(_arrays_ns(layers), lanes * (1e3 / system.digital.clock_mhz))
    buffered = (traffic.read + traffic.written) / system.buffers.bandwidth_gbps
    slowest = xp.maximum(slowest, buffered)
    slowest = xp.maximum(slowest, traffic.bus / system.interconnect.bandwidth_gbps)
    loading = _loading_ns(layers)
    if system.weight_memory.ping_pong:
        return layers.real * xp.maximum(slowest, loading)
    return layers.real * (slowest + loading)


def call_ns(layers: Layers) -> Array:
    """Return the time of one array call (n, nodes); 0 off the arrays.

    Settling and converting follow each other; shift-and-add overlaps with the next call.
    """
    macro = layers.hardware.macro
    gate_ns = nand_ns(macro.technology, macro.supply_v) * CORNER_DELAYS[macro.corner]
    pulses_a_plane = layers.pulses / at_least(layers.mapping.planes, 1)
    settled = macro.input.settle_ns * pulses_a_plane
    if macro.adc is None:
        converted = gate_ns * _tree_delays(layers)
    else:
        conversion = looked_up(conversion_ns(macro), layers.demand.adc_bits)
        converted = conversion * lines_per_adc(layers.demand, macro)
    added = layers.accumulator_bits * (CARRY_DELAYS * gate_ns)
    return layers.demand.cim * layers.xp.maximum(settled + converted, added)


def _tree_delays(layers: Layers) -> Array:
    """Return the NAND delays of an adder tree: carries ripple through its levels in parallel."""
    levels = layers.code_bits
    carries = layers.demand.w_bits + levels - 2
    first = (levels - 1) * (2 * XOR_DELAYS)
    return first + XOR_DELAYS + CARRY_DELAYS + carries * CARRY_DELAYS


def _rounds(layers: Layers) -> Array:
    """Return how often the macros are filled to run a layer: once if it fits into them."""
    macros = layers.hardware.system.macros
    if macros == "enough":
        return 0.0 * layers.mapping.rows + 1.0
    if layers.hardware.system.weight_memory.ping_pong:
        macros = max(macros // 2, 1)
    return ceil_div(layers.mapping.arrays, macros)


def _arrays_ns(layers: Layers) -> Array:
    """Return the time of a layer's array calls: never longer than one after another."""
    mapping = layers.mapping
    calls = layers.xp.minimum(mapping.serial_calls * _rounds(layers), mapping.array_calls)
    return calls * call_ns(layers)


def _loading_ns(layers: Layers) -> Array:
    """Return the time of loading weights: bound by the weight memory or by writing rows."""
    memory, array = layers.hardware.system.weight_memory, layers.hardware.macro.array
    mapping = layers.mapping
    bits = layers.demand.cim * (layers.weights * layers.w_bits)
    rows = at_most(mapping.rows * mapping.diagonal, array.rows)
    written = rows * _rounds(layers) * array.write_ns_per_row
    loading = layers.xp.maximum(bits / memory.bandwidth_gbps, written)
    return ~layers.resident * (loading / layers.batch)
