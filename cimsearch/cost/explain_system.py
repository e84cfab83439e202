"""The energy equations of what happens around the macros, with their numbers.

Term by term what ``cimsearch.cost.system_energy`` and ``model`` compute; tests hold them equal.
"""

from collections.abc import Iterable
from functools import partial
from itertools import pairwise

from cimsearch.blueprint import OPS
from cimsearch.cost.explain_area import system_area
from cimsearch.cost.explain_expression import Expression, Operand, Term, applied, total
from cimsearch.cost.explain_logic import (
    HARD_SIGMOID,
    REGISTER,
    SELECTION,
    activation_bits,
    adder,
    chip_macros,
    input_values,
    multiplier,
    output_values,
    positions,
    unit_gate,
    weight_bits,
    weights,
    window,
    word_bits,
)
from cimsearch.cost.explain_terms import (
    FJ_A_PJ,
    NOT_ON_ARRAYS,
    Equation,
    Product,
    constant,
    count,
    is_on_arrays,
    number,
    shape,
)
from cimsearch.cost.explain_traffic import (
    bits_of_macros,
    bus_bits,
    is_second,
    is_weighted,
    off_chip_bits,
    read_bits,
    waits_quantised,
    written_bits,
)
from cimsearch.cost.layers import Layers
from cimsearch.spec.hardware import BufferRead, Hardware


def explain_buffers(layers: Layers) -> Equation:
    """Explain the energy of reading and writing the activation buffer."""
    given = partial(constant, layers.hardware)
    node = given("macro.technology.node_nm") / given("system.buffers.reference_node_nm")
    supply = given("macro.technology.vdd_v") / given("system.buffers.reference_vdd_v")
    per_bit = (_at_size(layers.hardware) * node * supply**2).named("E_read", "pJ/bit")
    read, written = read_bits(layers), written_bits(layers)
    ratio = given("system.buffers.write_ratio_frac")
    return Equation("buffers", ((read, per_bit), (written, ratio, per_bit)), per_pj=1.0)


def _at_size(hardware: Hardware) -> Term:
    """Return the energy of a read at the buffer's size: between two sizes a power of it."""
    buffers = hardware.system.buffers
    if len(buffers.reads) == 1:
        return _read_at(buffers.reads[0])
    size = constant(hardware, "system.buffers.size_kib")
    low, high = next(
        (low, high)
        for low, high in pairwise(buffers.reads)
        if low.size_kib <= buffers.size_kib <= high.size_kib
    )
    below, above = _read_at(low), _read_at(high)
    smaller, larger = (
        Term(f"reads.size_kib of {read.size_kib:g}", read.size_kib, "KiB", _READS + "size_kib")
        for read in (low, high)
    )
    exponent = applied("log", above / below) / applied("log", larger / smaller)
    how = "between two sizes of the table a power of the size"
    power = exponent.named("size exponent", how=how)
    return (below * (size / smaller) ** power).named("read at size_kib", "pJ/bit")


_READS = "system.buffers.reads."


def _read_at(read: BufferRead) -> Term:
    symbol = f"reads.pj_per_bit at {read.size_kib:g} KiB"
    return Term(symbol, read.pj_per_bit, "pJ/bit", _READS + "pj_per_bit")


def explain_interconnect(layers: Layers) -> Equation:
    """Explain the energy of the bus, of the mesh, and of choosing among copies."""
    hardware, given = layers.hardware, partial(constant, layers.hardware)
    volts = given("macro.technology.vdd_v")
    cap = given("system.interconnect.cap_ff_per_mm")
    bus: Product = (bus_bits(layers), _bus_length(layers), cap, volts, volts)
    products = [bus]
    if not is_on_arrays(layers):
        return Equation("interconnect", (bus,))
    moved = bits_of_macros(layers)
    if number(layers.copies) > 1:
        copies = Term("copies", number(layers.copies))
        levels = applied("ceil", applied("log2", copies)).named("selection levels")
        products.append((moved, levels, SELECTION, unit_gate(hardware)))
    if hardware.system.interconnect.mesh is not None:
        way = (moved, mean_hops(layers))
        hop = given("system.interconnect.mesh.hop_mm")
        router = given("system.interconnect.mesh.router_pj_per_bit")
        products += [(*way, hop, cap, volts, volts), (*way, router, FJ_A_PJ)]
    return Equation("interconnect", tuple(products))


