"""What the energy of a multiply-accumulate depends on, and how: ln E is linear in these logs.

This is the component sum (cells, drivers, converters, digital) expanded to first order about a
typical chip: the elasticity of each quantity is the share of the components that grow with it.
Priors are physics, the fit may move them a little. The full sum has more constants than the
published chips can tell apart and predicts unseen chips worse.
"""

from math import log

from cimsearch.cost.silicon.table import Chip

TYPICAL_CYCLE_NS = 12.0
"""Stands in for an empty ``cycle_ns``."""
_TYPICAL_SIDE = 256.0
"""Stands in for empty ``rows`` or ``cols``."""
_NODE_NM, _SUPPLY_V, _PRODUCTS, _ADC_BITS = 28.0, 0.9, 64.0, 6.0

QUANTITIES = (
    "cells_per_weight",
    "passes",
    "dac_bits",
    "adc_bits",
    "products_per_conversion",
    "supply_v",
    "node_nm",
    "cycle_ns",
    "processor",
    "array_cells",
)
"""The quantities; ``processor`` is 1 for a whole chip around the macro, else 0, not a log."""


# Analog SRAM: switched capacitance, C V^2 with C linear in the node (ZigZag-IMC), half of it in
# cells (per product) and half in what follows the column (per conversion).
# RRAM: a cell current flows for the whole cycle, I V t, at any node, for about seven tenths of
# the energy; the rest is capacitance of the converter, per conversion.
# Digital SRAM: a constant per 1-bit product, whatever node and supply: across published chips
# the later node and the lower supply are spent on other ends (rate, precision, flexibility).
# The shares are rounded assumptions made with the chips in sight; docs/validation.md has the error
# when the choice is made without the chip that is scored.
PRIORS = {
    "analog SRAM": (1.0, 1.0, 0.0, 0.0, -0.5, 2.0, 1.0, 0.0, 0.3, 0.0),
    "RRAM": (1.0, 1.0, 0.0, 0.3, -0.3, 1.0, 0.3, 0.7, 0.3, 0.0),
    "digital SRAM": (1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 0.0),
}
"""Elasticities believed before any chip, in QUANTITIES order; the technologies that are scored."""

FREE_IN = {"array_cells": "RRAM"}
"""Quantities that only one technology has, where the prior does not know how much they matter.

Longer lines drop more voltage and leak more, so that large arrays of resistive cells are made for
smaller currents.
"""

NOT_VALIDATED = "not validated"
"""The reason to skip a technology with too few chips."""

WITHIN_CHIP_SUPPLY_EXPONENT = 2.0
"""Energy against supply on one chip: C V^2. Across chips the fitted exponent holds."""


def reason_to_skip(chip: Chip, *, measured: bool = True) -> str:
    """Return why a row cannot be used, or nothing; ``measured`` asks for a measured energy too."""
    if chip.technology and chip.technology not in PRIORS:
        return NOT_VALIDATED
    empty = [name for name, value in _needed(chip).items() if not value]
    if measured and chip.measured_fj is None:
        empty.append("meas_energy_fJ_per_MAC")
    return f"empty: {', '.join(empty)}" if empty else ""


def quantities(chip: Chip) -> tuple[float, ...]:
    """Return the quantities of a usable row, in QUANTITIES order, each against a typical one."""
    bits, weight_bits = _value(chip.input_bits), _value(chip.weight_bits)
    dac_bits = max(1.0, chip.dac_bits or 1.0)
    adc_bits = chip.adc_bits or _ADC_BITS
    return (
        # Where a table names no cell bits, one cell holds the weight.
        log(max(1.0, weight_bits / (chip.cell_bits or weight_bits))),
        log(max(1.0, bits / dac_bits)),
        log(dac_bits),
        log(adc_bits / _ADC_BITS),
        log(products(chip) / _PRODUCTS),
        log(_value(chip.supply_v) / _SUPPLY_V),
        log(_value(chip.node_nm) / _NODE_NM),
        log((chip.cycle_ns or TYPICAL_CYCLE_NS) / TYPICAL_CYCLE_NS),
        float(chip.processor),
        log((chip.rows or _TYPICAL_SIDE) * (chip.cols or _TYPICAL_SIDE) / _TYPICAL_SIDE**2),
    )


def products(chip: Chip) -> float:
    """Return the products that one conversion or adder tree sums."""
    return _value(chip.dot_length or chip.activated_rows)


def log_measured(chip: Chip) -> float:
    """Return ln of the measured energy of a usable row, fJ per MAC."""
    return log(_value(chip.measured_fj))


def _needed(chip: Chip) -> dict[str, float | str | None]:
    needed: dict[str, float | str | None] = {
        "type": chip.technology,
        "chip": chip.chip,
        "tech_nm": chip.node_nm,
        "vdd_V": chip.supply_v,
        "weight_bits": chip.weight_bits,
        "input_bits": chip.input_bits,
        "dot_product_len and activated_rows": chip.dot_length or chip.activated_rows,
    }
    if chip.technology != "digital SRAM":
        needed["adc_bits"] = chip.adc_bits
    return needed


def _value(value: float | None) -> float:
    if value is None:
        raise ValueError("an empty column; ask `reason_to_skip` before predicting")
    return value
