"""Latency of every node, ns of one inference, arrays (n, nodes). Layers run one after another."""

from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import CARRY_DELAYS, XOR_DELAYS, nand_ns
from cimsearch.cost.macro_energy import adc_steps
from cimsearch.cost.mapping import lines_per_adc
from cimsearch.cost.namespace import Array, at_least, at_most, ceil_div
from cimsearch.cost.system_energy import lane_operations
from cimsearch.spec.hardware import RampAdc


def latency_ns(layers: Layers) -> Array:
    """Return the latency of every node.

    It is that of the slowest of macros, digital unit, buffer and bus, which overlap within a
    layer, after loading the layer's weights if they do not stay in the macros.
    """
    xp, system, traffic = layers.xp, layers.hardware.system, layers.traffic
    lanes = ceil_div(lane_operations(layers), system.digital.lanes)
    slowest = xp.maximum(_arrays_ns(layers), lanes * (1e3 / system.digital.clock_mhz))
    buffered = (traffic.read + traffic.written) / system.buffers.bandwidth_gbps
    slowest = xp.maximum(slowest, buffered)
    slowest = xp.maximum(slowest, traffic.bus / system.interconnect.bandwidth_gbps)
    return layers.real * (slowest + _loading_ns(layers))


def call_ns(layers: Layers) -> Array:
    """Return the time of one array call (n, nodes); 0 off the arrays.

    Settling and converting follow each other; shift-and-add overlaps with the next call.
    """
    macro = layers.hardware.macro
    gate_ns = nand_ns(macro.technology, macro.supply_v)
    pulses_a_plane = layers.pulses / at_least(layers.mapping.planes, 1)
    settled = macro.input.settle_ns * pulses_a_plane
    if macro.adc is None:
        converted = gate_ns * _tree_delays(layers)
    else:
        model, bits = macro.adc.model, layers.demand.adc_bits
        if isinstance(model, RampAdc):
            conversion = model.step_ns * adc_steps(bits)
        else:
            conversion = model.ns_per_bit * bits
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
    return ceil_div(layers.mapping.arrays, macros)


def _arrays_ns(layers: Layers) -> Array:
    return layers.mapping.serial_calls * _rounds(layers) * call_ns(layers)


def _loading_ns(layers: Layers) -> Array:
    """Return the time of loading weights: bound by the weight memory or by writing rows."""
    memory, array = layers.hardware.system.weight_memory, layers.hardware.macro.array
    mapping = layers.mapping
    bits = layers.demand.cim * (layers.weights * layers.w_bits)
    rows = at_most(mapping.rows * mapping.diagonal, array.rows)
    written = rows * _rounds(layers) * array.write_ns_per_row
    loading = layers.xp.maximum(bits / memory.bandwidth_gbps, written)
    return ~layers.resident * loading