def _bus_length(layers: Layers) -> Term:
    """Return the length of the bus: as stated, or the side of the chip as a square."""
    if layers.hardware.system.interconnect.length_mm != "chip_side":
        return constant(layers.hardware, "system.interconnect.length_mm")
    return applied("sqrt", system_area(layers)).named("chip side", "mm", how="length of the bus")


def mean_hops(layers: Layers) -> Term:
    """Return the mean hops between two tiles of the chip's square mesh."""
    per_tile = constant(layers.hardware, "system.interconnect.mesh.macros_per_tile")
    tiles = applied("max", applied("ceil", chip_macros(layers) / per_tile), 1)
    side = applied("sqrt", tiles).named("mesh side", how="tiles along one side of a square")
    return ((side - 1 / side) * 2 / 3).named("hops", how="mean of two tiles of the mesh")


def explain_digital(layers: Layers) -> Equation:
    """Explain the energy of the digital unit."""
    word, unit = word_bits(layers.hardware), unit_gate(layers.hardware)
    products: list[Product] = []
    values: Operand = output_values(layers)
    if is_weighted(layers) and not is_on_arrays(layers):
        gates = multiplier(weight_bits(layers), activation_bits(layers)) + adder(word)
        products.append((macs(layers), gates.named("multiply-add", "NAND"), unit))
    quantises = is_weighted(layers) and not is_second(layers)
    if quantises:
        values = values + input_values(layers)
    how = "outputs, and inputs to quantise" if quantises else "outputs"
    each = _per_value(layers, word).named("a value", "NAND")
    products.append((values.expression.named("values", how=how), each, unit))
    return Equation("digital", tuple(products))


def macs(layers: Layers) -> Term:
    """Return the multiply-accumulates of a layer."""
    return (weights(layers) * positions(layers)).named("macs")


def _per_value(layers: Layers, word: Term) -> Expression:
    """Return the NAND inputs that one value of this operation switches."""
    add, register = adder(word).named("addition", "NAND"), word * REGISTER
    multiply = multiplier(word, word).named("multiplication", "NAND")
    stored = bool(number(1.0 * layers.pooled_from_buffer))
    pooled = register if stored else window(layers) * register
    others, others_added = window(layers) - 1, shape(layers, "fan_in") - 1
    # What waits in few bits is quantised before it is added.
    added = others_added * 2 if waits_quantised(layers) else others_added
    per_value: dict[str, Operand] = {
        "batchnorm": multiply + add,
        "relu": word + register,
        "hard_sigmoid": HARD_SIGMOID * add,
        "maxpool": others * add + pooled,
        "avgpool": others * add + multiply + pooled,
        "add": added * add + register,
        "flatten": register,
        "concat": register,
    }
    if bool(number(1.0 * layers.by_converters)):
        return register.expression
    return per_value.get(OPS[int(number(layers.table.op))], add).expression


def explain_off_chip(layers: Layers) -> Equation:
    """Explain the energy of the memory off the chip, and of writing weights into the macros."""
    given = partial(constant, layers.hardware)
    read = given("system.off_chip.read_pj_per_bit")
    products: list[Product] = []
    stays = bool(number(1.0 * layers.resident))
    if is_on_arrays(layers) and not stays:
        batch = inverse_batch(layers)
        write = given("macro.array.write_pj_per_cell")
        products.append((weights(layers), weight_bits(layers), read, batch))
        products.append((count(layers, "used_cells"), write, batch))
    products += [(bits, read) for bits in off_chip_bits(layers)]
    why = "all weights of the network stay in macros" if stays else NOT_ON_ARRAYS
    why = f"{why}, and the buffer holds the layer's activations"
    return Equation("off_chip", tuple(products), per_pj=1.0, why_zero="" if products else why)


def inverse_batch(layers: Layers) -> Term:
    """Return one over the inferences that share a loading of weights."""
    batch = Term("batch", float(layers.batch), how="from the data statistics")
    return (1 / batch).named("1 / batch")


def explain_control(layers: Layers, dynamic: Iterable[Equation]) -> Equation:
    """Explain the energy of control: a share of the components before it but ``off_chip``."""
    parts = [Term(equation.component, equation.value_pj, "pJ") for equation in dynamic]
    share = constant(layers.hardware, "macro.control_frac")
    return Equation("control", ((total(*parts).named("dynamic energy", "pJ"), share),), per_pj=1.0)
