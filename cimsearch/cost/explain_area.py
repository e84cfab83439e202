"""The leakage of a layer and the area that leaks: the terms of ``cimsearch.cost.area``."""

from functools import partial

from cimsearch.cost.explain_expression import Operand, Term, applied, total
from cimsearch.cost.explain_logic import (
    chip_macros,
    index_bits,
    row_group_bits,
    tree_adders,
    tree_levels,
    word_bits,
)
from cimsearch.cost.explain_network import NetworkTerms
from cimsearch.cost.explain_terms import UM2_A_MM2, Equation, Product, constant
from cimsearch.cost.layer_integers import columns_of_output
from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import CORNER_LEAKAGES, FULL_ADDER_AREAS, REGISTER_AREAS
from cimsearch.cost.traffic import BITS_PER_KIB
from cimsearch.spec.hardware import Hardware

_ADDER = Term("adder area", FULL_ADDER_AREAS, "NAND", how="of a full adder, one bit")
_REGISTER = Term("register area", REGISTER_AREAS, "NAND", how="of a register, one bit")


def explain_leakage(layers: Layers, latency_ns: float, network: NetworkTerms) -> Equation:
    """Explain the leakage of the whole system while the layer runs.

    Pipelined, the system leaks from one inference to the next: layers share that by their times.
    """
    latency = Term("latency", latency_ns, "ns", how="of this layer")
    product: Product = (_leakage(layers.hardware), system_area(layers), latency)
    if network.interval is not None:
        share = network.interval / network.layers_ns
        product = (*product, share.named("overlap", how="of layers that run at once"))
    return Equation("leakage", (product,))


def _leakage(hardware: Hardware) -> Term:
    given, corner = partial(constant, hardware), hardware.macro.corner
    warmer = given("macro.temperature_c") - 25
    doubled = 2 ** (warmer / given("macro.technology.leakage_doubling_c"))
    at_corner = Term(
        "corner leakage",
        CORNER_LEAKAGES[corner],
        how=f"at {corner}, relative to typical (assumed)",
    )
    density = given("macro.technology.leakage_uw_per_mm2") * at_corner * doubled
    return density.named("leakage", "uW/mm2")


def system_area(layers: Layers) -> Term:
    """Return the area of macros, buffers and digital unit, mm2."""
    hardware, given = layers.hardware, partial(constant, layers.hardware)
    kib = given("system.buffers.size_kib") * BITS_PER_KIB
    buffers = (kib * given("macro.technology.sram_bit_area_um2")).named("buffer area", "um2")
    word = word_bits(hardware)
    lane = (word * word * (_ADDER + 1) + 3 * word * _REGISTER).named("lane area", "NAND")
    nand = given("macro.technology.nand2_area_um2")
    digital = (given("system.digital.lanes") * lane * nand).named("digital area", "um2")
    arrays = chip_macros(layers) * _array_area(hardware)
    return ((arrays + buffers + digital) / UM2_A_MM2).named("area", "mm2")


def _array_area(hardware: Hardware) -> Term:
    """Return the area of one array with drivers, converters and its shift-and-add."""
    given, macro = partial(constant, hardware), hardware.macro
    nand = given("macro.technology.nand2_area_um2")
    rows, active = given("macro.array.rows"), given("macro.array.active_rows")
    cells = rows * given("macro.array.cols") * given("macro.array.cell_area_um2")
    parts: list[Operand] = [
        cells.named("cells area", "um2"),
        (rows * given("macro.input.driver_area_um2")).named("drivers area", "um2"),
    ]
    if macro.input.dac_bits > 1 and macro.input.dac_area_um2_per_bit is not None:
        dacs = rows * given("macro.input.dac_bits") * given("macro.input.dac_area_um2_per_bit")
        parts.append(dacs.named("DAC area", "um2"))
    if macro.input.zero_skipping == "planes":
        gates = active - 1 + index_bits(hardware) * _REGISTER
        parts.append((gates * nand).named("detector area", "um2"))
    if macro.array.row_group_skipping:
        register = row_group_bits(hardware) * _REGISTER * nand
        parts.append(register.named("row group register area", "um2"))
    most = given("macro.weights.max_bits")
    if macro.adc is None:
        units, code = _trees(hardware), tree_levels(hardware)
        adders = tree_adders(hardware, most).named("widest tree", how="full adders")
        trees = given("macro.input.dac_bits") * adders * _ADDER * nand
        converter: Operand = trees.named("tree area", "um2", how="a tree a bit applied at once")
    else:
        shared = given("macro.array.cols") / given("macro.adc.columns_per_adc")
        units, code = applied("floor", shared).named("converters"), given("macro.adc.bits")
        converter = given("macro.adc.model.area_um2")
    width = (code + given("macro.input.max_bits") + most).named("widest accumulator")
    adding = width * (_ADDER + _REGISTER) * nand
    parts.append((units * (converter + adding)).named("readout area", "um2"))
    return total(*parts).named("array area", "um2")


def _trees(hardware: Hardware) -> Term:
    """Return the adder trees of an array: one an output of its widest weights."""
    macro = hardware.macro
    widest = columns_of_output(
        macro.weights.max_bits, macro.array.cell_bits, macro.weights.encoding
    )
    columns = Term("columns of the widest output", float(widest), how="of weights.max_bits")
    trees = applied("floor", constant(hardware, "macro.array.cols") / columns)
    return applied("max", trees, 1).named("trees")
