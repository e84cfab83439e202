"""The bits that a layer moves, with their numbers: the terms of ``Layers.traffic``."""

from cimsearch.blueprint import Op
from cimsearch.cost.explain_expression import Operand, Term, applied
from cimsearch.cost.explain_logic import (
    accumulator_bits,
    activation_bits,
    input_values,
    output_values,
    positions,
    weight_bits,
    weights,
    window,
    word_bits,
)
from cimsearch.cost.explain_terms import constant, count, is_on_arrays, number, shape
from cimsearch.cost.layers import BITS_PER_KIB, Layers


def is_op(layers: Layers, *ops: Op) -> bool:
    """Return whether the one layer is one of ``ops``."""
    return any(bool(number(1.0 * layers.is_op(op))) for op in ops)


def is_weighted(layers: Layers) -> bool:
    """Return whether the one layer multiplies by weights."""
    return is_op(layers, "conv", "linear")


def written_bits(layers: Layers) -> Term:
    """Return the bits written into the buffer: the reader of a tensor pays for storing it."""
    if is_weighted(layers):
        stored: Operand = input_values(layers) * activation_bits(layers)
    elif is_op(layers, "maxpool", "avgpool"):
        stored = input_values(layers) * word_bits(layers.hardware)
    elif is_op(layers, "add"):
        stored = _kept(layers)
    else:
        return Term("bits written", 0.0, "bit", how="a stream stores nothing")
    return stored.expression.named("bits written", "bit", how="the layer's input")


def read_bits(layers: Layers) -> Term:
    """Return the bits read from the buffer."""
    if is_weighted(layers):
        read: Operand = _patches(layers)
        if not is_on_arrays(layers):
            lanes = constant(layers.hardware, "system.digital.lanes")
            refills = applied("ceil", positions(layers) / lanes).named("weight reads")
            read = read + weights(layers) * refills * weight_bits(layers)
        how = "im2col patches" if is_on_arrays(layers) else "im2col patches, and weights"
    elif is_op(layers, "maxpool", "avgpool"):
        read, how = output_values(layers) * window(layers) * word_bits(layers.hardware), "windows"
    elif is_op(layers, "add"):
        read, how = _kept(layers), "every input but the first"
    else:
        return Term("bits read", 0.0, "bit", how="a stream stores nothing")
    return read.expression.named("bits read", "bit", how=how)


def _patches(layers: Layers) -> Term:
    values = positions(layers) * window(layers) * shape(layers, "in_channels")
    return (values * activation_bits(layers)).named("patch bits", "bit")


def _kept(layers: Layers) -> Operand:
    return output_values(layers) * (shape(layers, "fan_in") - 1) * word_bits(layers.hardware)


def bits_of_macros(layers: Layers) -> Term:
    """Return the bits that go to macros or come from them."""
    if not is_on_arrays(layers):
        return Term("bits to macros", 0.0, "bit", how="the layer is not on arrays")
    inputs = _patches(layers) * count(layers, "column_tiles")
    sums = count(layers, "results") * count(layers, "row_tiles") * accumulator_bits(layers)
    how = "inputs to every column tile, sums from every row tile"
    return (inputs + sums).named("bits to macros", "bit", how=how)


def bus_bits(layers: Layers) -> Term:
    """Return the bits that the bus moves."""
    if is_on_arrays(layers):
        return bits_of_macros(layers)
    return (written_bits(layers) + read_bits(layers)).named("bits moved", "bit")


def buffer_bits(layers: Layers) -> Term:
    """Return the bits that the buffer's port moves."""
    return (read_bits(layers) + written_bits(layers)).named("bits of the buffer", "bit")


def off_chip_bits(layers: Layers) -> Term | None:
    """Return the bits that half of the buffer cannot hold; None if it holds all of them."""
    if not number(layers.traffic.off_chip):
        return None
    size = constant(layers.hardware, "system.buffers.size_kib")
    half = (size * BITS_PER_KIB / 2).named("half the buffer", "bit", how="the other is written")
    beyond = 2 * applied("max", written_bits(layers) - half, 0)
    return beyond.named("bits off chip", "bit", how="beyond the buffer, written and read again")
