"""Terms that several equations read: supplies, gates, bits, sizes of a layer."""

from functools import partial

from cimsearch.cost.explain_expression import Expression, Operand, Term, applied, total
from cimsearch.cost.explain_terms import PS_A_NS, Product, constant, data_term, number, shape
from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import (
    AND_CAPS,
    CORNER_DELAYS,
    FULL_ADDER_CAPS,
    HARD_SIGMOID_ADDITIONS,
    ONE_SIDED_ADDER_CAPS,
    REGISTER_CAPS,
    SELECT_CAPS,
    sum_bits,
)
from cimsearch.spec.hardware import Hardware

FULL_ADDER = Term("full adder", FULL_ADDER_CAPS, "NAND", how="NAND inputs that switch")
ONE_SIDED = Term("one-sided adder", ONE_SIDED_ADDER_CAPS, "NAND", how="its XOR gates alone")
REGISTER = Term("register bit", REGISTER_CAPS, "NAND", how="NAND inputs that switch")
AND_GATE = Term("AND gate", AND_CAPS, "NAND", how="NAND inputs that switch")
_ACTIVE = "macro.array.active_rows"
SELECTION = Term("selection", SELECT_CAPS, "NAND", how="two-way, of one bit; taken as an XOR")
HARD_SIGMOID = Term(
    "additions", HARD_SIGMOID_ADDITIONS, how="one, and a comparison at each end (assumed)"
)


def supply_v2(hardware: Hardware) -> Term:
    """Return the square of the supply, bent by the technology's exponent."""
    given = partial(constant, hardware)
    nominal = given("macro.technology.vdd_v")
    bent = (given("macro.supply_v") / nominal) ** given("macro.technology.energy_voltage_exponent")
    return (nominal**2 * bent).named("V^2", "V^2")


def macro_gate(hardware: Hardware) -> Term:
    """Return the energy of a NAND input in the macro's logic."""
    given = partial(constant, hardware)
    energy = given("macro.technology.nand2_cap_ff") * supply_v2(hardware)
    return (energy * given("macro.logic_factor")).named("E_gate", "fJ/NAND")


def unit_gate(hardware: Hardware) -> Term:
    """Return the energy of a NAND input in the digital unit."""
    given = partial(constant, hardware)
    energy = given("macro.technology.nand2_cap_ff") * given("macro.technology.vdd_v") ** 2
    return (energy * given("system.digital.activity_frac")).named("E_unit", "fJ/NAND")


def gate_delay(hardware: Hardware) -> Term:
    """Return the delay of a NAND in the macro."""
    given, corner = partial(constant, hardware), hardware.macro.corner
    slower = given("macro.technology.vdd_v") / given("macro.supply_v")
    slower = slower ** given("macro.technology.delay_voltage_exponent")
    at_corner = Term(
        "corner delay", CORNER_DELAYS[corner], how=f"at {corner}, relative to typical (assumed)"
    )
    delay = given("macro.technology.nand2_delay_ps") / PS_A_NS * slower * at_corner
    return delay.named("t_gate", "ns")


def adder(bits: Operand | float) -> Expression:
    """Return the NAND inputs of an addition and its register."""
    return bits * (FULL_ADDER + REGISTER)


def multiplier(a_bits: Operand, b_bits: Operand) -> Expression:
    """Return the NAND inputs of an array multiplier."""
    return a_bits * b_bits * (FULL_ADDER + AND_GATE)


def weight_bits(layers: Layers) -> Term:
    """Return the weight bits."""
    return Term("weight bits", number(layers.w_bits), how="as stored")


def activation_bits(layers: Layers) -> Term:
    """Return the activation bits."""
    return Term("activation bits", number(layers.x_bits), how="as stored and applied")


def adc_bits(layers: Layers) -> Term:
    """Return the converter's bits."""
    return Term("adc bits", number(layers.demand.adc_bits), how="of the layer's conversions")


def tree_levels(hardware: Hardware) -> Term:
    """Return the levels of an adder tree: the bits that its sum adds to its operands."""
    rows = constant(hardware, _ACTIVE)
    return applied("ceil", applied("log2", rows)).named("tree levels")


