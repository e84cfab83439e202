"""Gate counts of the digital logic, in units of a two-input NAND, and what a gate costs.

Counts follow the ZigZag-IMC cost model (J. Sun et al., KU Leuven MICAS): a full adder is three
NAND and two XOR gates, an XOR switches 1.5 times and covers 2.4 times a NAND, a flip-flop
switches 3 and covers 6 NAND.
"""

from math import ceil, log2

from cimsearch.cost.namespace import Array, at_least, at_most, ceil_div
from cimsearch.spec.hardware import Hardware, Macro, Technology

FULL_ADDER_CAPS = 6.0
ONE_SIDED_ADDER_CAPS = 3.0
"""Its two XOR gates alone, where only one operand comes in."""
REGISTER_CAPS = 3.0
FULL_ADDER_AREAS = 7.8
REGISTER_AREAS = 6.0
AND_CAPS = 0.5
SELECT_CAPS = 1.5
"""A two-way selection of one bit: taken to switch like an XOR (assumed)."""
HARD_SIGMOID_ADDITIONS = 3
"""What a hard sigmoid takes: an addition, and a comparison at each end (assumed)."""
XOR_DELAYS = 2.4
CARRY_DELAYS = 2.0


def adder_caps(bits: Array | int) -> Array | float:
    """Return the NAND input capacitances that an addition of ``bits`` and its register switch."""
    return bits * (FULL_ADDER_CAPS + REGISTER_CAPS)


def multiplier_caps(a_bits: Array | int, b_bits: Array | int) -> Array | float:
    """Return the NAND input capacitances that an array multiplier switches."""
    return a_bits * b_bits * (FULL_ADDER_CAPS + AND_CAPS)


def tree_adders(rows: int, bits: Array | int) -> Array | float:
    """Return the full adders of a tree that sums ``rows`` operands of ``bits``.

    Sums grow by a bit a level; an operand without a partner is wired on to the next level. For a
    power of two that is rows (bits + 1) - (bits + log2 rows + 1) (ZigZag-IMC).
    """
    levels = range(1, sum_bits(rows) + 1)
    return sum((bits + (level - 1)) * _adders_at(rows, level) for level in levels)


def tree_caps(operands: Array, bits: Array, inputs: int) -> Array:
    """Return the NAND capacitances that an adder tree of ``inputs`` switches for fewer operands.

    Operands of ``bits`` sit side by side. An adder that gets two of them, or sums of them,
    switches fully; one that gets a single one makes no carry and switches its XOR gates; one
    that gets none stands still (ZigZag-IMC).
    """
    caps = 0.0 * operands
    for level in range(1, sum_bits(inputs) + 1):
        span = 1 << level
        fed = at_most(ceil_div(operands, span), _adders_at(inputs, level))
        full = at_least(ceil_div(operands - span // 2, span), 0.0)
        switched = full * FULL_ADDER_CAPS + at_least(fed - full, 0.0) * ONE_SIDED_ADDER_CAPS
        caps = caps + (bits + (level - 1)) * switched
    return caps


def _adders_at(inputs: int, level: int) -> int:
    """Return the adders of a tree of ``inputs`` at a level, counted from 1."""
    span = 1 << level
    return max(-(-(inputs - span // 2) // span), 0)


def sum_bits(rows: int) -> int:
    """Return the bits that a sum over ``rows`` adds to its operands."""
    return ceil(log2(rows))


def row_groups_of_array(macro: Macro) -> int:
    """Return the row groups of an array: the bits of a register that says which hold weights."""
    return -(-macro.array.rows // macro.array.active_rows)


def index_bits(macro: Macro) -> int:
    """Return the bits of the index of a plane and row group that zero skipping carries."""
    planes = -(-macro.input.max_bits // macro.input.dac_bits)
    return max((planes * row_groups_of_array(macro) - 1).bit_length(), 1)


def macro_cap_fj(hardware: Hardware) -> float:
    """Return the energy of one NAND input capacitance in the macro's own logic."""
    macro = hardware.macro
    return macro.technology.nand2_cap_ff * macro.energy_v2 * macro.logic_factor


def unit_cap_fj(hardware: Hardware) -> float:
    """Return the energy of one NAND input capacitance in the digital unit."""
    technology = hardware.macro.technology
    effective = hardware.system.digital.activity_frac
    return technology.nand2_cap_ff * technology.vdd_v**2 * effective


CORNER_DELAYS = {"ss": 1.2, "tt": 1.0, "ff": 0.85}
CORNER_LEAKAGES = {"ss": 0.5, "tt": 1.0, "ff": 2.0}
"""Delay and leakage at the process corners, relative to the typical one (assumed)."""


def nand_ns(technology: Technology, supply_v: float) -> float:
    """Return the delay of one NAND at a supply, at the typical corner."""
    slower = pow(technology.vdd_v / supply_v, technology.delay_voltage_exponent)
    return float(technology.nand2_delay_ps * 1e-3 * slower)


def leakage_uw_per_mm2(macro: Macro) -> float:
    """Return the leakage at the macro's corner and temperature."""
    technology = macro.technology
    doublings = (macro.temperature_c - 25) / technology.leakage_doubling_c
    return float(technology.leakage_uw_per_mm2 * CORNER_LEAKAGES[macro.corner] * 2**doublings)
