"""Machines of other kinds than ``studies/macro_search.yaml`` has, with all fields that they open.

The files in ``hardware/`` are shipped macros with what their papers do not say and a search over
them needs; what is added is assumed.
"""

from functools import cache
from pathlib import Path
from typing import Any

from cimsearch.spec import load_hardware
from cimsearch.spec.hardware_genes import HardwareGenes
from tests.loopholes.cheapest import Field, over_machines

HERE = Path(__file__).parent / "hardware"
KINDS: dict[str, dict[str, Any]] = {
    # Charge summing, a ramp for each column.
    "qs": {
        "rows": (64, 128, 256),
        "cols": (64, 128),
        "active_rows": (32, 64, 128),
        "dac_bits": (1, 2),
        "adc_bits": (3, 5),
        "columns_per_adc": (1, 4),
        "supply_v": (0.45, 0.5),
    },
    # Current summing in SRAM, one converter for all columns.
    "is": {
        "rows": (64, 128, 256),
        "cols": (64, 128),
        "active_rows": (64, 256),
        "dac_bits": (1, 2),
        "adc_bits": (3, 4, 5),
        "columns_per_adc": (16, 64),
        "supply_v": (0.6, 0.7),
    },
    # Resistive cells, inputs as levels of a voltage.
    "resistive": {
        "rows": (64, 128, 256),
        "cols": (64, 128),
        "active_rows": (32, 64),
        "cell_bits": (1, 2),
        "dac_bits": (1, 2),
        "adc_bits": (4, 6),
        "columns_per_adc": (8, 16),
        "supply_v": (0.8, 1.05),
    },
    # Resistive cells in pairs, inputs as trains of pulses that are integrated.
    "pulses": {
        "rows": (64, 128),
        "cols": (128, 512),
        "active_rows": (64, 128),
        "cell_bits": (2, 3),
        "dac_bits": (1, 8),
        "adc_bits": (4, 6, 8),
        "supply_v": (1.5, 1.8),
    },
    # Adder trees, no converter.
    "digital": {
        "rows": (64, 128, 256),
        "cols": (64, 128, 256),
        "active_rows": (64, 128, 256),
        "dac_bits": (1, 2, 4),
        "supply_v": (0.6, 0.72, 0.85),
    },
    # Charge redistribution, in a system with a number of macros: a network that does not fit is
    # loaded at every inference.
    "system": {
        "rows": (64, 128),
        "cols": (64, 128),
        "active_rows": (64, 128),
        "dac_bits": (1, 2),
        "adc_bits": (4, 6),
        "columns_per_adc": (4, 16),
        "supply_v": (0.7, 0.9),
        "macros": (1, 4, 16, 32),
    },
}


@cache
def field_on(kind: str, network: str) -> Field:
    """Return the quickstart's space on the machines of a kind; see ``cheapest.field_of``."""
    hardware = load_hardware(str(HERE / f"{kind}.yaml"))
    return over_machines(hardware, HardwareGenes(**KINDS[kind]), network)
