"""Latency of every node, ns of one inference, arrays (n, nodes)."""

from dataclasses import replace
from functools import reduce
from operator import add

from cimsearch.cost.adc import conversion_ns
from cimsearch.cost.array_call import longest_call_ns
from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import CARRY_DELAYS, CORNER_DELAYS, XOR_DELAYS, nand_ns, sum_bits
from cimsearch.cost.map_table import lines_per_adc, map_table
from cimsearch.cost.namespace import (
    Array,
    at_least,
    at_most,
    ceil_div,
    looked_up,
    namespace_of,
    values_of,
)
from cimsearch.cost.system_energy import hops, lane_operations
from cimsearch.spec.hardware import Hardware


def after_loading(running_ns: Array, loading_ns: Array, hardware: Hardware) -> Array:
    """Return the time of what runs after its weights are loaded, or, ping-pong, meanwhile."""
    if not hardware.system.off_chip.ping_pong:
        return running_ns + loading_ns
    longer: Array = namespace_of(running_ns).maximum(running_ns, loading_ns)
    return longer


def running_ns(layers: Layers) -> Array:
    """Return the time of every node by itself, per inference, but for loading its weights.

    It is that of the slowest of macros, digital unit, buffer, bus and off-chip memory, which
    overlap within a layer.
    """
    return layers.real * (working_ns(layers) + _waiting_ns(layers))


def working_ns(layers: Layers) -> Array:
    """Return the time of the slowest of the units that work at a node.

    Both parts of a layer are at work at once, their arrays side by side and the other units for
    one after the other: the second part's time is what both take beyond that of the first. Where
    there are not macros enough for both, they are filled with one part after the other. A call of
    the array that both are in takes as long as the slower part's.
    """
    own = [arrays_ns(layers), *(unit_ns(layers) for unit_ns in SHARED)]
    longest = reduce(layers.xp.maximum, own)
    if not values_of(layers.second).any():
        return longest
    first = _first_parts(layers)
    before = [arrays_ns(first), *(unit_ns(first) for unit_ns in SHARED)]
    arrays = _both_arrays_ns(layers, own[0], first, before[0])
    both = [arrays, *map(add, own[1:], before[1:])]
    more = reduce(layers.xp.maximum, both) - reduce(layers.xp.maximum, before)
    working: Array = layers.xp.where(layers.second, more, longest)
    return working


def _both_arrays_ns(layers: Layers, own_ns: Array, first: Layers, first_ns: Array) -> Array:
    """Return the time of the arrays of both parts of a layer, which take so long alone."""
    first_ns = first_ns + _waited_in_shared_ns(layers, first)
    at_once: Array = layers.xp.maximum(own_ns, first_ns)
    macros = macros_at_once(layers)
    if macros is None:
        return at_once
    fit = layers.mapping.arrays + first.mapping.arrays <= macros
    both: Array = layers.xp.where(fit, at_once, own_ns + first_ns)
    return both


def _waited_in_shared_ns(layers: Layers, first: Layers) -> Array:
    """Return how much longer the arrays that both parts are in take than for the first alone."""
    mapping = replace(layers.mapping, column_tiles=layers.mapping.shared_tiles)
    calls = _calls_in_sequence(replace(layers, mapping=mapping))
    return calls * at_least(call_ns(layers) - call_ns(first), 0.0)


def _first_parts(layers: Layers) -> Layers:
    """Return the first part of a layer in the place of the second; other nodes as they are."""
    table, where = layers.table, layers.xp.where
    table = replace(
        table,
        out_channels=where(layers.second, table.beside_channels, table.out_channels),
        w_bits=where(layers.second, table.beside_bits, table.w_bits),
        beside_channels=0 * table.beside_channels,
    )
    demand = layers.demand.beside
    mapping = map_table(table, demand, layers.hardware.macro)
    return replace(layers, table=table, demand=demand, mapping=mapping)


def digital_ns(layers: Layers) -> Array:
    """Return the time of the digital unit."""
    digital = layers.hardware.system.digital
    return ceil_div(lane_operations(layers), digital.lanes) * (1e3 / digital.clock_mhz)


def buffer_ns(layers: Layers) -> Array:
    """Return the time of the buffer's port."""
    traffic = layers.traffic
    return (traffic.read + traffic.written) / layers.hardware.system.buffers.bandwidth_gbps


def bus_ns(layers: Layers) -> Array:
    """Return the time of the bus, or of the link to the buffer's tile if that is slower."""
    bus, traffic = layers.hardware.system.interconnect, layers.traffic
    busy = traffic.bus / bus.bandwidth_gbps
    if bus.mesh is None or bus.mesh.link_gbps >= bus.bandwidth_gbps:
        return busy
    return layers.xp.maximum(busy, traffic.to_macros / bus.mesh.link_gbps)


def off_chip_ns(layers: Layers) -> Array:
    """Return the time of moving activations and digital weights that the buffer cannot hold."""
    bits = layers.traffic.off_chip + layers.digital_loaded_bits
    return bits / layers.hardware.system.off_chip.bandwidth_gbps


SHARED = (digital_ns, buffer_ns, bus_ns, off_chip_ns)
"""The time of every unit that all layers share, whoever runs at once."""


