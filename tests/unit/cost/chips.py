"""Tables of made-up chips whose energy follows known constants."""

import csv
from math import exp
from pathlib import Path

import numpy as np

COLUMNS = (
    "id",
    "chip",
    "type",
    "source",
    "tech_nm",
    "vdd_V",
    "rows",
    "cols",
    "activated_rows",
    "cell_bits",
    "weight_bits",
    "input_bits",
    "adc_bits",
    "dac_bits",
    "dot_product_len",
    "cycle_ns",
    "is_full_processor",
    "meas_energy_fJ_per_MAC",
)


def made_up(count: int, *, spread: float, scale_fj: float = 5.0, seed: int = 7) -> list[list[str]]:
    """Return rows of analog SRAM chips: C V^2, linear in the node, half per conversion.

    Each chip is off by a log-normal factor of ``spread`` (standard deviation of the log).
    """
    generator = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        node = float(generator.choice((22, 28, 40, 65)))
        volt = float(generator.uniform(0.6, 1.2))
        length = int(generator.choice((16, 64, 256, 1024)))
        energy = scale_fj * (volt / 0.9) ** 2 * (node / 28) * (length / 64) ** -0.5
        energy *= exp(spread * float(generator.normal()))
        values = (f"r{n}", f"c{n}", "analog SRAM", "made up", node, volt, 256, 64, length, 1, 1)
        rows.append([str(v) for v in (*values, 1, 6, 1, length, 12.0, "N", energy)])
    return rows


def write_table(path: Path, rows: list[list[str]]) -> Path:
    """Write rows under COLUMNS."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path
