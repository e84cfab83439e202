"""The bits that a layer moves, with their numbers: the terms of ``Layers.traffic``."""

from cimsearch.blueprint import Op
from cimsearch.cost.explain_expression import Expression, Operand, Term, applied
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
from cimsearch.cost.layers import Layers
from cimsearch.cost.traffic import BITS_PER_KIB


def is_op(layers: Layers, *ops: Op) -> bool:
    """Return whether the one layer is one of ``ops``."""
    return any(bool(number(1.0 * layers.is_op(op))) for op in ops)


def is_weighted(layers: Layers) -> bool:
    """Return whether the one layer multiplies by weights."""
    return is_op(layers, "conv", "linear")


def is_second(layers: Layers) -> bool:
    """Return whether the one layer is a second part, which gets the inputs of the first."""
    return bool(number(1.0 * layers.second))


_OF_FIRST = "the other part of the layer has the same input"


def written_bits(layers: Layers) -> Term:
    """Return the bits written into the buffer: the reader of a tensor pays for storing it."""
    if is_second(layers):
        return Term("bits written", 0.0, "bit", how=_OF_FIRST)
    if is_weighted(layers):
        stored: Operand = input_values(layers) * activation_bits(layers)
    elif bool(number(1.0 * layers.pooled_from_buffer)):
        stored = input_values(layers) * word_bits(layers.hardware)
    elif is_op(layers, "add"):
        stored = _kept(layers)
    else:
        return Term("bits written", 0.0, "bit", how="a stream stores nothing")
    return stored.expression.named("bits written", "bit", how="the layer's input")


def read_bits(layers: Layers) -> Term:
    """Return the bits read from the buffer."""
    if is_second(layers):
        return Term("bits read", 0.0, "bit", how=_OF_FIRST)
    if is_weighted(layers):
        read: Operand = _patches(layers)
        if not is_on_arrays(layers):
            lanes = constant(layers.hardware, "system.digital.lanes")
            refills = applied("ceil", positions(layers) / lanes).named("weight reads")
            read = read + weights(layers) * refills * weight_bits(layers)
        how = "im2col patches" if is_on_arrays(layers) else "im2col patches, and weights"
    elif bool(number(1.0 * layers.pooled_from_buffer)):
        read, how = output_values(layers) * window(layers) * word_bits(layers.hardware), "windows"
    elif is_op(layers, "add"):
        read, how = _kept(layers), "every input but the first"
    else:
        return Term("bits read", 0.0, "bit", how="a stream stores nothing")
    return read.expression.named("bits read", "bit", how=how)


def _patches(layers: Layers) -> Term:
    values = positions(layers) * window(layers) * shape(layers, "in_channels")
    return (values * activation_bits(layers)).named("patch bits", "bit")


def waiting_values(layers: Layers) -> Expression:
    """Return the values that wait for an addition."""
    return output_values(layers) * (shape(layers, "fan_in") - 1)


def waits_quantised(layers: Layers) -> bool:
    """Return whether the one layer is an addition that keeps what waits in few bits."""
    return bool(number(1.0 * layers.waiting_quantised))


def _kept(layers: Layers) -> Operand:
    bits = word_bits(layers.hardware)
    if waits_quantised(layers):
        bits = Term("residual bits", number(layers.waiting_bits), how="that what waits is kept in")
    return waiting_values(layers) * bits


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


def off_chip_bits(layers: Layers) -> tuple[Term, ...]:
    """Return the bits that the buffer cannot hold: activations, weights of the digital unit."""
    moved = []
    if number(layers.traffic.off_chip):
        moved.append(_spilled(layers))
    if number(layers.digital_loaded_bits):
        share = 1 - _kept_weights(layers) / _digital_weights(layers)
        bits = weights(layers) * weight_bits(layers) * share
        moved.append(bits.named("weights off chip", "bit", how="beyond half of the buffer"))
    return tuple(moved)


def _spilled(layers: Layers) -> Term:
    """Return the bits of activations that are written off the chip and read again."""
    room = (_buffer(layers) - _kept_weights(layers)).named("room", "bit", how="of activations")
    stays, groups = bool(number(1.0 * layers.resident)), layers.groups
    if bool(number(1.0 * groups.streamed)):
        how = "of all layers at once" if stays else "of all layers of the group at once"
        windows = Term("windows", number(groups.live_bits), "bit", how=how)
        beyond = written_bits(layers) * applied("max", windows - room, 0) / windows
    else:
        left: Operand = room
        if number(groups.beside_bits):
            how = "the larger of the group that makes the tensor and of the one that reads it"
            windows = Term("windows beside", number(groups.beside_bits), "bit", how=how)
            left = applied("max", room - windows, 0)
        half = left / 2 if stays else left / (2 * Term("batch", float(layers.batch), how=_BATCH))
        how = "the other is written" if stays else "the other is written; of one inference"
        half_room = half.named("half the room", "bit", how=how)
        beyond = applied("max", written_bits(layers) - half_room, 0)
    return (2 * beyond).named(
        "bits off chip", "bit", how="beyond the room, written and read again"
    )


_BATCH = "from the data statistics"


def _buffer(layers: Layers) -> Expression:
    return constant(layers.hardware, "system.buffers.size_kib") * BITS_PER_KIB


def _digital_weights(layers: Layers) -> Term:
    bits = number(layers.digital_bits)
    return Term("digital weights", bits, "bit", how="of all layers of the digital unit")


def _kept_weights(layers: Layers) -> Term:
    kept = applied("min", _digital_weights(layers), _buffer(layers) / 2)
    return kept.named("weights kept", "bit", how="of the digital unit, in at most half the buffer")