def first_share(layers: Layers) -> Array:
    """Return the share of its input that a node needs before it starts, in a pipeline.

    A window over all of the input's height needs all of it, one over a row of it only that row;
    with a pooling in the stream behind it a node needs what a window of that does. Such a pooling
    waits for its first window alone, whose positions are made one after another. The second part
    of a layer does not wait for the first: it starts with it, on the same input.
    """
    share = at_most(layers.window_rows / layers.table.in_height, 1.0)
    if layers.hardware.system.digital.pooling == "in_stream":
        positions = layers.table.in_height * layers.table.in_width
        window = at_most(layers.window / positions, 1.0)
        share = layers.xp.where(layers.pooled_in_stream, window, share)
    return (layers.real & ~layers.with_first) * share


def call_ns(layers: Layers) -> Array:
    """Return the time of one array call (n, nodes); 0 off the arrays.

    Settling and converting follow each other, or take what a table of simulated calls says;
    shift-and-add overlaps with the next call. Zero skipping looks at a plane before it is applied.
    """
    macro = layers.hardware.macro
    gate_ns = nand_ns(macro.technology, macro.supply_v) * CORNER_DELAYS[macro.corner]
    if macro.array_call is None:
        called = _converted_ns(layers, gate_ns)
    else:
        called = longest_call_ns(layers, macro.array_call)
    if macro.input.zero_skipping == "planes":
        called = called + gate_ns * sum_bits(macro.array.active_rows)
    if "shift_add" not in macro.simulated:
        added = layers.accumulator_bits * (CARRY_DELAYS * gate_ns)
        called = layers.xp.maximum(called, added)
    return layers.demand.cim * called


def _converted_ns(layers: Layers, gate_ns: float) -> Array:
    """Return the time of settling and converting; in a digital macro of its trees."""
    macro = layers.hardware.macro
    settled = 0.0 * layers.pulses + macro.input.settle_ns
    if macro.input.drive == "pulses":
        settled = settled * (layers.pulses / at_least(layers.mapping.planes, 1))
    if macro.adc is None:
        return settled + gate_ns * _tree_delays(layers)
    conversion = looked_up(conversion_ns(macro), layers.demand.adc_bits)
    return settled + conversion * lines_per_adc(layers.demand, macro)


def _tree_delays(layers: Layers) -> Array:
    """Return the NAND delays of an adder tree: carries ripple through its levels in parallel."""
    levels = layers.code_bits
    carries = layers.demand.w_bits + levels - 2
    first = (levels - 1) * (2 * XOR_DELAYS)
    return first + XOR_DELAYS + CARRY_DELAYS + carries * CARRY_DELAYS


def rounds(layers: Layers) -> Array:
    """Return how often the macros are filled to run a layer: once if it fits into them."""
    macros = macros_at_once(layers)
    if macros is None:
        return 0.0 * layers.mapping.rows + 1.0
    return ceil_div(layers.mapping.arrays, macros)


def macros_at_once(layers: Layers) -> int | None:
    """Return how many macros a layer may fill at a time; None where there are enough."""
    system = layers.hardware.system
    if system.macros == "enough":
        return None
    return max(system.macros // 2, 1) if system.off_chip.ping_pong else system.macros


def arrays_ns(layers: Layers) -> Array:
    """Return the time of a layer's array calls: never longer than one after another.

    Row tiles in arrays of several tiles of the mesh wait for each other.
    """
    mapping, mesh = layers.mapping, layers.hardware.system.interconnect.mesh
    busy = _calls_in_sequence(layers) * call_ns(layers)
    if mesh is None or not mesh.tile_barrier_ns:
        return busy
    joined = (mapping.row_tiles > 1) & (mapping.arrays > mesh.macros_per_tile)
    return busy + joined * ceil_div(mapping.vectors, layers.copies) * mesh.tile_barrier_ns


def _calls_in_sequence(layers: Layers) -> Array:
    """Return how many array calls of a layer follow each other.

    The copies of a layer share its input vectors. Zero planes save time where all arrays of a
    layer get the same rows; row tiles and groups in other arrays wait for each other.
    """
    mapping = layers.mapping
    vectors = ceil_div(mapping.vectors, layers.copies)
    serial = vectors * mapping.planes * mapping.serial_row_groups * mapping.serial_turns
    calls = layers.xp.minimum(serial * rounds(layers), mapping.array_calls)
    if layers.hardware.macro.input.zero_skipping == "planes":
        same_rows = mapping.arrays == mapping.column_tiles
        calls = calls * layers.xp.where(same_rows, layers.executed, 1.0)
    return calls


def _waiting_ns(layers: Layers) -> Array | float:
    """Return the time that a layer on arrays waits before it starts: barrier, way of its data."""
    bus = layers.hardware.system.interconnect
    if bus.mesh is None and not bus.layer_barrier_ns:
        return 0.0
    way = hops(layers) * (bus.mesh.router_ns if bus.mesh else 0.0)
    waits = layers.demand.cim & ~layers.second
    return waits * (way + bus.layer_barrier_ns)


def loading_ns(layers: Layers) -> Array:
    """Return the time of loading weights by inference: 0 where they stay in the macros.

    It is bound by the memory off the chip or by writing rows.
    """
    loading = layers.xp.maximum(fetching_ns(layers), writing_ns(layers))
    return layers.real * (~layers.resident * (loading / layers.batch))


def fetching_ns(layers: Layers) -> Array:
    """Return the time that the memory off the chip takes for weights."""
    bits = layers.demand.cim * (layers.weights * layers.w_bits)
    return bits / layers.hardware.system.off_chip.bandwidth_gbps


def writing_ns(layers: Layers) -> Array:
    """Return the time of writing weights: all arrays at once, row after row."""
    mapping, array = layers.mapping, layers.hardware.macro.array
    rows = at_most(mapping.rows * mapping.diagonal, array.rows)
    return rows * rounds(layers) * array.write_ns_per_row