def adders_of_pairs(operands: int, level: int) -> int:
    """Return the adders at a level of a tree, counted from 1, that get two operands or sums."""
    span = 1 << level
    return max(-(-(operands - span // 2) // span), 0)


def tree_adders(hardware: Hardware, bits: Operand) -> Expression:
    """Return the full adders of a tree that sums all active rows of ``bits``."""
    active, rows = hardware.macro.array.active_rows, constant(hardware, _ACTIVE)
    if active.bit_count() == 1:
        return rows * (bits + 1) - (bits + applied("log2", rows) + 1)
    levels = range(1, sum_bits(active) + 1)
    return total(*((bits + (at - 1)) * adders_of_pairs(active, at) for at in levels))


def accumulator_bits(layers: Layers) -> Term:
    """Return the bits of an output's accumulator."""
    digital = layers.hardware.macro.adc is None
    code = tree_levels(layers.hardware) if digital else adc_bits(layers)
    return (code + activation_bits(layers) + weight_bits(layers)).named("accumulator bits")


def index_bits(hardware: Hardware) -> Term:
    """Return the bits of the index that zero skipping carries with a plane."""
    given = partial(constant, hardware)
    planes = applied("ceil", given("macro.input.max_bits") / given("macro.input.dac_bits"))
    needed = applied("ceil", applied("log2", planes * _row_groups(hardware)))
    return applied("max", needed, 1).named("index bits")


def row_group_bits(hardware: Hardware) -> Term:
    """Return the bits of the register that says which row groups of an array hold weights."""
    return _row_groups(hardware).named("row group bits")


def _row_groups(hardware: Hardware) -> Expression:
    given = partial(constant, hardware)
    return applied("ceil", given("macro.array.rows") / given("macro.array.active_rows"))


def pulses_of(layers: Layers) -> Term:
    """Return the pulses of a wordline for one activation."""
    macro = layers.hardware.macro
    why = "a bit each in a digital macro" if macro.adc is None else f"drive: {macro.input.drive}"
    how = f"of a wordline for one activation; {why}"
    return Term("pulses", number(layers.pulses), how=how)


def executed_of(layers: Layers) -> Product:
    """Return the share of array calls that zero skipping carries out; no factor without it."""
    if layers.hardware.macro.input.zero_skipping == "none":
        return ()
    zero = data_term(layers, "zero_planes")
    abreast = number(layers.mapping.abreast)
    if abreast > 1:
        how = f"zero planes of each of {abreast:g} groups driven at once"
        zero = Term("zero planes", zero.value**abreast, how=how)
    return ((1 - zero).named("executed"),)


def chip_macros(layers: Layers) -> Term:
    """Return the macros of the chip: all that it has, or as many as the network needs."""
    if layers.hardware.system.macros != "enough":
        return constant(layers.hardware, "system.macros")
    shared = layers.hardware.system.layers_per_array == "many"
    how = "arrays of all layers" + (", last columns in shared ones" if shared else "")
    return Term("macros", number(layers.chip_macros), how=how)


def word_bits(hardware: Hardware) -> Term:
    """Return the bits of the digital unit's words."""
    return constant(hardware, "system.digital.word_bits")


def window(layers: Layers) -> Expression:
    """Return the positions of a layer's window."""
    return shape(layers, "kernel_height") * shape(layers, "kernel_width")


def positions(layers: Layers) -> Term:
    """Return the output positions."""
    return (shape(layers, "out_height") * shape(layers, "out_width")).named("output positions")


def input_values(layers: Layers) -> Term:
    """Return the values of the layer's first input."""
    plane = shape(layers, "in_height") * shape(layers, "in_width")
    return (shape(layers, "in_channels") * plane).named("input values")


def output_values(layers: Layers) -> Term:
    """Return the values of the layer's output."""
    return (shape(layers, "out_channels") * positions(layers)).named("output values")


def weights(layers: Layers) -> Term:
    """Return the weights of a layer."""
    inputs = shape(layers, "in_channels") / shape(layers, "groups")
    return (window(layers) * inputs * shape(layers, "out_channels")).named("weights")
