"""Bits that nodes move between buffer, bus and logic, and those that find no room on the chip."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cimsearch.cost.namespace import Array, at_least, at_most, ceil_div

if TYPE_CHECKING:
    from cimsearch.cost.layers import Layers

BITS_PER_KIB = 8192


@dataclass(frozen=True)
class Traffic:
    """Bits moved in one inference, arrays (n, nodes).

    Attributes:
        written: Into the buffer.
        read: Out of the buffer.
        bus: Over the bus between buffer, macros and digital unit.
        to_macros: Those of them that go to or come from macros.
        off_chip: Activations that the buffer cannot hold: written and read again.
    """

    written: Array
    read: Array
    bus: Array
    to_macros: Array
    off_chip: Array


def traffic_of(layers: "Layers") -> Traffic:
    """Return the bit traffic of every node.

    The reader of a tensor pays for storing it, at its own precision: nodes with windows or weights
    their input, an addition every input but the first. Nodes in a stream (batch norm, activation,
    flatten, joined parts of a layer, and pooling if the system does it so) store nothing, and the
    second part of a layer gets what the first has stored and reads. A weight of the digital unit
    is read once for as many output positions as the unit has lanes. What finds no room in the
    buffer is moved off the chip and back.
    """
    table, mapping = layers.table, layers.mapping
    digital = layers.hardware.system.digital
    word = digital.word_bits
    pooling = layers.pooled_from_buffer
    positions = table.out_height * table.out_width
    refills = ceil_div(positions, digital.lanes)
    digital_weights = layers.digital_weighted * (layers.weights * refills)
    patches = layers.patch_values * layers.x_bits
    written = written_bits(layers)
    read = (layers.weighted & ~layers.second) * patches + digital_weights * layers.w_bits
    window_reads = layers.out_values * layers.window * word
    read = read + pooling * window_reads + _waiting_bits(layers)
    sums = mapping.results * mapping.row_tiles * layers.accumulator_bits
    to_macros = layers.demand.cim * (patches * mapping.column_tiles + sums)
    bus = layers.xp.where(layers.demand.cim, to_macros, written + read)
    return Traffic(written, read, bus, to_macros, off_chip=2 * _beyond_buffer(layers, written))


def written_bits(layers: "Layers") -> Array:
    """Return the bits (n, nodes) that are written into the buffer for a node to read."""
    word = layers.hardware.system.digital.word_bits
    written = layers.own_inputs * layers.x_bits
    written = written + layers.pooled_from_buffer * (layers.in_values * word)
    return written + _waiting_bits(layers)


def _waiting_bits(layers: "Layers") -> Array:
    return layers.waiting_values * layers.waiting_bits


def _beyond_buffer(layers: "Layers", written: Array) -> Array:
    """Return the bits of ``written`` that the buffer has no room for, beside digital weights.

    Layer by layer, half of the room is read while the other half is written, and a batch whose
    weights are loaded for all of it is stored whole. The windows of nodes that run at once share
    the room; what they leave of it is for what is stored whole between groups of such nodes.
    """
    system, groups = layers.hardware.system, layers.groups
    room = system.buffers.size_kib * BITS_PER_KIB - layers.digital_kept_bits
    stored = layers.xp.where(layers.resident, 1.0, float(layers.batch))
    left = at_least(room - groups.beside_bits, 0.0)
    beyond = at_least(written - left / (2 * stored), 0.0)
    if system.execution == "layer_by_layer":
        return beyond
    share = at_least(groups.live_bits - room, 0.0) / at_least(groups.live_bits, 1.0)
    return layers.xp.where(groups.streamed, written * share, beyond)


def window_bits(layers: "Layers") -> Array:
    """Return what a node's input takes in the buffer while all nodes run, bits (n, nodes).

    The rows of its window, and those that are written next; with a pooling in the stream behind
    it, for all rows of a window of that. What an addition waits with is kept whole.
    """
    table = layers.table
    written_next = layers.pooled_rows * (table.in_height / table.out_height)
    rows = at_most((layers.window_rows + written_next) / table.in_height, 1.0)
    share = layers.xp.where(layers.is_op("add"), 1.0, rows)
    return layers.real * written_bits(layers) * share
