"""What the equations of a price read: the nodes, their mapping, their data, their bit traffic."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import OPS, Op
from cimsearch.cost.demand import Demand
from cimsearch.cost.groups import Groups
from cimsearch.cost.logic import sum_bits
from cimsearch.cost.mapping import Mapping
from cimsearch.cost.namespace import (
    Array,
    Mask,
    at_least,
    at_most,
    namespace_of,
    values_of,
)
from cimsearch.cost.traffic import BITS_PER_KIB, Traffic, traffic_of
from cimsearch.layer_table import LayerTable
from cimsearch.spec.hardware import Hardware

Columns = NDArray[np.intp]
"""Columns of a table of nodes that a part of it has."""

FJ_PER_PJ = 1e3
FLOAT_BITS = 32
"""A float digital layer is priced as integers of this many bits."""


@dataclass(frozen=True)
class Layers:
    """Nodes of many networks, arrays (n, nodes), with the hardware they are priced on.

    Attributes:
        table: The nodes.
        demand: The settings of those on arrays.
        mapping: Their mapping to arrays.
        hardware: What they are priced on.
        activity: Share of input bits that are 1.
        density: Share of stored weight bits that are 1.
        zero_planes: Share of input planes of a row group that are all 0.
        batch: Inferences that share one loading of weights.
        resident: Which networks (n, 1) have all their weights in the macros at once.
        needed_macros: Macros (n, 1) that hold all weights at once.
        chip_macros: Macros (n, 1) that the chip has.
        copies: How often a layer is on arrays: copies share its input vectors.
        digital_bits: Weights (n, 1) of all layers of the digital unit, bits.
        groups: Which nodes run at once.
        pooled_rows: Rows of its output that a node makes at once where nodes run at once: those of
            a row of windows of a pooling in the stream behind it, else 1.
        by_converters: Which nodes are activations that converters compute.
    """

    table: LayerTable
    demand: Demand
    mapping: Mapping
    hardware: Hardware
    activity: Array
    density: Array
    zero_planes: Array
    batch: int
    resident: Mask
    needed_macros: Array
    chip_macros: Array
    copies: Array
    digital_bits: Array
    groups: Groups
    pooled_rows: Array
    by_converters: Mask

    @cached_property
    def xp(self) -> Any:
        """The functions that work on these arrays."""
        return namespace_of(self.table.op)

    def is_op(self, *ops: Op) -> Mask:
        """Return which nodes are one of ``ops``."""
        found = self.table.op == OPS.index(ops[0])
        for op in ops[1:]:
            found = found | (self.table.op == OPS.index(op))
        return found

    @cached_property
    def real(self) -> Mask:
        """Which nodes are there; the others pad shorter networks."""
        return self.table.op >= 0

    @cached_property
    def weighted(self) -> Mask:
        """Which nodes multiply by weights."""
        return self.is_op("conv", "linear")

    @cached_property
    def digital_weighted(self) -> Mask:
        """Which nodes multiply by weights in the digital unit."""
        return self.weighted & ~self.demand.cim

    @cached_property
    def second(self) -> Mask:
        """Which nodes are the second part of a layer, whose columns begin beside the first's."""
        return self.weighted & (self.table.beside_channels > 0)

    @cached_property
    def with_first(self) -> Mask:
        """Which nodes are the second part of a layer, in columns beside the first's or not."""
        return self.weighted & (self.table.beside_bits > 0)

    @cached_property
    def own_inputs(self) -> Array:
        """Values that a node with weights quantises and stores: the first part's are shared."""
        return (self.weighted & ~self.second) * self.in_values

    @cached_property
    def w_bits(self) -> Array:
        """Weight bits as stored, on arrays or for the digital unit."""
        return self._stored(self.table.w_bits, self.demand.w_bits)

    @cached_property
    def x_bits(self) -> Array:
        """Activation bits as stored and applied."""
        return self._stored(self.table.x_bits, self.demand.x_bits)

    def _stored(self, asked: Array, on_arrays: Array) -> Array:
        digital = asked + FLOAT_BITS * (asked == 0)
        stored: Array = self.xp.where(self.demand.cim, on_arrays, digital)
        return stored

    @cached_property
    def in_values(self) -> Array:
        """Values of a node's first input."""
        return self.table.in_channels * self.table.in_height * self.table.in_width

    @cached_property
    def out_values(self) -> Array:
        """Values of a node's output."""
        return self.table.out_channels * self.table.out_height * self.table.out_width

    @cached_property
    def waiting_values(self) -> Array:
        """Values that wait for an addition: every input but the first."""
        waiting: Array = self.is_op("add") * (self.out_values * at_least(self.table.fan_in - 1, 0))
        return waiting

    @cached_property
    def waiting_quantised(self) -> Mask:
        """Which nodes are additions that keep what waits in few bits."""
        return self.is_op("add") & (self.table.x_bits > 0)

    @cached_property
    def waiting_bits(self) -> Array:
        """Bits of a value that waits for an addition: as asked, or a word of the digital unit."""
        word = self.hardware.system.digital.word_bits
        return self.table.x_bits * self.waiting_quantised + word * ~self.waiting_quantised

    @cached_property
    def window(self) -> Array:
        """Positions in the window of a convolution or pooling."""
        return self.table.kernel_height * self.table.kernel_width

    @cached_property
    def pooled_from_buffer(self) -> Mask:
        """Which poolings store what they read: in a stream those do whose windows overlap."""
        table, pooling = self.table, self.is_op("maxpool", "avgpool")
        if self.hardware.system.digital.pooling == "stored":
            return pooling
        beyond_height = table.kernel_height > table.stride_height
        beyond_width = table.kernel_width > table.stride_width
        return pooling & (beyond_height | beyond_width)

    @cached_property
    def pooled_in_stream(self) -> Mask:
        """Which poolings store nothing of what they read."""
        return self.is_op("maxpool", "avgpool") & ~self.pooled_from_buffer

    @cached_property
    def window_rows(self) -> Array:
        """Rows of its input that a node needs for the rows of its output that it makes at once."""
        return self.table.kernel_height + (self.pooled_rows - 1) * self.table.stride_height

    @cached_property
    def patch_values(self) -> Array:
        """Input values read as im2col patches, overlaps read again."""
        positions = self.table.out_height * self.table.out_width
        return positions * self.window * self.table.in_channels

    @cached_property
    def weights(self) -> Array:
        """Stored weights."""
        fan_in = self.window * (self.table.in_channels / self.table.groups)
        return self.weighted * (fan_in * self.table.out_channels)

    @cached_property
    def macs(self) -> Array:
        """Multiply-accumulates."""
        return self.weights * self.table.out_height * self.table.out_width

    @cached_property
    def pulses(self) -> Array:
        """Times that a wordline is pulsed for one activation.

        A digital macro that takes several bits at once has as many wordlines and gates.
        """
        macro = self.hardware.macro
        if macro.input.drive == "pulses" or macro.adc is None:
            return self.demand.cim * self.demand.x_bits
        return self.mapping.planes

    @cached_property
    def executed(self) -> Array | float:
        """Share of array calls that are carried out: zero skipping leaves some out.

        A call that drives several groups of a convolution is left out where the planes of all are
        0, which are taken as independent of each other.
        """
        if self.hardware.macro.input.zero_skipping == "none":
            return 1.0
        left_out: Array = self.zero_planes ** at_least(self.mapping.abreast, 1.0)
        return 1.0 - left_out

    @cached_property
    def copy_levels(self) -> Array:
        """Two-way selections between the copies of a layer: log2 of their number, rounded up."""
        levels = np.frexp(values_of(at_least(self.copies, 1)) - 1)[1].astype(np.float64)
        like: Array = self.xp.asarray(levels)
        return like

    @cached_property
    def code_bits(self) -> Array:
        """Bits of one code: of the converter, or of a digital macro's sum over active rows."""
        if self.hardware.macro.adc is not None:
            return self.demand.adc_bits
        active_rows = self.hardware.macro.array.active_rows
        return 0.0 * self.demand.w_bits + sum_bits(active_rows)

    @cached_property
    def accumulator_bits(self) -> Array:
        """Bits of an output's accumulator: code, activation and weight bits together."""
        return self.code_bits + self.demand.x_bits + self.demand.w_bits

    @cached_property
    def digital_kept_bits(self) -> Array:
        """Weights (n, 1) of the digital unit that stay in the buffer: at most half of it."""
        return at_most(self.digital_bits, self.hardware.system.buffers.size_kib * BITS_PER_KIB / 2)

    @cached_property
    def digital_loaded_bits(self) -> Array:
        """Weights of the digital unit that do not stay in the buffer, read at every inference."""
        stay = self.digital_kept_bits / at_least(self.digital_bits, 1.0)
        return self.digital_weighted * (self.weights * self.w_bits * (1 - stay))

    @cached_property
    def traffic(self) -> Traffic:
        """Bits moved between buffer, bus and logic."""
        return traffic_of(self)


Parts = list[tuple[Columns, Layers]]
"""The nodes of a table in parts: the columns that each part has, and its nodes."""
